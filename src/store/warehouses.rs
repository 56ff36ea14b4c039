//! Warehouses: storage roots with their namespaces.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::StorageProfile;

use super::change::Change;
use super::error::Result;

/// A storage root with its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// Its id.
    pub id: WarehouseId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Its name, unique in the organisation: the `warehouse` and the `prefix` of the API.
    pub name: String,
    /// Where its tables are put, as a canonical location.
    pub root: String,
    /// How its storage is reached.
    pub storage: WarehouseStorage,
    /// What can be chosen of it besides.
    pub options: WarehouseOptions,
    /// Whether requests without a prefix go to it.
    pub is_default: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// What can be chosen of a warehouse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarehouseOptions {
    /// When the files of a table go that is dropped with a purge.
    pub purge: PurgeTime,
    /// Whether what is vended for its tables removes no files.
    pub no_delete: bool,
}

/// How a warehouse's storage is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseStorage {
    /// Its settings.
    pub profile: StorageProfile,
    /// What the catalog signs in with, sealed; none where it takes what the machine has.
    pub sealed_credentials: Option<Vec<u8>>,
}

impl WarehouseStorage {
    /// The local disk.
    #[must_use]
    pub const fn local() -> Self {
        Self { profile: StorageProfile::File, sealed_credentials: None }
    }
}

/// A warehouse of an organisation: what every row of a catalog is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The organisation, from the verified key or token.
    pub organisation: OrganisationId,
    /// One of its warehouses.
    pub warehouse: WarehouseId,
}

/// Keeps warehouses.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait WarehouseStore: Send + Sync + 'static {
    /// Adds a warehouse. It becomes its organisation's default if it is the first, or if it asks to, in place of the one
    /// that was.
    ///
    /// # Errors
    /// `AlreadyExists` when the organisation has one of that name or id, `NotFound` when there is no such organisation,
    /// `LocationTaken` when its root overlaps that of another, of whichever organisation.
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()>;

    /// All warehouses of an organisation, by name.
    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>>;

    /// Gives the warehouse of that name another way to its storage.
    ///
    /// # Errors
    /// `NotFound`; `LocationTaken` as for [`Self::warehouse_create`].
    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()>;

    /// Gives the warehouse of that name other options.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptions,
        change: &Change,
    ) -> Result<()>;

    /// Makes the warehouse of that name its organisation's default.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;

    /// Removes a warehouse that holds no namespace, and nothing dropped that is not gone for good. Removing the default
    /// leaves the organisation without one.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty`.
    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;
}
