//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl DroppedStore for PostgresStore {
    async fn dropped_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<Page<Dropped>> {
        todo!()
    }
    async fn dropped_get(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<Dropped>> {
        todo!()
    }
    async fn dropped_restore(
        &self,
        warehouse_ref: WarehouseRef,
        restore: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn dropped_remove(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool> {
        todo!()
    }
    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64> {
        todo!()
    }
    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>> {
        todo!()
    }
    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        progress: &Progress,
        change: &Change,
    ) -> Result<bool> {
        todo!()
    }
}

pub(super) async fn remove(
    transaction: &super::connection::Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    purge: Option<bool>,
    change: &Change,
) -> std::result::Result<bool, super::convert::Failure> {
    todo!()
}
