//! Searches for namespaces, tables and views by a part of their names.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::name_search::NameFilter;

use super::error::{Result, StoreError};
use super::pages::PageFill;
use super::warehouses::WarehouseRef;

/// The most namespaces of a warehouse whose names one search reads.
pub const MOST_SEARCHED_NAMESPACES: usize = 100_000;

/// A page of tables and views that a search finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedPage {
    /// Their names.
    pub items: Vec<TableIdent>,
    /// The id after which the next page begins. `None` on the last page.
    pub next: Option<TableId>,
}

/// Finds objects of a warehouse by a part of their names. It reads names only.
///
/// A read whose future is dropped has no effect.
#[async_trait]
pub trait SearchStore: Send + Sync + 'static {
    /// Finds the namespaces of a warehouse, in no order, among at most [`MOST_SEARCHED_NAMESPACES`].
    async fn namespaces_named(&self, warehouse_ref: WarehouseRef, filter: &NameFilter) -> Result<Vec<NamespaceIdent>>;

    /// Finds the tables and views of a warehouse, by id. A page ends early if many others were read.
    async fn tabulars_named(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &NameFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<NamedPage>;
}

/// Makes a page of a search, from all tables and views.
pub(super) struct Searching<'a> {
    filter: &'a NameFilter,
    fill: PageFill,
    last: Option<TableId>,
    items: Vec<TableIdent>,
}

impl<'a> Searching<'a> {
    /// Begins a page of at most `limit` items.
    pub(super) fn new(filter: &'a NameFilter, limit: u32) -> Self {
        Self { filter, fill: PageFill::of_names(limit), last: None, items: Vec::new() }
    }

    /// Returns whether the page ends here. Another row then means that another page follows.
    pub(super) fn is_full(&self) -> bool {
        self.fill.is_full()
    }

    /// Returns the id of the last table or view that was read.
    pub(super) const fn last(&self) -> Option<TableId> {
        self.last
    }

    /// Adds a table or view, unless it has another name.
    ///
    /// # Errors
    /// `Corrupt` if its name is none.
    pub(super) fn add(&mut self, id: TableId, namespace_key: &str, name: &str) -> Result<()> {
        let is_found = self.filter.finds_tabular(namespace_key, name);
        self.fill.count_row(namespace_key.len() + name.len(), is_found);
        self.last = Some(id);
        if is_found {
            let namespace = NamespaceIdent::from_key(namespace_key);
            let ident = namespace.and_then(|namespace| TableIdent::new(namespace, name));
            self.items.push(ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?);
        }
        Ok(())
    }

    /// Returns the page. `is_last` says whether all rows were read.
    pub(super) fn end(self, is_last: bool) -> NamedPage {
        NamedPage { items: self.items, next: self.last.filter(|_| !is_last) }
    }
}
