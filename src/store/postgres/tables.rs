//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use std::sync::Arc;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl TableStore for PostgresStore {
    async fn table_create(
        &self,
        warehouse_ref: WarehouseRef,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn table_get(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Result<Option<TableRecord>> {
        todo!()
    }
    async fn table_by_id(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<TableRecord>> {
        todo!()
    }
    async fn table_get_all(
        &self,
        warehouse_ref: WarehouseRef,
        idents: &[TableIdent],
    ) -> Result<Vec<Option<TableRecord>>> {
        todo!()
    }
    async fn table_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<Page<String>>> {
        todo!()
    }
    async fn table_swap(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<()> {
        todo!()
    }
    async fn table_undo(&self, warehouse_ref: WarehouseRef, undo: &Undo<'_>, change: &Change) -> Result<()> {
        todo!()
    }
    async fn table_transact(
        &self,
        warehouse_ref: WarehouseRef,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn table_drop(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
        id: TableId,
        kind: TableKind,
        terms: Option<&DropTerms>,
        change: &Change,
    ) -> Result<TableRecord> {
        todo!()
    }
    async fn table_rename(
        &self,
        warehouse_ref: WarehouseRef,
        from: &TableIdent,
        id: TableId,
        to: &TableIdent,
        kind: TableKind,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn table_count(&self, organisation: OrganisationId) -> Result<u64> {
        todo!()
    }
}
