//! Principals, roles, assignments and grants.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, Row, params};
use tidewater_core::access::{Granted, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::{Violation, bounded, id, namespace, role, violation};
use super::events::event_add;
use super::ownership::{owned_in, owned_namespaces, table_list_owned};
use super::pages::{one_more, page_of};
use super::restricted::{is_trusted_engine, restrictions_of};
use super::roles::{
    catalog_role_assign, catalog_role_create, catalog_role_delete, catalog_role_name, principal_role_assign,
    principal_role_create, principal_role_delete, role_object,
};
use super::warehouses::warehouse_exists;
use crate::store::{
    AccessCounts, AccessGenerations, CatalogRole, Change, EventDetails, Grant, GrantStore, ObjectKind, Operation, Page,
    PageRequest, PrincipalAccess, PrincipalRecord, PrincipalRole, Resource, Result, RolePath, RoleRecord, StoreError,
    TableKind, WarehouseRef,
};

/// The columns of a principal: the roles of its usable keys, or a user's role unless the user is disabled.
pub(super) const PRINCIPAL: &str = "principal.id, principal.name,
    CASE WHEN principal.issuer IS NULL THEN
        (SELECT group_concat(role) FROM api_key WHERE api_key.organisation = principal.organisation
         AND api_key.principal = principal.id AND revoked_ms IS NULL)
    WHEN principal.disabled_ms IS NULL THEN principal.role END, principal.issuer IS NOT NULL";

pub(super) fn principal_at(row: &Row<'_>) -> Result<PrincipalRecord> {
    let roles: Option<String> = row.get(2)?;
    let roles = roles.as_deref().unwrap_or_default().split(',').filter(|text| !text.is_empty()).map(role);
    let highest = roles.collect::<Result<Vec<Role>>>()?.into_iter().max();
    Ok(PrincipalRecord { id: id(PrincipalId, row.get(0)?), name: row.get(1)?, role: highest, is_user: row.get(3)? })
}

fn role_at<I>(kind: fn(Uuid) -> I) -> impl Fn(&Row<'_>) -> Result<RoleRecord<I>> {
    move |row| Ok(RoleRecord { id: id(kind, row.get(0)?), name: row.get(1)?, created_ms: row.get(2)? })
}

/// Returns the bytes of the id after which a page begins.
pub(super) fn after_id(page: &PageRequest) -> Vec<u8> {
    let after = page.after.as_deref().and_then(|after| Uuid::parse_str(after).ok());
    after.map_or_else(Vec::new, |after| after.into_bytes().to_vec())
}

fn principal_list(
    connection: &Connection,
    organisation: OrganisationId,
    page: &PageRequest,
) -> Result<Page<PrincipalRecord>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {PRINCIPAL} FROM principal WHERE organisation = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ))?;
    let found = statement
        .query_and_then(params![organisation.0.as_bytes(), after_id(page), one_more(page)], principal_at)?
        .collect::<Result<Vec<_>>>()?;
    Ok(page_of(found, page))
}

/// The columns of a grant, with the current name of its table or view.
const GRANT: &str = "access_grant.kind, access_grant.namespace, access_grant.securable, access_grant.privilege,
    tabular.namespace, tabular.name";

const GRANT_FROM: &str = "access_grant LEFT JOIN tabular ON access_grant.kind IN ('table', 'view')
    AND tabular.organisation = access_grant.organisation AND tabular.id = access_grant.securable";

fn grant_at(row: &Row<'_>) -> Result<Grant> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("access_grant: {error}"));
    let kind = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
    let on = match kind {
        "catalog" => Securable::Warehouse,
        "namespace" => Securable::Namespace(namespace(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?),
        kind => {
            let id = id(TableId, row.get(2)?);
            let name = match (row.get::<_, Option<String>>(4)?, row.get::<_, Option<String>>(5)?) {
                (Some(of), Some(name)) => {
                    Some(TableIdent::new(namespace(&of)?, &name).map_err(|error| corrupt(&error))?)
                }
                _ => None,
            };
            if kind == "view" { Securable::View(id, name) } else { Securable::Table(id, name) }
        }
    };
    let privilege = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Grant { on, privilege: privilege.parse().map_err(|error| corrupt(&error))? })
}

