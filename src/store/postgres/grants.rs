//! Principals, roles, assignments and grants.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::access::{Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId};
use tidewater_core::name::NamespaceIdent;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, count, get};
use super::digests::digest;
use super::events::event_add;
use super::generations::raise;
use super::granted::securable_columns;
use super::keys::role;
use super::pages::{after_id, after_name, is_storable, one_more, page_of};
use super::params::{Param, params};
use super::roles::{
    catalog_role_assign, catalog_role_create, catalog_role_delete, lock_catalog_role, principal_role_assign,
    principal_role_create, principal_role_delete, role_object,
};
use super::state_rows::{self, Added, Affected};
use super::warehouses::warehouse_exists;
use crate::store::{
    AccessCounts, CatalogRole, Change, EventDetails, Grant, GrantStore, ObjectKind, Operation, Page, PageRequest,
    PrincipalAccess, PrincipalRecord, PrincipalRole, Resource, Result, RoleRecord, StoreError, TableKind, WarehouseRef,
};

/// The columns of a principal: the roles of its usable keys, or a user's role unless the user is disabled.
macro_rules! principal_columns {
    () => {
        "principal.id, principal.name,
         CASE WHEN principal.issuer IS NULL THEN
             (SELECT string_agg(role, ',') FROM api_key WHERE api_key.organisation = principal.organisation
              AND api_key.principal = principal.id AND revoked_ms IS NULL)
         WHEN principal.disabled_ms IS NULL THEN principal.role END, principal.issuer IS NOT NULL"
    };
}

pub(super) use principal_columns;

pub(super) fn principal_at(row: &Row) -> Result<PrincipalRecord> {
    let roles: Option<&str> = get(row, 2)?;
    let roles = roles.unwrap_or_default().split(',').filter(|text| !text.is_empty()).map(role);
    let highest = roles.collect::<Result<Vec<Role>>>()?.into_iter().max();
    Ok(PrincipalRecord { id: PrincipalId(get(row, 0)?), name: get(row, 1)?, role: highest, is_user: get(row, 3)? })
}

fn role_at<I>(row: &Row, kind: fn(Uuid) -> I) -> Result<RoleRecord<I>> {
    Ok(RoleRecord { id: kind(get(row, 0)?), name: get(row, 1)?, created_ms: get(row, 2)? })
}

/// Grants a privilege to a catalog role.
async fn grant_add(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (role, grant): (CatalogRoleId, &Grant),
    limit: u64,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    let name = lock_catalog_role(transaction, warehouse_ref, role).await?;
    let (securable, namespace) = securable_columns(&grant.on);
    if let Some(namespace) = namespace {
        lock_namespace(transaction, warehouse_ref, namespace).await?;
    }
    let inserted = transaction
        .count(
            "INSERT INTO access_grant (organisation, role, kind, securable, privilege, warehouse, namespace)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1",
            params![
                organisation.0,
                role.0,
                grant.on.kind().as_str(),
                securable,
                grant.privilege.as_str(),
                warehouse.0,
                namespace
            ],
        )
        .await?;
    if inserted == 0 {
        return Ok(());
    }
    let beyond = transaction
        .query_first(
            "SELECT 1 FROM access_grant WHERE organisation = $1 AND role = $2 OFFSET $3 LIMIT 1",
            params![organisation.0, role.0, column(limit)],
        )
        .await?;
    if beyond.is_some() {
        return Err(StoreError::LimitReached { limit }.into());
    }
    state_rows::add(transaction, organisation, Added { grants: 1, ..Added::default() }).await?;
    finish_grant(transaction, warehouse_ref, (role, &name), (Operation::AddGrant, grant), change).await
}

/// Locks a namespace against a drop until the end of the transaction.
async fn lock_namespace(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    key: &str,
) -> std::result::Result<(), Failure> {
    let found = transaction
        .query_first(
            "SELECT 1 FROM namespace WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3 FOR KEY SHARE",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, key, digest(key.as_bytes())],
        )
        .await?;
    found.map(drop).ok_or_else(|| StoreError::NotFound(Resource::Namespace).into())
}

/// Revokes a privilege from a catalog role.
async fn grant_revoke(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (role, grant): (CatalogRoleId, &Grant),
    change: &Change,
) -> std::result::Result<(), Failure> {
    let organisation = warehouse_ref.organisation;
    let name = lock_catalog_role(transaction, warehouse_ref, role).await?;
    let (securable, _) = securable_columns(&grant.on);
    let removed = transaction
        .count(
            "DELETE FROM access_grant
             WHERE organisation = $1 AND role = $2 AND kind = $3 AND securable = $4 AND privilege = $5 RETURNING 1",
            params![organisation.0, role.0, grant.on.kind().as_str(), securable, grant.privilege.as_str()],
        )
        .await?;
    if removed == 0 {
        return Ok(());
    }
    state_rows::add(transaction, organisation, Added { grants: -1, ..Added::default() }).await?;
    finish_grant(transaction, warehouse_ref, (role, &name), (Operation::RevokeGrant, grant), change).await
}

