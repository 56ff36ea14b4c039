//! Reads of grants, and of what principals own.

use tidewater_core::access::{Granted, Privilege, Restricted, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::convert::get;
use super::digests::namespace_digest;
use super::pages::{after_name, one_more, page_of};
use super::params::params;
use super::restricted::restriction_at;
use super::roles::CATALOG_ROLE_NAME;
use super::table_rows::{kind_text, namespace};
use crate::store::{
    Grant, Page, PageRequest, PrincipalAccess, Resource, Result, RolePath, StoreError, TableKind, WarehouseRef,
};

/// Finds the current name of the table or view of a grant, one search in an index for each grant.
macro_rules! named {
    () => {
        "LEFT JOIN LATERAL (
             SELECT tabular.namespace, tabular.name FROM tabular
             WHERE tabular.organisation = access_grant.organisation AND access_grant.kind IN ('table', 'view')
                   AND tabular.id = CASE WHEN access_grant.kind IN ('table', 'view')
                                         THEN encode(access_grant.securable, 'hex')::uuid END
             LIMIT 1
         ) AS named ON true"
    };
}

/// Reads the access of a principal in one statement, so that all of it is of one time.
///
/// The rows of section 1 are the roles of the principal, those of section 2 their grants, those of section 3 the namespaces that the
/// principal owns, and those of section 4 the namespaces with tables or views that it owns. Unless `$4` is true, only the principal
/// roles of `$3` count, without what the principal owns. For section 4, each namespace takes one search in the index, whatever the number of tables.
/// The rows of section 5 are the restrictions of all its principal roles, whatever `$3` is, and section 6 has a row for a trusted engine.
pub(super) const ACCESS: &str = concat!(
    "WITH RECURSIVE path AS MATERIALIZED (
         SELECT DISTINCT principal_role.id AS principal_role, principal_role.name AS principal_role_name,
                catalog_role.warehouse, catalog_role.id AS role, catalog_role.name AS role_name
         FROM principal_role_member AS member
         JOIN principal_role ON principal_role.organisation = member.organisation AND principal_role.id = member.role
         JOIN catalog_role_member AS held
              ON held.organisation = member.organisation AND held.principal_role = member.role
         JOIN catalog_role ON catalog_role.organisation = held.organisation AND catalog_role.id = held.role
         WHERE member.organisation = $1 AND member.principal = $2 AND ($4 OR member.role = ANY ($3))
     ), role AS MATERIALIZED (
         SELECT DISTINCT role, warehouse FROM path
     ), owned_in (warehouse, namespace, namespace_digest) AS (
         (SELECT warehouse, namespace, namespace_digest FROM tabular WHERE organisation = $1 AND owner = $2 AND $4
          ORDER BY warehouse, namespace_digest LIMIT 1)
         UNION ALL
         SELECT following.warehouse, following.namespace, following.namespace_digest FROM owned_in CROSS JOIN LATERAL (
             SELECT warehouse, namespace, namespace_digest FROM tabular
             WHERE organisation = $1 AND owner = $2
                   AND (warehouse, namespace_digest) > (owned_in.warehouse, owned_in.namespace_digest)
             ORDER BY warehouse, namespace_digest LIMIT 1
         ) AS following
     )
     SELECT 1, principal_role, warehouse, role, principal_role_name, role_name, NULL::bytea, NULL::text, NULL::text
     FROM path
     UNION ALL
     SELECT 2, NULL, role.warehouse, role.role, granted.kind, granted.privilege, granted.securable,
            granted.namespace, granted.name
     FROM role CROSS JOIN LATERAL (
         SELECT access_grant.kind, access_grant.privilege, access_grant.securable,
                coalesce(access_grant.namespace, named.namespace) AS namespace, named.name
         FROM access_grant ",
    named!(),
    "
         WHERE access_grant.organisation = $1 AND access_grant.role = role.role OFFSET 0
     ) AS granted
     UNION ALL
     SELECT 3, NULL, warehouse, NULL, NULL, NULL, NULL, key, NULL FROM namespace
     WHERE organisation = $1 AND owner = $2 AND $4
     UNION ALL
     SELECT 4, NULL, warehouse, NULL, NULL, NULL, NULL, namespace, NULL FROM owned_in
     UNION ALL
     SELECT DISTINCT 5, one.principal_role, one.warehouse, one.tabular, one.restriction, NULL, NULL::bytea, NULL, NULL
     FROM principal_role_member AS member
     JOIN read_restriction AS one ON one.organisation = member.organisation AND one.principal_role = member.role
     WHERE member.organisation = $1 AND member.principal = $2
     UNION ALL
     SELECT 6, principal, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM trusted_engine
     WHERE organisation = $1 AND principal = $2
     ORDER BY 1, 4, 5, 7, 6"
);

/// Selects the grants of a catalog role.
pub(super) const OF_ROLE: &str = concat!(
    "SELECT access_grant.kind, access_grant.privilege, access_grant.securable,
            coalesce(access_grant.namespace, named.namespace), named.name
     FROM access_grant ",
    named!(),
    " WHERE access_grant.organisation = $1 AND access_grant.role = $2
      ORDER BY access_grant.kind, access_grant.securable, access_grant.privilege"
);

