//! Old metadata documents: no longer in their table's log, and queued for removal.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::error::Result;
use super::warehouses::WarehouseRef;

/// What happens to earlier documents when a table's pointer moves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Past {
    /// All of them stay.
    #[default]
    Kept,
    /// These are no longer in the new document's log. Their removal is due at `due_ms`, unless the table's locations
    /// change with this move.
    Removed {
        /// Their locations.
        documents: Vec<Location>,
        /// When their removal may begin, in milliseconds since 1970.
        due_ms: i64,
    },
}

/// A document that a server has leased to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldDocument {
    /// The warehouse of its table.
    pub warehouse_ref: WarehouseRef,
    /// The table, which is not dropped.
    pub table: TableId,
    /// The document's location.
    pub document: Location,
    /// The table's locations.
    pub locations: Vec<Location>,
    /// The number of begun removals, which is also the number of the present lease.
    pub attempts: u32,
}

/// The end of a server's lease of an old document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedDocument {
    /// The document, as it was claimed.
    pub document: OldDocument,
    /// The time of the next attempt. `None` if the file is removed, or stays.
    pub retry_at_ms: Option<i64>,
}

/// Queues metadata documents for removal.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A claim whose future is dropped may have leased documents: they are claimed again when the lease ends.
#[async_trait]
pub trait OldDocumentStore: Send + Sync + 'static {
    /// Returns a table's last document that the catalog did not write for it at its present locations. `None` if the catalog
    /// wrote all of them, or the table does not exist.
    async fn table_origin(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<String>>;

    /// Leases to the caller, until `until_ms`, old documents of live tables that are due at `now_ms`: of up to `organisations`
    /// organisations, the longest overdue first, up to `of_each` documents of each. Forgets documents of tables that are not live.
    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>>;

    /// Makes old documents due at `now_ms` whose lease or pause ends after `latest_ms`: the clock was set back since. Returns their number.
    async fn old_document_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64>;

    /// Ends leases of old documents. Ignores documents that another server has leased since.
    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()>;
}
