//! Organisations: the tenants.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::change::Change;
use super::error::Result;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its name, which is unique.
    pub name: String,
    /// The name of its tier, as the configuration defines it.
    pub tier: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Keeps organisations.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait OrganisationStore: Send + Sync + 'static {
    /// Adds an organisation.
    ///
    /// # Errors
    /// `AlreadyExists` when its name, or its id, is taken.
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()>;

    /// All organisations, by name.
    async fn organisation_list(&self) -> Result<Vec<Organisation>>;

    /// The organisation of that name.
    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>>;

    /// Moves an organisation to another tier.
    ///
    /// # Errors
    /// `NotFound`.
    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()>;
}
