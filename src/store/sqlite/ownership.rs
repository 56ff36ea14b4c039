//! Reads of what principals own.

use rusqlite::{Connection, params};
use tidewater_core::access::{Granted, Privilege, Securable};
use tidewater_core::ids::{OrganisationId, PrincipalId, WarehouseId};
use tidewater_core::name::NamespaceIdent;

use super::convert::{id, kind_text, namespace};
use super::pages::{one_more, page_of};
use crate::store::{Page, PageRequest, Result, TableKind, WarehouseRef};

/// Returns the namespaces that a principal owns, as privileges on them.
pub(super) fn owned_namespaces(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
) -> Result<Vec<Granted>> {
    let mut statement =
        connection.prepare_cached("SELECT warehouse, key FROM namespace WHERE organisation = ?1 AND owner = ?2")?;
    let owned = statement.query_and_then(params![organisation.0.as_bytes(), principal.0.as_bytes()], |row| {
        let on = Securable::Namespace(namespace(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?);
        let warehouse = id(WarehouseId, row.get(0)?);
        Ok(Granted { warehouse, role: None, on, privilege: Privilege::CatalogManageContent })
    })?;
    owned.collect()
}

/// Selects the namespaces with tables or views of an owner. Each namespace takes one search in the index, whatever the number
/// of tables.
const OWNED_IN: &str = "WITH RECURSIVE owned (warehouse, namespace) AS (
        SELECT * FROM (SELECT warehouse, namespace FROM tabular WHERE organisation = ?1 AND owner = ?2
                       ORDER BY warehouse, namespace LIMIT 1)
        UNION ALL
        SELECT (SELECT warehouse FROM tabular WHERE organisation = ?1 AND owner = ?2
                AND (warehouse, namespace) > (owned.warehouse, owned.namespace) ORDER BY warehouse, namespace LIMIT 1),
               (SELECT namespace FROM tabular WHERE organisation = ?1 AND owner = ?2
                AND (warehouse, namespace) > (owned.warehouse, owned.namespace) ORDER BY warehouse, namespace LIMIT 1)
        FROM owned WHERE owned.warehouse IS NOT NULL
    ) SELECT warehouse, namespace FROM owned WHERE warehouse IS NOT NULL";

/// Returns the namespaces with tables or views that a principal owns.
pub(super) fn owned_in(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
) -> Result<Vec<(WarehouseId, NamespaceIdent)>> {
    let mut statement = connection.prepare_cached(OWNED_IN)?;
    let owned = statement.query_and_then(params![organisation.0.as_bytes(), principal.0.as_bytes()], |row| {
        let ident = namespace(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        Ok((id(WarehouseId, row.get(0)?), ident))
    })?;
    owned.collect()
}

/// Lists the tables or views of a namespace that a principal owns, by name.
pub(super) fn table_list_owned(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (namespace, kind, owner): (&NamespaceIdent, TableKind, PrincipalId),
    page: &PageRequest,
) -> Result<Page<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM tabular WHERE organisation = ?1 AND owner = ?2 AND warehouse = ?3 AND namespace = ?4
         AND kind = ?5 AND name > ?6 ORDER BY name LIMIT ?7",
    )?;
    let names = statement.query_map(
        params![
            warehouse_ref.organisation.0.as_bytes(),
            owner.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            namespace.as_key(),
            kind_text(kind),
            page.after.as_deref().unwrap_or(""),
            one_more(page)
        ],
        |row| row.get(0),
    )?;
    Ok(page_of(names.collect::<rusqlite::Result<Vec<_>>>()?, page))
}
