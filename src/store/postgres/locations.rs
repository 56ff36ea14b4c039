//! The locations of tables' and views' files: which are taken.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::Locations;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::convert::get;
use super::dropped_rows::REPLACEABLE;
use super::location_rows::{Claim, OVERLAPPING, overlap};
use super::params::params;
use crate::store::{LocationStore, Result, WarehouseRef};

impl PostgresStore {
    /// Finds the claimed locations that overlap one of another table or view, except the tables `but_for`.
    async fn overlapping(
        &self,
        warehouse_ref: WarehouseRef,
        but_for: &[Uuid],
        claimed: &[&Location],
    ) -> Result<Vec<Row>> {
        let Claim { around, numbers, first, last } = Claim::new(claimed);
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        self.read_needed(OVERLAPPING, params![organisation, warehouse, around, numbers, first, last, but_for]).await
    }
}

#[async_trait]
impl LocationStore for PostgresStore {
    async fn location_check(&self, warehouse_ref: WarehouseRef, id: TableId, locations: &Locations) -> Result<()> {
        // Ignores dropped tables that would give way to the new one.
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let gives_way =
            self.read_needed(REPLACEABLE, params![organisation, warehouse, locations.own().as_str(), i64::MIN]).await?;
        let mut but_for = vec![id.0];
        for row in &gives_way {
            but_for.push(get(row, 0)?);
        }
        let claimed: Vec<_> = locations.reserved().iter().collect();
        match self.overlapping(warehouse_ref, &but_for, &claimed).await?.first() {
            Some(row) => Err(overlap(&claimed, get(row, 0)?, get(row, 1)?)),
            None => Ok(()),
        }
    }

    async fn location_alone(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        locations: &[Location],
    ) -> Result<Vec<Location>> {
        let claimed: Vec<_> = locations.iter().collect();
        let overlapping = self.overlapping(warehouse_ref, &[id.0], &claimed).await?;
        let numbers = overlapping.iter().map(|row| get(row, 0)).collect::<Result<Vec<i64>>>()?;
        let alone = (1..).zip(locations).filter(|(number, _)| !numbers.contains(number));
        Ok(alone.map(|(_, location)| location.clone()).collect())
    }
}
