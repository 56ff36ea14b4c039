//! Searches for namespaces, tables and views by a part of their names.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::name_search::NameFilter;

use super::PostgresStore;
use super::convert::get;
use super::params::params;
use super::table_rows::namespace;
use crate::store::search::Searching;
use crate::store::{MOST_SEARCHED_NAMESPACES, NamedPage, Result, SearchStore, WarehouseRef};

/// The names of the tables and views of a warehouse. Ids are in the order of their creation, like the rows, so few pages are read.
const TABULARS: &str = "SELECT id, namespace, name FROM tabular
    WHERE organisation = $1 AND warehouse = $2 AND id > $3 ORDER BY id LIMIT $4";

/// The names of its namespaces.
const NAMESPACES: &str = "SELECT key, digest FROM namespace
    WHERE organisation = $1 AND warehouse = $2 AND digest > $3 ORDER BY digest LIMIT $4";

/// How many rows are read at once.
const MOST_AT_ONCE: usize = 5_000;

#[async_trait]
impl SearchStore for PostgresStore {
    async fn namespaces_named(&self, warehouse_ref: WarehouseRef, filter: &NameFilter) -> Result<Vec<NamespaceIdent>> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let (mut found, mut after) = (Vec::new(), Vec::new());
        for _ in 0..MOST_SEARCHED_NAMESPACES.div_ceil(MOST_AT_ONCE) {
            let rows =
                self.read(NAMESPACES, params![organisation, warehouse, after.as_slice(), most_at_once()]).await?;
            for row in &rows {
                let key: &str = get(row, 0)?;
                if filter.finds_namespace(key) {
                    found.push(namespace(key)?);
                }
            }
            match rows.last() {
                Some(last) if rows.len() == MOST_AT_ONCE => after = get::<&[u8]>(last, 1)?.to_vec(),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn tabulars_named(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &NameFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<NamedPage> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let mut page = Searching::new(filter, limit);
        loop {
            let last = page.last().or(after).map(|last| last.0).unwrap_or_default();
            let rows = self.read(TABULARS, params![organisation, warehouse, last, most_at_once()]).await?;
            for row in &rows {
                if page.is_full() {
                    return Ok(page.end(false));
                }
                page.add(TableId(get(row, 0)?), get(row, 1)?, get(row, 2)?)?;
            }
            if rows.len() < MOST_AT_ONCE {
                return Ok(page.end(true));
            }
        }
    }
}

/// Returns [`MOST_AT_ONCE`] for a statement.
fn most_at_once() -> i64 {
    i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX)
}