/// Raises the generations of the principals with a catalog role, and writes the event of a grant.
async fn finish_grant(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (role, name): (CatalogRoleId, &str),
    (operation, grant): (Operation, &Grant),
    change: &Change,
) -> std::result::Result<(), Failure> {
    raise(transaction, warehouse_ref.organisation, &[Affected::CatalogRole(role)]).await?;
    let object = role_object(ObjectKind::CatalogRole, role.0, name);
    event_add(transaction, change, warehouse_ref, operation, &object, &grant_details(grant)).await
}

fn grant_details(Grant { on, privilege }: &Grant) -> EventDetails {
    let mut details = EventDetails::new();
    details.insert("privilege".to_owned(), privilege.as_str().into());
    details.insert("type".to_owned(), on.kind().as_str().into());
    match on {
        Securable::Warehouse => {}
        Securable::Namespace(ident) => {
            details.insert("on".to_owned(), ident.to_string().into());
        }
        Securable::Table(id, name) | Securable::View(id, name) => {
            details.insert("on-id".to_owned(), id.to_string().into());
            details.insert("on".to_owned(), name.as_ref().map(ToString::to_string).into());
        }
    }
    details
}

impl PostgresStore {
    async fn list_principals(
        &self,
        sql: &str,
        params: &[Param<'_>],
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        let rows = self.read(sql, params).await?;
        Ok(page_of(rows.iter().map(principal_at).collect::<Result<Vec<_>>>()?, page))
    }

    async fn list_roles<I>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        kind: fn(Uuid) -> I,
        page: &PageRequest,
    ) -> Result<Page<RoleRecord<I>>> {
        let rows = self.read(sql, params).await?;
        Ok(page_of(rows.iter().map(|row| role_at(row, kind)).collect::<Result<Vec<_>>>()?, page))
    }
}

#[async_trait]
impl GrantStore for PostgresStore {
    async fn principal_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<PrincipalRecord>> {
        const PAGE: &str = concat!(
            "SELECT ",
            principal_columns!(),
            " FROM principal WHERE organisation = $1 AND id > $2 ORDER BY id LIMIT $3"
        );
        self.list_principals(PAGE, params![organisation.0, after_id(page), one_more(page)], page).await
    }

