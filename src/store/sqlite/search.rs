//! Searches for namespaces, tables and views by a part of their names.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use tidewater_core::ids::TableId;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::name_search::NameFilter;

use super::SqliteStore;
use super::convert::{id, namespace};
use crate::store::search::Searching;
use crate::store::{MOST_SEARCHED_NAMESPACES, NamedPage, Result, SearchStore, WarehouseRef};

/// The names of the tables and views of a warehouse, from an index alone.
pub(super) const TABULARS: &str = "SELECT id, namespace, name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND id > ?3 ORDER BY id";

/// The names of its namespaces.
const NAMESPACES: &str = "SELECT key FROM namespace WHERE organisation = ?1 AND warehouse = ?2 LIMIT ?3";

/// Returns a column without a copy.
fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn tabulars_named(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &NameFilter,
    (after, limit): (Option<TableId>, u32),
) -> Result<NamedPage> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let after = after.map(|after| after.0).unwrap_or_default();
    let mut statement = connection.prepare_cached(TABULARS)?;
    let mut rows = statement.query(params![organisation.as_bytes(), warehouse.as_bytes(), after.as_bytes()])?;
    let mut page = Searching::new(filter, limit);
    while let Some(row) = rows.next()? {
        if page.is_full() {
            return Ok(page.end(false));
        }
        page.add(id(TableId, row.get(0)?), text(row, 1)?, text(row, 2)?)?;
    }
    Ok(page.end(true))
}

fn namespaces_named(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &NameFilter,
) -> Result<Vec<NamespaceIdent>> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let most = i64::try_from(MOST_SEARCHED_NAMESPACES).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(NAMESPACES)?;
    let mut rows = statement.query(params![organisation.as_bytes(), warehouse.as_bytes(), most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = text(row, 0)?;
        if filter.finds_namespace(key) {
            found.push(namespace(key)?);
        }
    }
    Ok(found)
}

#[async_trait]
impl SearchStore for SqliteStore {
    async fn namespaces_named(&self, warehouse_ref: WarehouseRef, filter: &NameFilter) -> Result<Vec<NamespaceIdent>> {
        let filter = filter.clone();
        let search = move |connection: &Connection| namespaces_named(connection, warehouse_ref, &filter);
        self.read_list(Some(warehouse_ref.organisation), search).await
    }

    async fn tabulars_named(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &NameFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<NamedPage> {
        let filter = filter.clone();
        let search = move |connection: &Connection| tabulars_named(connection, warehouse_ref, &filter, (after, limit));
        self.read_list(Some(warehouse_ref.organisation), search).await
    }
}
