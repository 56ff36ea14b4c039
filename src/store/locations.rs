//! Locations of tables and views.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::Locations;

use super::error::Result;
use super::warehouses::WarehouseRef;

/// Checks the locations of tables and views.
///
/// All methods read. A read whose future is dropped has no effect.
#[async_trait]
pub trait LocationStore: Send + Sync + 'static {
    /// Checks that a future table could have these locations, as things are now. Reserves none of them.
    ///
    /// # Errors
    /// `LocationTaken`, `LocationHeld` as for [`TableStore::table_create`](super::TableStore::table_create).
    async fn location_check(&self, warehouse_ref: WarehouseRef, id: TableId, locations: &Locations) -> Result<()>;

    /// Returns those of a table's `locations` that overlap no location of another table or view, live or dropped.
    async fn location_alone(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        locations: &[Location],
    ) -> Result<Vec<Location>>;
}
