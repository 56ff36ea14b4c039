//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::StorageProfile;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl WarehouseStore for PostgresStore {
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()> {
        todo!()
    }
    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
        todo!()
    }
    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptions,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        todo!()
    }
    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        todo!()
    }
}
