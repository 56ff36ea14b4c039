//! Metadata documents that left a table's log and are to be removed.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::error::Result;
use super::warehouses::Place;

/// What a move of a table's pointer means for the documents before the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Past {
    /// All stay.
    #[default]
    Kept,
    /// These left the log with the new document and are to be removed from `due_ms` on, unless the table's locations change
    /// with this move.
    Removed {
        /// Where they are.
        documents: Vec<Location>,
        /// When the first may be removed, in milliseconds since 1970.
        due_ms: i64,
    },
}

/// A document that a server is to remove, with the lease that it has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldDocument {
    /// The warehouse of its table.
    pub place: Place,
    /// The table, which is live.
    pub table: TableId,
    /// Where the document is.
    pub document: Location,
    /// Where the table's files are.
    pub locations: Vec<Location>,
    /// How often its removal was begun; the number of the present lease.
    pub attempts: u32,
}

/// How a server ends its lease of an old document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedDocument {
    /// Which one, as it was claimed.
    pub document: OldDocument,
    /// When its removal is tried again; none when the file is gone, or stays for good.
    pub retry_at_ms: Option<i64>,
}

/// Keeps metadata documents that left a table's log and are to be removed.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A claim whose future is dropped may have leased documents: they are claimed again when the lease ends.
#[async_trait]
pub trait OldDocumentStore: Send + Sync + 'static {
    /// Returns the last document of a table that the catalog did not write for it, where its files are now; none when it wrote
    /// all of them, or there is no such table.
    async fn table_origin(&self, place: Place, id: TableId) -> Result<Option<String>>;

    /// Leases to the caller, until `until_ms`, old documents of live tables that are due at `now_ms`: of as many organisations
    /// as it says, those that wait longest first, up to `of_each` of each. What belongs to no live table is forgotten.
    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>>;

    /// Ends leases of old documents. Passes over those that another has the lease of by now.
    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()>;
}
