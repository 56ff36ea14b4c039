//! Warehouses: storage roots with their namespaces.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::PlanningMode;
use tidewater_core::storage::StorageProfile;

use super::change::Change;
use super::error::Result;

/// A storage root with its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// Its id.
    pub id: WarehouseId,
    /// The organisation that it belongs to.
    pub organisation: OrganisationId,
    /// Its name, unique in the organisation: the `warehouse` and the `prefix` of the API.
    pub name: String,
    /// The canonical location below which it puts its tables.
    pub root: String,
    /// How its storage is reached.
    pub storage: WarehouseStorage,
    /// Its options.
    pub options: WarehouseOptions,
    /// Whether it serves requests without a prefix.
    pub is_default: bool,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Options of a warehouse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarehouseOptions {
    /// When the files of a purged table are removed.
    pub purge: PurgeTime,
    /// Whether credentials vended for its tables cannot delete files.
    pub no_delete: bool,
    /// Who plans the scans of its tables.
    pub scan_planning: PlanningMode,
}

/// Changes of a warehouse's options. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarehouseOptionsUpdate {
    /// When the files of a purged table are removed.
    pub purge: Option<PurgeTime>,
    /// Whether credentials vended for its tables cannot delete files.
    pub no_delete: Option<bool>,
    /// Who plans the scans of its tables.
    pub scan_planning: Option<PlanningMode>,
}

impl WarehouseOptionsUpdate {
    /// Returns the options after the change. A store calls it in the transaction that has read the row.
    #[must_use]
    pub fn apply(self, before: WarehouseOptions) -> WarehouseOptions {
        WarehouseOptions {
            purge: self.purge.unwrap_or(before.purge),
            no_delete: self.no_delete.unwrap_or(before.no_delete),
            scan_planning: self.scan_planning.unwrap_or(before.scan_planning),
        }
    }
}

impl From<WarehouseOptions> for WarehouseOptionsUpdate {
    fn from(WarehouseOptions { purge, no_delete, scan_planning }: WarehouseOptions) -> Self {
        Self { purge: Some(purge), no_delete: Some(no_delete), scan_planning: Some(scan_planning) }
    }
}

/// How a warehouse's storage is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseStorage {
    /// Its settings.
    pub profile: StorageProfile,
    /// The catalog's sealed credentials. `None` if it uses the machine's credentials.
    pub sealed_credentials: Option<Vec<u8>>,
}

impl WarehouseStorage {
    /// Creates the storage of a warehouse on the local disk.
    #[must_use]
    pub const fn local() -> Self {
        Self { profile: StorageProfile::File, sealed_credentials: None }
    }
}

/// A warehouse of an organisation. Every row of a catalog belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WarehouseRef {
    /// The organisation, from the verified key or token.
    pub organisation: OrganisationId,
    /// One of its warehouses.
    pub warehouse: WarehouseId,
}

/// Stores warehouses.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait WarehouseStore: Send + Sync + 'static {
    /// Adds a warehouse. It becomes its organisation's default if it is the first, or, with `is_default`, in place of the former
    /// default.
    ///
    /// # Errors
    /// `AlreadyExists` when the organisation has a warehouse with the name or id; `NotFound` when the organisation does not exist;
    /// `LocationTaken` when its root overlaps the root of another warehouse, of any organisation.
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()>;

    /// Lists all warehouses of an organisation, by name.
    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>>;

    /// Changes how a warehouse's storage is reached.
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

    /// Replaces the sealed credentials of a warehouse if they are still `from`. Returns whether they were.
    ///
    /// # Errors
    /// Only those of every change.
    async fn warehouse_reseal(
        &self,
        warehouse_ref: WarehouseRef,
        from: &[u8],
        to: &[u8],
        change: &Change,
    ) -> Result<bool>;

    /// Changes the given options of a warehouse. Writes no event if it has these options already.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptionsUpdate,
        change: &Change,
    ) -> Result<()>;

    /// Makes a warehouse its organisation's default. Writes no event if it is the default already.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;

    /// Removes a warehouse that has no namespaces and no dropped tables or views. If it is the default, the organisation has no
    /// default afterwards.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty`.
    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;
}
