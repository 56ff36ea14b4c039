//! Copies of a whole catalog from one database to another: what both databases offer for it. The rules are in `src/copy/`.

mod row;
mod tables;

use async_trait::async_trait;
use uuid::Uuid;

pub use row::{CopyRow, CopyValue, Malformed, decode_values, encode_values};
pub use tables::{COPY_TABLES, CopyColumn, CopyKind, CopyTable};

/// The most rows of a batch.
pub const COPY_BATCH_ROWS: usize = 5_000;

/// A batch ends with the row that brings it to this size, in bytes.
pub const COPY_BATCH_BYTES: usize = 4 << 20;

/// Why a database could not be read or written during a copy.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {source}")]
pub struct CopyDatabaseError {
    /// What failed, with the table.
    action: String,
    /// The database's error.
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CopyDatabaseError {
    pub(in crate::store) fn new(
        action: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { action: action.into(), source: source.into() }
    }
}

/// How far the copy of one table is. The target stores it in the transaction of each batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyState {
    /// The table's name.
    pub table: String,
    /// The source's name, for messages.
    pub source: String,
    /// The number of rows in the source.
    pub total: u64,
    /// The digest of the rows in the source.
    pub digest: Vec<u8>,
    /// The number of copied rows.
    pub copied: u64,
    /// The key of the last copied row in the source, encoded.
    pub after: Option<Vec<u8>>,
    /// The key of the last copied row in the target, encoded.
    pub written: Option<Vec<u8>>,
}

/// How far the readers of events and audit records are.
///
/// Databases count positions differently, so this has ids. A reader has got everything up to an id, and perhaps some of what comes after it. In the
/// target it continues after this id: it misses nothing, and may get some of it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReaders {
    /// The consumers of the feed.
    pub consumers: Vec<CopyConsumer>,
    /// The exports of audit records.
    pub exports: Vec<CopyExport>,
}

/// The progress of a consumer of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyConsumer {
    /// The organisation; the nil UUID for all.
    pub organisation: Uuid,
    /// The name.
    pub name: String,
    /// It has got all its events up to this id.
    pub event: i64,
    /// How often events were removed before it read them.
    pub gaps: i64,
}

/// The progress of an export of audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyExport {
    /// The sink.
    pub sink: String,
    /// It has got all events up to this id.
    pub event: i64,
    /// It has got all records up to this id.
    pub record: i64,
}

/// A database as the source or the target of a copy.
#[async_trait]
pub trait CopyStore: Send + Sync {
    /// Returns the database's name for messages and commands: `sqlite:/srv/tide` or a URL without its password.
    fn name(&self) -> &str;

    /// Returns whether texts can have the character U+0000.
    fn stores_nul(&self) -> bool;

    /// Prevents writes of others until this is dropped. Fails if a server uses the database.
    async fn hold_still(&self) -> Result<(), CopyHoldError>;

    /// Fails if a server uses the database.
    async fn check_unused(&self) -> Result<(), CopyHoldError>;

    /// Returns the next rows of a table after a key, in the order of keys: at most [`COPY_BATCH_ROWS`] rows and about
    /// [`COPY_BATCH_BYTES`]. Returns none at the table's end.
    async fn rows_after(
        &self,
        table: &'static CopyTable,
        after: Option<&[CopyValue]>,
    ) -> Result<Vec<CopyRow>, CopyDatabaseError>;

    /// Returns the states of the unfinished copy into this database, or none if there is none.
    async fn states(&self) -> Result<Vec<CopyState>, CopyDatabaseError>;

    /// Removes all rows, and stores the states of a new copy. From now on no server opens the database.
    async fn begin(&self, states: &[CopyState]) -> Result<(), CopyDatabaseError>;

    /// Adds rows to a table and replaces its state, in one transaction. Fails if the stored state has not copied `before` rows.
    async fn add(
        &self,
        table: &'static CopyTable,
        rows: Vec<CopyRow>,
        before: u64,
        state: &CopyState,
    ) -> Result<(), CopyDatabaseError>;

    /// Reads how far the readers of events and audit records are.
    async fn progress(&self) -> Result<CopyReaders, CopyDatabaseError>;

    /// Writes what follows from the rows and how far the readers are, and removes the states, in one transaction. From now on servers open the
    /// database.
    async fn finish(&self, progress: &CopyReaders) -> Result<(), CopyDatabaseError>;
}

/// Why a database cannot be kept from changing.
#[derive(Debug, thiserror::Error)]
pub enum CopyHoldError {
    /// Servers may use it.
    #[error(
        "{name} has other clients, which may be servers: {}. Stop all servers first, and close other connections of this user. \
         PgBouncer keeps connections for a while: restart it",
        clients.join(", ")
    )]
    InUse {
        /// The database's name.
        name: String,
        /// The names and addresses of the clients.
        clients: Vec<String>,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] CopyDatabaseError),
}