fn principal_access(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
    selected: Option<&[PrincipalRoleId]>,
) -> Result<PrincipalAccess> {
    let key = params![organisation.0.as_bytes(), principal.0.as_bytes()];
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT principal_role.name, catalog_role.warehouse, catalog_role.id, catalog_role.name, principal_role.id
         FROM principal_role_member AS member
         JOIN principal_role ON principal_role.organisation = member.organisation AND principal_role.id = member.role
         JOIN catalog_role_member AS held
              ON held.organisation = member.organisation AND held.principal_role = member.role
         JOIN catalog_role ON catalog_role.organisation = held.organisation AND catalog_role.id = held.role
         WHERE member.organisation = ?1 AND member.principal = ?2 ORDER BY principal_role.name, catalog_role.name",
    )?;
    let paths = statement.query_and_then(key, |row| {
        Ok::<_, StoreError>(RolePath {
            principal_role: row.get(0)?,
            warehouse: id(WarehouseId, row.get(1)?),
            catalog_role: id(CatalogRoleId, row.get(2)?),
            catalog_role_name: row.get(3)?,
            principal_role_id: id(PrincipalRoleId, row.get(4)?),
        })
    })?;
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.retain(|path| selected.is_none_or(|selected| selected.contains(&path.principal_role_id)));
    let mut granted = Vec::new();
    let mut roles: Vec<_> = paths.iter().map(|path| (path.catalog_role, path.warehouse)).collect();
    roles.sort_unstable();
    roles.dedup();
    for (role, warehouse) in roles {
        let grants = grants_of(connection, organisation, role)?;
        let role = Some(role);
        granted.extend(grants.into_iter().map(|Grant { on, privilege }| Granted { warehouse, role, on, privilege }));
    }
    // Also of the roles that a token is not narrowed to: narrowing lifts no restriction.
    let restricted = restrictions_of(connection, organisation, principal)?;
    let is_trusted_engine = is_trusted_engine(connection, organisation, principal)?;
    if selected.is_some() {
        return Ok(PrincipalAccess { granted, owned_in: Vec::new(), paths, restricted, is_trusted_engine });
    }
    granted.extend(owned_namespaces(connection, organisation, principal)?);
    let owned_in = owned_in(connection, organisation, principal)?;
    Ok(PrincipalAccess { granted, owned_in, paths, restricted, is_trusted_engine })
}

fn principal_roles(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
) -> Result<Vec<PrincipalRole>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT principal_role.id, principal_role.name, principal_role.created_ms
         FROM principal_role_member AS member
         JOIN principal_role ON principal_role.organisation = member.organisation AND principal_role.id = member.role
         WHERE member.organisation = ?1 AND member.principal = ?2 ORDER BY principal_role.name",
    )?;
    let key = params![organisation.0.as_bytes(), principal.0.as_bytes()];
    statement.query_and_then(key, role_at(PrincipalRoleId))?.collect()
}

fn grants_of(connection: &Connection, organisation: OrganisationId, role: CatalogRoleId) -> Result<Vec<Grant>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {GRANT} FROM {GRANT_FROM} WHERE access_grant.organisation = ?1 AND access_grant.role = ?2
         ORDER BY access_grant.kind, access_grant.securable, access_grant.privilege"
    ))?;
    statement.query_and_then(params![organisation.0.as_bytes(), role.0.as_bytes()], grant_at)?.collect()
}

/// Returns the columns `securable` and `namespace` of a grant.
fn securable_columns(on: &Securable) -> (Vec<u8>, Option<&str>) {
    match on {
        Securable::Warehouse => (Vec::new(), None),
        Securable::Namespace(ident) => (ident.as_key().as_bytes().to_vec(), Some(ident.as_key())),
        Securable::Table(id, _) | Securable::View(id, _) => (id.0.as_bytes().to_vec(), None),
    }
}

