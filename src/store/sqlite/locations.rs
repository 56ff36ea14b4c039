//! The locations of tables' and views' files: which are taken.

use async_trait::async_trait;
use rusqlite::Connection;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::Locations;

use super::SqliteStore;
use super::dropped_rows::replaceable;
use super::location_rows::{check_free_but_for, find_overlapping};
use crate::store::{LocationStore, Result, WarehouseRef};

/// Checks that a future table could have these locations. Ignores dropped tables that would give way to it. Changes nothing.
pub(super) fn location_check(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &Locations,
) -> Result<()> {
    let gives_way = replaceable(connection, warehouse_ref, locations.own(), i64::MIN)?.into_iter().next();
    check_free_but_for(connection, warehouse_ref, [id, gives_way.unwrap_or(id)], locations.reserved())
}

pub(super) fn location_alone(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &[Location],
) -> Result<Vec<Location>> {
    let mut alone = Vec::with_capacity(locations.len());
    for location in locations {
        if find_overlapping(connection, warehouse_ref, [id, id], location)?.is_none() {
            alone.push(location.clone());
        }
    }
    Ok(alone)
}

#[async_trait]
impl LocationStore for SqliteStore {
    async fn location_check(&self, warehouse_ref: WarehouseRef, id: TableId, locations: &Locations) -> Result<()> {
        self.read(|connection| location_check(connection, warehouse_ref, id, locations))
    }

    async fn location_alone(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        locations: &[Location],
    ) -> Result<Vec<Location>> {
        self.read(|connection| location_alone(connection, warehouse_ref, id, locations))
    }
}