    async fn principal_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<Arc<[PrincipalRoleId]>>,
    ) -> Result<PrincipalAccess> {
        self.read_access(organisation, principal, selected.as_deref()).await
    }

    async fn access_counts(&self, organisation: OrganisationId) -> Result<AccessCounts> {
        let row = self
            .read_first(
                "SELECT principal_roles, catalog_roles, assignments, grants FROM organisation_state
                 WHERE organisation = $1",
                params![organisation.0],
            )
            .await?;
        let Some(row) = row else { return Ok(AccessCounts::default()) };
        Ok(AccessCounts {
            principal_roles: count(get(&row, 0)?),
            catalog_roles: count(get(&row, 1)?),
            assignments: count(get(&row, 2)?),
            grants: count(get(&row, 3)?),
        })
    }

    async fn principal_roles(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
    ) -> Result<Vec<PrincipalRole>> {
        self.principal_role_list_of(organisation, principal, &PageRequest::default()).await.map(|page| page.items)
    }

    async fn principal_role_create(
        &self,
        organisation: OrganisationId,
        new: &PrincipalRole,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => {
            principal_role_create(transaction, organisation, new, change)
        })
    }

    async fn principal_role_get(&self, organisation: OrganisationId, name: &str) -> Result<Option<PrincipalRole>> {
        if !is_storable(name) {
            return Ok(None);
        }
        let row = self
            .read_first(
                "SELECT id, name, created_ms FROM principal_role WHERE organisation = $1 AND name = $2",
                params![organisation.0, name],
            )
            .await?;
        row.map(|row| role_at(&row, PrincipalRoleId)).transpose()
    }

    async fn principal_role_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let sql = "SELECT id, name, created_ms FROM principal_role WHERE organisation = $1 AND name > $2
                   ORDER BY name LIMIT $3";
        self.list_roles(sql, params![organisation.0, after_name(page), one_more(page)], PrincipalRoleId, page).await
    }

    async fn principal_role_delete(
        &self,
        organisation: OrganisationId,
        id: PrincipalRoleId,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => principal_role_delete(transaction, organisation, id, change))
    }

    async fn catalog_role_create(&self, warehouse_ref: WarehouseRef, new: &CatalogRole, change: &Change) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            catalog_role_create(transaction, warehouse_ref, new, change)
        })
    }

    async fn catalog_role_get(&self, warehouse_ref: WarehouseRef, name: &str) -> Result<Option<CatalogRole>> {
        if !is_storable(name) {
            return Ok(None);
        }
        let row = self
            .read_first(
                "SELECT id, name, created_ms FROM catalog_role WHERE organisation = $1 AND warehouse = $2 AND name = $3",
                params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, name],
            )
            .await?;
        row.map(|row| role_at(&row, CatalogRoleId)).transpose()
    }

    async fn catalog_role_list(&self, warehouse_ref: WarehouseRef, page: &PageRequest) -> Result<Page<CatalogRole>> {
        let sql = "SELECT id, name, created_ms FROM catalog_role
                   WHERE organisation = $1 AND warehouse = $2 AND name > $3 ORDER BY name LIMIT $4";
        let WarehouseRef { organisation, warehouse } = warehouse_ref;
        let found = self
            .list_roles(
                sql,
                params![organisation.0, warehouse.0, after_name(page), one_more(page)],
                CatalogRoleId,
                page,
            )
            .await?;
        if found.items.is_empty() && !warehouse_exists(self, warehouse_ref).await? {
            return Err(StoreError::NotFound(Resource::Warehouse));
        }
        Ok(found)
    }

    async fn catalog_role_delete(&self, warehouse_ref: WarehouseRef, id: CatalogRoleId, change: &Change) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            catalog_role_delete(transaction, warehouse_ref, id, change)
        })
    }

    async fn principal_role_assign(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        principal: PrincipalId,
        assigned: bool,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => {
            principal_role_assign(transaction, organisation, (role, principal), assigned, change)
        })
    }

    async fn principal_role_members(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        // The subquery counts a principal with an assignment from both sources once.
        const PAGE: &str = concat!(
            "SELECT ",
            principal_columns!(),
            " FROM (SELECT DISTINCT organisation, principal FROM principal_role_member
                    WHERE organisation = $1 AND role = $2 AND principal > $3 ORDER BY principal LIMIT $4) AS member
              JOIN principal ON principal.organisation = member.organisation AND principal.id = member.principal
              ORDER BY principal.id"
        );
        self.list_principals(PAGE, params![organisation.0, role.0, after_id(page), one_more(page)], page).await
    }

    async fn principal_role_list_of(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let sql = "SELECT DISTINCT principal_role.id, principal_role.name, principal_role.created_ms
                   FROM principal_role_member AS member JOIN principal_role
                        ON principal_role.organisation = member.organisation AND principal_role.id = member.role
                   WHERE member.organisation = $1 AND member.principal = $2 AND principal_role.name > $3
                   ORDER BY principal_role.name LIMIT $4";
        self.list_roles(
            sql,
            params![organisation.0, principal.0, after_name(page), one_more(page)],
            PrincipalRoleId,
            page,
        )
        .await
    }

    async fn catalog_role_assign(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        principal_role: PrincipalRoleId,
        assigned: bool,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            catalog_role_assign(transaction, warehouse_ref, (role, principal_role), assigned, change)
        })
    }

    async fn catalog_role_members(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let sql = "SELECT principal_role.id, principal_role.name, principal_role.created_ms
                   FROM catalog_role_member AS member JOIN principal_role
                        ON principal_role.organisation = member.organisation AND principal_role.id = member.principal_role
                   WHERE member.organisation = $1 AND member.role = $2 AND principal_role.name > $3
                   ORDER BY principal_role.name LIMIT $4";
        self.list_roles(
            sql,
            params![warehouse_ref.organisation.0, role.0, after_name(page), one_more(page)],
            PrincipalRoleId,
            page,
        )
        .await
    }

    async fn catalog_role_list_of(
        &self,
        warehouse_ref: WarehouseRef,
        principal_role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>> {
        let sql = "SELECT catalog_role.id, catalog_role.name, catalog_role.created_ms
                   FROM catalog_role_member AS member JOIN catalog_role
                        ON catalog_role.organisation = member.organisation AND catalog_role.id = member.role
                   WHERE member.organisation = $1 AND member.principal_role = $2 AND catalog_role.warehouse = $3
                     AND catalog_role.name > $4
                   ORDER BY catalog_role.name LIMIT $5";
        let WarehouseRef { organisation, warehouse } = warehouse_ref;
        self.list_roles(
            sql,
            params![organisation.0, principal_role.0, warehouse.0, after_name(page), one_more(page)],
            CatalogRoleId,
            page,
        )
        .await
    }

    async fn grant_add(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        limit: u64,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            grant_add(transaction, warehouse_ref, (role, grant), limit, change)
        })
    }

    async fn grant_revoke(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            grant_revoke(transaction, warehouse_ref, (role, grant), change)
        })
    }

    async fn grant_list(&self, warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Result<Vec<Grant>> {
        self.read_grants(warehouse_ref, role).await
    }

    async fn table_list_owned(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        owner: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        self.read_owned_tables(warehouse_ref, (namespace, kind, owner), page).await
    }
}
