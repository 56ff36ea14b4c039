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
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// Whether requests of it are served.
    pub standing: Standing,
}

impl Organisation {
    /// Creates an organisation that is neither suspended nor deleted.
    #[must_use]
    pub fn new(id: OrganisationId, name: impl Into<String>, tier: impl Into<String>, created_ms: i64) -> Self {
        Self { id, name: name.into(), tier: tier.into(), created_ms, standing: Standing::default() }
    }
}

/// Whether an organisation is suspended or deleted. It is served while neither field is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it was suspended, in milliseconds since 1970, if it is.
    pub suspended_ms: Option<i64>,
    /// Its scheduled deletion, if there is one.
    pub deletion: Option<Deletion>,
}

/// A scheduled deletion of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// When its grace time ends, in milliseconds since 1970. Until then it can be restored; then its rows are removed.
    pub after_ms: i64,
    /// Whether the files of its tables are removed too.
    pub purge: bool,
}

/// Stores organisations.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait OrganisationStore: Send + Sync + 'static {
    /// Adds an organisation.
    ///
    /// # Errors
    /// `AlreadyExists` when its name, or its id, is taken.
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()>;

    /// Lists all organisations, by name.
    async fn organisation_list(&self) -> Result<Vec<Organisation>>;

    /// Returns the organisation with the name.
    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>>;

    /// Moves an organisation to another tier. Writes no event if it has the tier already.
    ///
    /// # Errors
    /// `NotFound`.
    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()>;
}
