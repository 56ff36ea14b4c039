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
    /// Whether it is served.
    pub standing: Standing,
}

impl Organisation {
    /// An organisation that is served.
    #[must_use]
    pub fn new(id: OrganisationId, name: impl Into<String>, tier: impl Into<String>, created_ms: i64) -> Self {
        Self { id, name: name.into(), tier: tier.into(), created_ms, standing: Standing::default() }
    }
}

/// Whether an organisation is served. It is while neither is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Since when it is suspended, in milliseconds since 1970.
    pub suspended_ms: Option<i64>,
    /// When it is deleted, if that was asked for.
    pub deletion: Option<Deletion>,
}

/// How an organisation is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// From when its rows are removed, in milliseconds since 1970. Until then it can be restored.
    pub after_ms: i64,
    /// Whether the files of its tables are removed too.
    pub purge: bool,
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
