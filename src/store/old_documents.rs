//! Records of metadata documents that left a table's log and are to be removed.

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::Place;

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
