//! Locations of tables and views.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::overlap::Locations;

use super::error::Result;
use super::warehouses::Place;

/// Answers questions about the locations of tables and views.
///
/// All methods read. A read whose future is dropped has no effect.
#[async_trait]
pub trait LocationStore: Send + Sync + 'static {
    /// Whether a table that is to be could have these locations, as far as that can be said now. Takes none of them.
    ///
    /// # Errors
    /// `LocationTaken`, `LocationHeld` as for [`TableStore::table_create`](super::TableStore::table_create).
    async fn location_check(&self, place: Place, id: TableId, locations: &Locations) -> Result<()>;

    /// Those of a table's locations that are surely at, inside and around none of another table or view, live or dropped.
    /// There are none while not all locations of all others are known.
    async fn location_alone(&self, place: Place, id: TableId, locations: &[Location]) -> Result<Vec<Location>>;
}
