//! Labels of namespaces, tables and views.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::labels::{LabelUpdate, Labels};
use tidewater_core::name::NamespaceIdent;

use super::change::Change;
use super::error::{Result, StoreError};
use super::table_kind::TableKind;
use super::warehouses::WarehouseRef;

/// An object that can have labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelledObject {
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table or view, whatever its name is.
    Tabular(TableKind, TableId),
}

/// Stores labels. Those of a table or view stay with it through renames, commits, a drop and a restore, and those of a namespace go with it.
/// [`TableRecord`](super::TableRecord) has the labels of a table or view.
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

    /// Lists the namespaces of an organisation that have labels.
    async fn labels_of_namespaces(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(WarehouseId, NamespaceIdent, Labels)>>;
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