/// Reads a grant from the columns kind, privilege, securable, namespace and name, the first of which is `first`.
fn grant_at(row: &Row, first: usize) -> Result<Grant> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("access_grant: {error}"));
    let (kind, privilege): (&str, &str) = (get(row, first)?, get(row, first + 1)?);
    let on_namespace: Option<&str> = get(row, first + 3)?;
    let on = match (kind, on_namespace) {
        ("catalog", _) => Securable::Warehouse,
        ("namespace", Some(key)) => Securable::Namespace(namespace(key)?),
        (kind, on_namespace) => {
            let id = Uuid::from_slice(get(row, first + 2)?).map_err(|error| corrupt(&error))?;
            let name = match (on_namespace, get::<Option<&str>>(row, first + 4)?) {
                (Some(key), Some(name)) => {
                    Some(TableIdent::new(namespace(key)?, name).map_err(|error| corrupt(&error))?)
                }
                _ => None,
            };
            if kind == "view" { Securable::View(TableId(id), name) } else { Securable::Table(TableId(id), name) }
        }
    };
    Ok(Grant { on, privilege: privilege.parse().map_err(|error| corrupt(&error))? })
}

/// Returns the columns `securable` and `namespace` of a grant.
pub(super) fn securable_columns(on: &Securable) -> (Vec<u8>, Option<&str>) {
    match on {
        Securable::Warehouse => (Vec::new(), None),
        Securable::Namespace(ident) => (ident.as_key().as_bytes().to_vec(), Some(ident.as_key())),
        Securable::Table(id, _) | Securable::View(id, _) => (id.0.as_bytes().to_vec(), None),
    }
}

/// Adds a row of [`ACCESS`].
fn add_row(access: &mut PrincipalAccess, row: &Row) -> Result<()> {
    let section = get::<i32>(row, 0)?;
    if section == 6 {
        access.is_trusted_engine = true;
        return Ok(());
    }
    let warehouse = WarehouseId(get(row, 2)?);
    match section {
        1 => access.paths.push(RolePath {
            principal_role_id: PrincipalRoleId(get(row, 1)?),
            principal_role: get(row, 4)?,
            warehouse,
            catalog_role: CatalogRoleId(get(row, 3)?),
            catalog_role_name: get(row, 5)?,
        }),
        2 => {
            let Grant { on, privilege } = grant_at(row, 4)?;
            let role = Some(CatalogRoleId(get(row, 3)?));
            access.granted.push(Granted { warehouse, role, on, privilege });
        }
        3 => {
            let on = Securable::Namespace(namespace(get(row, 7)?)?);
            access.granted.push(Granted { warehouse, role: None, on, privilege: Privilege::CatalogManageContent });
        }
        4 => access.owned_in.push((warehouse, namespace(get(row, 7)?)?)),
        _ => access.restricted.push(Restricted {
            warehouse,
            table: TableId(get(row, 3)?),
            role: PrincipalRoleId(get(row, 1)?),
            restriction: restriction_at(row, 4)?,
        }),
    }
    Ok(())
}

impl PostgresStore {
    /// Returns the access of a principal.
    pub(super) async fn read_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<&[PrincipalRoleId]>,
    ) -> Result<PrincipalAccess> {
        let roles: Vec<Uuid> = selected.unwrap_or_default().iter().map(|role| role.0).collect();
        let rows = self.read_needed(ACCESS, params![organisation.0, principal.0, roles, selected.is_none()]).await?;
        let mut access = PrincipalAccess::default();
        rows.iter().try_for_each(|row| add_row(&mut access, row))?;
        let name = |path: &RolePath| (path.principal_role.clone(), path.catalog_role_name.clone());
        access.paths.sort_by_cached_key(name);
        Ok(access)
    }

    /// Returns the grants of a catalog role.
    pub(super) async fn read_grants(&self, warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Result<Vec<Grant>> {
        let WarehouseRef { organisation, warehouse } = warehouse_ref;
        let rows = self.read(OF_ROLE, params![organisation.0, role.0]).await?;
        let name = self.read_first(CATALOG_ROLE_NAME, params![organisation.0, warehouse.0, role.0]).await?;
        name.ok_or(StoreError::NotFound(Resource::CatalogRole))?;
        rows.iter().map(|row| grant_at(row, 0)).collect()
    }

    /// Lists the tables or views of a namespace that a principal owns, by name.
    pub(super) async fn read_owned_tables(
        &self,
        warehouse_ref: WarehouseRef,
        (namespace, kind, owner): (&NamespaceIdent, TableKind, PrincipalId),
        page: &PageRequest,
    ) -> Result<Page<String>> {
        let rows = self
            .read(
                "SELECT name FROM tabular WHERE organisation = $1 AND owner = $2 AND warehouse = $3
                 AND namespace_digest = $8 AND namespace = $4 AND kind = $5 AND name > $6 ORDER BY name LIMIT $7",
                params![
                    warehouse_ref.organisation.0,
                    owner.0,
                    warehouse_ref.warehouse.0,
                    namespace.as_key(),
                    kind_text(kind),
                    after_name(page),
                    one_more(page),
                    namespace_digest(namespace)
                ],
            )
            .await?;
        Ok(page_of(rows.iter().map(|row| get(row, 0)).collect::<Result<Vec<_>>>()?, page))
    }
}