fn grant_change(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (role, grant): (CatalogRoleId, &Grant),
    limit: Option<u64>,
    change: &Change,
) -> Result<()> {
    let name = catalog_role_name(connection, warehouse_ref, role)?;
    let (securable, namespace) = securable_columns(&grant.on);
    let kind = grant.on.kind().as_str();
    let (organisation, role_id) = (warehouse_ref.organisation.0.as_bytes(), role.0.as_bytes());
    let changed = match limit {
        Some(_) => connection
            .prepare_cached(
                "INSERT INTO access_grant (organisation, role, kind, securable, privilege, warehouse, namespace)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                organisation,
                role_id,
                kind,
                securable,
                grant.privilege.as_str(),
                warehouse_ref.warehouse.0.as_bytes(),
                namespace
            ])
            .map_err(|error| match violation(&error) {
                Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
                _ => error.into(),
            })?,
        None => connection
            .prepare_cached(
                "DELETE FROM access_grant
                 WHERE organisation = ?1 AND role = ?2 AND kind = ?3 AND securable = ?4 AND privilege = ?5",
            )?
            .execute(params![organisation, role_id, kind, securable, grant.privilege.as_str()])?,
    };
    if changed == 0 {
        return Ok(());
    }
    if let Some(limit) = limit {
        let count: i64 = connection
            .prepare_cached("SELECT count(*) FROM access_grant WHERE organisation = ?1 AND role = ?2")?
            .query_row(params![organisation, role_id], |row| row.get(0))?;
        if count > bounded(limit) {
            return Err(StoreError::LimitReached { limit });
        }
    }
    let operation = if limit.is_some() { Operation::AddGrant } else { Operation::RevokeGrant };
    let object = role_object(ObjectKind::CatalogRole, role.0, &name);
    event_add(connection, change, warehouse_ref, operation, &object, &grant_details(grant))
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

/// Removes the grants on a table or view that can no longer be restored.
pub(super) fn grants_forget(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM access_grant WHERE organisation = ?1 AND securable = ?2 AND kind IN ('table', 'view')",
        )?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(())
}

fn role_list<I>(
    connection: &Connection,
    (sql, owner): (&str, &[&[u8]]),
    kind: fn(Uuid) -> I,
    page: &PageRequest,
) -> Result<Page<RoleRecord<I>>> {
    let mut statement = connection.prepare_cached(sql)?;
    let (after, limit) = (page.after.as_deref().unwrap_or(""), one_more(page));
    let mut values: Vec<&dyn rusqlite::ToSql> = vec![&after, &limit];
    values.extend(owner.iter().map(|part| part as &dyn rusqlite::ToSql));
    let found = statement.query_and_then(&values[..], role_at(kind))?.collect::<Result<Vec<_>>>()?;
    Ok(page_of(found, page))
}

impl AccessGenerations for SqliteStore {
    fn access_generation(&self, organisation: OrganisationId, principal: PrincipalId) -> Arc<AtomicU64> {
        self.generations.of_principal(organisation, principal)
    }

    fn organisation_generation(&self, organisation: OrganisationId) -> Arc<AtomicU64> {
        self.generations.of_organisation(organisation)
    }

    fn server_generation(&self) -> Arc<AtomicU64> {
        self.generations.of_server()
    }

    fn change_count(&self) -> u64 {
        self.generations.change_count()
    }

    fn access_refresh(&self, _: Option<OrganisationId>) -> Option<BoxFuture<'_, Result<()>>> {
        None
    }
}

#[async_trait]
impl GrantStore for SqliteStore {
    async fn principal_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<PrincipalRecord>> {
        let page = page.clone();
        self.read_list(Some(organisation), move |connection| principal_list(connection, organisation, &page)).await
    }

