//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::properties::PropertyChanges;
use tidewater_core::request_limits::RequestLimits;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl NamespaceStore for PostgresStore {
    async fn namespace_create(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn namespace_get(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Result<Option<Properties>> {
        todo!()
    }
    async fn namespace_list(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<Page<NamespaceIdent>>> {
        todo!()
    }
    async fn namespace_update_properties(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        limits: &RequestLimits,
        change: &Change,
    ) -> Result<PropertyChanges> {
        todo!()
    }
    async fn namespace_drop(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
}
