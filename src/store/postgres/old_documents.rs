//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl OldDocumentStore for PostgresStore {
    async fn table_origin(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<String>> {
        todo!()
    }
    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>> {
        todo!()
    }
    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()> {
        todo!()
    }
}
