//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::Locations;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl LocationStore for PostgresStore {
    async fn location_check(&self, warehouse_ref: WarehouseRef, id: TableId, locations: &Locations) -> Result<()> {
        todo!()
    }
    async fn location_alone(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        locations: &[Location],
    ) -> Result<Vec<Location>> {
        todo!()
    }
}
