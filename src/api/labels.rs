//! The labels in the answer to a load of a table or view.

use std::sync::Arc;

use tidewater_core::document::{Schema, TableMetadata};
use tidewater_core::labels::{LabelMap, Labels, sent};
use tidewater_core::name::TableIdent;
use tidewater_core::view::ViewMetadata;

use super::Api;
use super::error::ApiError;
use crate::metadata::Document;
use crate::store::TableRecord;
use crate::warehouse::OpenWarehouse;

/// A table or view that was found.
#[derive(Clone, Copy)]
pub(super) struct Labelled<'a> {
    pub(super) warehouse: &'a OpenWarehouse,
    pub(super) ident: &'a TableIdent,
    pub(super) record: &'a TableRecord,
}

impl Labelled<'_> {
    /// Returns whether it may have labels: its own, or inherited ones. Looks at nothing but memory.
    #[inline]
    pub(super) fn may_have_any(&self) -> bool {
        self.record.labels.is_some() || !self.warehouse.labels.is_empty()
    }

    /// Returns the JSON of its labels, with those of the columns of `schema`. `None` if there are none.
    ///
    /// # Errors
    /// 503 if the request's time ends, or no worker is free.
    pub(super) async fn sent<M: Send + Sync + 'static>(
        &self,
        api: &Api,
        document: &Arc<Document<M>>,
        schema: fn(&M) -> Option<&Schema>,
    ) -> Result<Option<String>, ApiError> {
        let inherited = self.warehouse.labels.inherited(&self.ident.namespace);
        let own = self.record.labels.clone();
        if own.as_ref().is_none_or(|own| own.fields().is_empty()) {
            return Ok(sent(inherited, own.as_deref(), |_| false));
        }
        let (document, owner) = (Arc::clone(document), self.warehouse.warehouse_ref.organisation.0);
        let bytes = document.json.len() as u64;
        let work = move || sent_with_columns(inherited, own.as_deref(), schema(&document.metadata));
        Ok(api.heavy.run(owner, bytes, work).await?)
    }
}

fn sent_with_columns(inherited: LabelMap, own: Option<&Labels>, schema: Option<&Schema>) -> Option<String> {
    let index = schema.and_then(|schema| schema.index().ok());
    sent(inherited, own, |id| index.as_ref().is_some_and(|index| index.column(id).is_some()))
}

/// Returns the current schema of a table.
pub(super) fn schema_of_table(table: &TableMetadata) -> Option<&Schema> {
    table.schema(table.current_schema_id())
}

/// Returns the schema of the current version of a view.
pub(super) fn schema_of_view(view: &ViewMetadata) -> Option<&Schema> {
    view.schema(view.current_version()?.schema_id())
}
