//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tidewater_core::access::{Granted, Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use tidewater_core::name::NamespaceIdent;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl GrantStore for PostgresStore {
    async fn principal_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<PrincipalRecord>> {
        todo!()
    }
    async fn principal_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<Arc<[PrincipalRoleId]>>,
    ) -> Result<PrincipalAccess> {
        todo!()
    }
    async fn access_counts(&self, organisation: OrganisationId) -> Result<AccessCounts> {
        todo!()
    }
    async fn principal_roles(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
    ) -> Result<Vec<PrincipalRole>> {
        todo!()
    }
    async fn principal_role_create(
        &self,
        organisation: OrganisationId,
        new: &PrincipalRole,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn principal_role_get(&self, organisation: OrganisationId, name: &str) -> Result<Option<PrincipalRole>> {
        todo!()
    }
    async fn principal_role_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        todo!()
    }
    async fn principal_role_delete(
        &self,
        organisation: OrganisationId,
        id: PrincipalRoleId,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn catalog_role_create(&self, warehouse_ref: WarehouseRef, new: &CatalogRole, change: &Change) -> Result<()> {
        todo!()
    }
    async fn catalog_role_get(&self, warehouse_ref: WarehouseRef, name: &str) -> Result<Option<CatalogRole>> {
        todo!()
    }
    async fn catalog_role_list(&self, warehouse_ref: WarehouseRef, page: &PageRequest) -> Result<Page<CatalogRole>> {
        todo!()
    }
    async fn catalog_role_delete(&self, warehouse_ref: WarehouseRef, id: CatalogRoleId, change: &Change) -> Result<()> {
        todo!()
    }
    async fn principal_role_assign(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        principal: PrincipalId,
        assigned: bool,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn principal_role_members(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        todo!()
    }
    async fn principal_role_list_of(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        todo!()
    }
    async fn catalog_role_assign(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        principal_role: PrincipalRoleId,
        assigned: bool,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn catalog_role_members(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        todo!()
    }
    async fn catalog_role_list_of(
        &self,
        warehouse_ref: WarehouseRef,
        principal_role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>> {
        todo!()
    }
    async fn grant_add(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        limit: u64,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn grant_revoke(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        change: &Change,
    ) -> Result<()> {
        todo!()
    }
    async fn grant_list(&self, warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Result<Vec<Grant>> {
        todo!()
    }
    async fn table_list_owned(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        owner: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        todo!()
    }
}