    async fn principal_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<Arc<[PrincipalRoleId]>>,
    ) -> Result<PrincipalAccess> {
        let read =
            move |connection: &Connection| principal_access(connection, organisation, principal, selected.as_deref());
        self.read_needed(Some(organisation), read).await
    }

    async fn access_counts(&self, organisation: OrganisationId) -> Result<AccessCounts> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT principal_roles, catalog_roles, assignments, grants FROM access_count WHERE organisation = ?1",
            )?;
            let mut rows = statement.query([organisation.0.as_bytes()])?;
            let Some(row) = rows.next()? else { return Ok(AccessCounts::default()) };
            let count = |column: usize| Ok::<_, StoreError>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0));
            Ok(AccessCounts {
                principal_roles: count(0)?,
                catalog_roles: count(1)?,
                assignments: count(2)?,
                grants: count(3)?,
            })
        })
    }

    async fn principal_roles(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
    ) -> Result<Vec<PrincipalRole>> {
        self.read_needed(Some(organisation), move |connection| principal_roles(connection, organisation, principal))
            .await
    }

    async fn principal_role_create(
        &self,
        organisation: OrganisationId,
        new: &PrincipalRole,
        change: &Change,
    ) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| principal_role_create(connection, organisation, &new, &change)).await
    }

    async fn principal_role_get(&self, organisation: OrganisationId, name: &str) -> Result<Option<PrincipalRole>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, created_ms FROM principal_role WHERE organisation = ?1 AND name = ?2",
            )?;
            let mut rows = statement.query(params![organisation.0.as_bytes(), name])?;
            rows.next()?.map(role_at(PrincipalRoleId)).transpose()
        })
    }

    async fn principal_role_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let page = page.clone();
        let sql = "SELECT id, name, created_ms FROM principal_role WHERE name > ?1 AND organisation = ?3
                   ORDER BY name LIMIT ?2";
        self.read_list(Some(organisation), move |connection| {
            role_list(connection, (sql, &[organisation.0.as_bytes()]), PrincipalRoleId, &page)
        })
        .await
    }

    async fn principal_role_delete(
        &self,
        organisation: OrganisationId,
        id: PrincipalRoleId,
        change: &Change,
    ) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| principal_role_delete(connection, organisation, id, &change)).await
    }

    async fn catalog_role_create(&self, warehouse_ref: WarehouseRef, new: &CatalogRole, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| catalog_role_create(connection, warehouse_ref, &new, &change)).await
    }

    async fn catalog_role_get(&self, warehouse_ref: WarehouseRef, name: &str) -> Result<Option<CatalogRole>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, created_ms FROM catalog_role WHERE organisation = ?1 AND warehouse = ?2 AND name = ?3",
            )?;
            let mut rows =
                statement.query(params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), name])?;
            rows.next()?.map(role_at(CatalogRoleId)).transpose()
        })
    }

    async fn catalog_role_list(&self, warehouse_ref: WarehouseRef, page: &PageRequest) -> Result<Page<CatalogRole>> {
        let page = page.clone();
        let sql =
            "SELECT id, name, created_ms FROM catalog_role WHERE name > ?1 AND organisation = ?3 AND warehouse = ?4
                   ORDER BY name LIMIT ?2";
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            let owner: [&[u8]; 2] = [warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes()];
            let found = role_list(connection, (sql, &owner), CatalogRoleId, &page)?;
            if found.items.is_empty()
                && !warehouse_exists(connection, warehouse_ref.organisation, warehouse_ref.warehouse)?
            {
                return Err(StoreError::NotFound(Resource::Warehouse));
            }
            Ok(found)
        })
        .await
    }

    async fn catalog_role_delete(&self, warehouse_ref: WarehouseRef, id: CatalogRoleId, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| catalog_role_delete(connection, warehouse_ref, id, &change)).await
    }

    async fn principal_role_assign(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        principal: PrincipalId,
        assigned: bool,
        change: &Change,
    ) -> Result<()> {
        let change = change.clone();
        let work = move |connection: &Connection| {
            principal_role_assign(connection, organisation, (role, principal), assigned, &change)
        };
        self.write(work).await
    }

    async fn principal_role_members(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        let page = page.clone();
        let members = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {PRINCIPAL} FROM principal_role_member AS member
                 JOIN principal ON principal.organisation = member.organisation AND principal.id = member.principal
                 WHERE member.organisation = ?1 AND member.role = ?2 AND member.principal > ?3
                 GROUP BY member.principal ORDER BY member.principal LIMIT ?4"
            ))?;
            let values = params![organisation.0.as_bytes(), role.0.as_bytes(), after_id(&page), one_more(&page)];
            Ok(page_of(statement.query_and_then(values, principal_at)?.collect::<Result<Vec<_>>>()?, &page))
        };
        self.read_list(Some(organisation), members).await
    }

    async fn principal_role_list_of(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let page = page.clone();
        let sql = "SELECT DISTINCT principal_role.id, principal_role.name, principal_role.created_ms
                   FROM principal_role_member AS member JOIN principal_role
                        ON principal_role.organisation = member.organisation AND principal_role.id = member.role
                   WHERE principal_role.name > ?1 AND member.organisation = ?3 AND member.principal = ?4
                   ORDER BY principal_role.name LIMIT ?2";
        self.read_list(Some(organisation), move |connection| {
            let owner: [&[u8]; 2] = [organisation.0.as_bytes(), principal.0.as_bytes()];
            role_list(connection, (sql, &owner), PrincipalRoleId, &page)
        })
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
        let change = change.clone();
        let work = move |connection: &Connection| {
            catalog_role_assign(connection, warehouse_ref, (role, principal_role), assigned, &change)
        };
        self.write(work).await
    }

    async fn catalog_role_members(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>> {
        let page = page.clone();
        let sql = "SELECT principal_role.id, principal_role.name, principal_role.created_ms
                   FROM catalog_role_member AS member JOIN principal_role
                        ON principal_role.organisation = member.organisation AND principal_role.id = member.principal_role
                   WHERE principal_role.name > ?1 AND member.organisation = ?3 AND member.role = ?4
                   ORDER BY principal_role.name LIMIT ?2";
        let members = move |connection: &Connection| {
            let owner: [&[u8]; 2] = [warehouse_ref.organisation.0.as_bytes(), role.0.as_bytes()];
            role_list(connection, (sql, &owner), PrincipalRoleId, &page)
        };
        self.read_list(Some(warehouse_ref.organisation), members).await
    }

    async fn catalog_role_list_of(
        &self,
        warehouse_ref: WarehouseRef,
        principal_role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>> {
        let page = page.clone();
        let sql = "SELECT catalog_role.id, catalog_role.name, catalog_role.created_ms
                   FROM catalog_role_member AS member JOIN catalog_role
                        ON catalog_role.organisation = member.organisation AND catalog_role.id = member.role
                   WHERE catalog_role.name > ?1 AND member.organisation = ?3 AND member.principal_role = ?4
                     AND catalog_role.warehouse = ?5
                   ORDER BY catalog_role.name LIMIT ?2";
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            let owner: [&[u8]; 3] = [
                warehouse_ref.organisation.0.as_bytes(),
                principal_role.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
            ];
            role_list(connection, (sql, &owner), CatalogRoleId, &page)
        })
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
        let (grant, change) = (grant.clone(), change.clone());
        self.write(move |connection| grant_change(connection, warehouse_ref, (role, &grant), Some(limit), &change))
            .await
    }

    async fn grant_revoke(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        change: &Change,
    ) -> Result<()> {
        let (grant, change) = (grant.clone(), change.clone());
        self.write(move |connection| grant_change(connection, warehouse_ref, (role, &grant), None, &change)).await
    }

    async fn grant_list(&self, warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Result<Vec<Grant>> {
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            catalog_role_name(connection, warehouse_ref, role)?;
            grants_of(connection, warehouse_ref.organisation, role)
        })
        .await
    }

    async fn table_list_owned(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        owner: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<String>> {
        let (namespace, page) = (namespace.clone(), page.clone());
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            table_list_owned(connection, warehouse_ref, (&namespace, kind, owner), &page)
        })
        .await
    }
}
