//! Commits that the catalog makes by itself: each attempt decides about the updates from the present document.

use std::slice;
use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_core::commit::{TableCommit, summary};
use tidewater_core::document::TableMetadata;

use super::commit::{Commit, apply_in_order};
use super::{Catalog, CatalogError};
use crate::access::action::CommitTable;
use crate::access::{Permit, Table};
use crate::metadata::Document;
use crate::store::{Change, EventDetails};

/// A change of a table whose updates depend on the present document. An update that was decided about an older document could
/// undo what others have committed meanwhile.
pub trait TableEdit: Send + Sync + 'static {
    /// Returns its name, for the event.
    fn name(&self) -> &'static str;

    /// Returns the commit for the present document, or `None` if there is nothing to change. It is called again, with a newer
    /// document, when another commit was faster. `now_ms` is in milliseconds since 1970.
    ///
    /// # Errors
    /// Why the change is not made. It is not tried again.
    fn commit(&self, base: &TableMetadata, now_ms: i64) -> Result<Option<TableCommit>, CatalogError>;
}

/// The result of an edit.
#[derive(Debug, Clone)]
pub struct EditedTable {
    /// The table's document afterwards.
    pub document: Arc<Document>,
    /// The location of the replaced document. `None` if nothing was changed.
    pub replaced: Option<String>,
}

/// An edit with what its last attempt found.
#[derive(Clone)]
struct Attempted {
    edit: Arc<dyn TableEdit>,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    base: Option<String>,
    details: EventDetails,
}

impl Commit for Attempted {
    type Metadata = TableMetadata;

    fn bytes(&self) -> u64 {
        // The document is all that is large.
        0
    }

    fn apply(&self, base: &Document, now_ms: i64) -> Result<Option<TableMetadata>, CatalogError> {
        *self.last.lock() = Last::default();
        let Some(commit) = self.edit.commit(&base.metadata, now_ms)? else { return Ok(None) };
        let commits = slice::from_ref(&commit);
        let mut details = summary(commits);
        details.insert("maintenance".to_owned(), self.edit.name().into());
        *self.last.lock() = Last { base: Some(base.location.clone()), details };
        apply_in_order(base, commits, now_ms)
    }

    fn details(&self) -> EventDetails {
        self.last.lock().details.clone()
    }
}

impl Catalog {
    /// Changes a table by an edit, as an ordinary commit: after earlier commits, and again after a conflict.
    ///
    /// # Errors
    /// `NoSuchTable`; `CommitFailed`; `CommitStateUnknown`; `BadRequest`; `Metadata`; those of the edit.
    pub async fn table_edit(
        self: &Arc<Self>,
        table: Permit<CommitTable, Table>,
        edit: Arc<dyn TableEdit>,
        change: &Change,
    ) -> Result<EditedTable, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        let edited = self.to_its_end(async move {
            let attempted = Attempted { edit, last: Arc::default() };
            let loaded = catalog.commit_in_turn(table, &attempted, &change).await?;
            let replaced = attempted.last.lock().base.take().filter(|base| *base != loaded.document.location);
            Ok(EditedTable { document: loaded.document, replaced })
        });
        self.measures.commit("table", edited).await
    }
}
