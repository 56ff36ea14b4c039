//! Labels of namespaces, tables and views.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::labels::{LabelFilter, LabelUpdate, Labels};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::change::Change;
use super::error::{Result, StoreError};
use super::pages::{Page, PageFill};
use super::table_kind::TableKind;
use super::tables::TableRecord;
use super::warehouses::WarehouseRef;

/// An object that can have labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelledObject {
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table or view, whatever its name is.
    Tabular(TableKind, TableId),
}

/// A table or view, with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledTabular {
    /// Its name.
    pub ident: TableIdent,
    /// Its record, which has the labels.
    pub record: TableRecord,
}

/// A page of tables and views with a label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelledPage {
    /// The tables and views.
    pub items: Vec<LabelledTabular>,
    /// The id after which the next page begins. `None` on the last page.
    pub next: Option<TableId>,
}

/// Stores labels. Those of a table or view stay with it through renames, commits, a drop and a restore, and those of a namespace go with it.
/// [`TableRecord`] has the labels of a table or view.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait LabelStore: Send + Sync + 'static {
    /// Changes the labels of an object, and returns them. A change that leaves them as they are leaves no event.
    ///
    /// # Errors
    /// `NotFound` for the object; `Labels` if the object would have labels that are not allowed; `LimitReached` if the labels of the
    /// organisation's namespaces together would have more than `most_bytes` bytes of JSON.
    async fn labels_update(
        &self,
        warehouse_ref: WarehouseRef,
        on: &LabelledObject,
        update: &LabelUpdate,
        most_bytes: u64,
        change: &Change,
    ) -> Result<Labels>;

    /// Lists the tables and views of a warehouse with a label of their own or of a column, by id. A page ends early if it has many
    /// bytes, or many others were read.
    async fn labelled_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &LabelFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<LabelledPage>;

    /// Lists the tables and views of a namespace with their labels, by name, after a name. A page has fewer than `limit` if it has many
    /// bytes. A missing namespace has none.
    async fn tabular_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        after: &str,
        limit: u32,
    ) -> Result<Page<LabelledTabular>>;

    /// Lists the namespaces of an organisation that have labels.
    async fn labels_of_namespaces(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(WarehouseId, NamespaceIdent, Labels)>>;
}

/// Makes a page of tables and views with a label, from those with any labels.
pub(super) struct Labelling<'a> {
    filter: &'a LabelFilter,
    fill: PageFill,
    last: Option<TableId>,
    items: Vec<LabelledTabular>,
}

impl<'a> Labelling<'a> {
    /// Begins a page of at most `limit` items.
    pub(super) fn new(filter: &'a LabelFilter, limit: u32) -> Self {
        Self { filter, fill: PageFill::new(limit), last: None, items: Vec::new() }
    }

    /// Returns whether the page ends here. Another row then means that another page follows.
    pub(super) fn is_full(&self) -> bool {
        self.fill.is_full()
    }

    /// Returns the id of the last table or view that was added.
    pub(super) const fn last(&self) -> Option<TableId> {
        self.last
    }

    /// Adds a table or view, unless it has another label.
    pub(super) fn add(&mut self, one: LabelledTabular, bytes: usize) {
        let is_found = self.filter.find(one.record.labels.as_deref(), None).is_some();
        self.fill.count_row(bytes, is_found);
        self.last = Some(one.record.id);
        if is_found {
            self.items.push(one);
        }
    }

    /// Returns the page. `is_last` says whether all rows were read.
    pub(super) fn end(self, is_last: bool) -> LabelledPage {
        LabelledPage { items: self.items, next: self.last.filter(|_| !is_last) }
    }
}

/// Returns labels from the text of their column.
pub(super) fn labels_of_column(text: Option<&str>) -> Result<Option<Labels>> {
    let labels = text.map(Labels::parse).transpose();
    labels.map_err(|error| StoreError::Corrupt(format!("labels: {error}")))
}

/// Returns the text of labels for their column. `None` if there are none.
pub(super) fn labels_column(labels: &Labels) -> Option<String> {
    if labels.is_empty() { None } else { Some(labels.to_json()) }
}
