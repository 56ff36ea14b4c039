//! The embedded store: one SQLite file, without other services.
//!
//! Writes are durable when they are answered (`synchronous=FULL`) and share commits (`writer.rs`). Reads run concurrently
//! (`readers.rs`). A server caches pointers, namespaces and lists in memory (`memory/`).

mod administration;
mod anchor;
mod audit;
mod backup;
mod contents;
mod convert;
mod copy;
mod dropped;
mod dropped_rows;
mod entities;
mod events;
mod fair_readers;
mod feed;
mod feed_removed;
mod forget;
mod generations;
mod grants;
mod keys;
mod labels;
mod location_rows;
mod locations;
mod log_check;
mod maintenance;
mod master_key;
mod memory;
mod namespaces;
mod old_documents;
mod open;
mod operators;
mod organisations;
mod ownership;
mod pages;
mod pointers;
mod readers;
mod receipts;
mod reports;
mod restricted;
mod restrictions;
mod roles;
mod search;
mod signing_keys;
mod subscriptions;
mod table_rows;
mod tables;
#[cfg(test)]
mod tests;
mod transact;
mod usage;
mod users;
mod warehouses;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use rusqlite::Connection;

use self::anchor::Anchor;
use self::convert::unavailable;
use self::fair_readers::FairReaders;
use self::generations::{AccessChanges, Generations};
use self::memory::{Changes, Found, Memory};
use self::readers::Readers;
use self::writer::{MOST_WAITING, TARGET, Writer};
use super::{MeasuredStore, Result, Store, StoreError};
use crate::base::line::Owner;
use crate::base::measure::Calls;

pub use self::backup::{BackupError, CopyProgress, NotInside, Proceed};
pub use self::contents::{Contents, InspectError};
pub(super) use self::copy::SqliteCopy;
pub use self::log_check::LogFound;
pub use self::open::OpenError;
#[cfg(test)]
pub(crate) use self::writer::WriteCounts;

/// Connections for lists: reads that a client can make long.
const LIST_READERS: usize = 4;

/// Connections for reads of many rows that requests need before they can do their work: the caller's access, warehouses, the tables of a
/// transaction. They never wait for lists.
const NEEDED_READERS: usize = 4;

/// The store in one SQLite file.
///
/// Dropping it completes pending writes and moves the log into the database file.
pub(crate) struct SqliteStore {
    writer: Arc<Writer>,
    point_readers: Arc<Readers>,
    lists: Arc<FairReaders>,
    needed: Arc<FairReaders>,
    /// The cache of recent reads, where this process is the only one that writes.
    memory: Option<Arc<Memory>>,
    generations: Arc<Generations>,
}

impl SqliteStore {
    /// Opens the database at `path`, creates it if it is missing, and migrates it to this version's schema. Only the file's owner
    /// can read it. The folder must exist, on a local disk: SQLite's locks and shared memory do not work over a network.
    ///
    /// # Errors
    /// Fails if the file cannot be used, is not a database, or was written by a newer program or a development version.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, None)
    }

    /// Opens the database as [`Self::open`] does, and caches up to `memory_bytes` of pointers, namespaces and lists in memory. The
    /// caller must hold the lock of the data folder, so that no other process writes the database.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn open_alone(path: &Path, memory_bytes: u64) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, (memory_bytes > 0).then(|| Arc::new(Memory::new(memory_bytes))))
    }

    fn open_with(path: &Path, memory: Option<Arc<Memory>>) -> std::result::Result<Self, OpenError> {
        let connection = open::open_writer(path)?;
        copy::check_complete(&connection, path)?;
        let generations = Arc::<Generations>::default();
        let changes = AccessChanges::follow(&connection, Arc::clone(&generations))
            .and_then(|access| Changes::follow(&connection, memory.clone(), access))
            .map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
        let writer = Writer::start(connection, Anchor::new(path), changes, MOST_WAITING)
            .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let cores = available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            writer: Arc::new(writer),
            point_readers: Arc::new(Readers::new(path.to_owned(), cores)),
            lists: Arc::new(FairReaders::new(path.to_owned(), LIST_READERS)),
            needed: Arc::new(FairReaders::new(path.to_owned(), NEEDED_READERS)),
            memory,
            generations,
        })
    }

    /// Reads the log of the database at `path` after an unclean stop. No process may have the database open, this one above all:
    /// closing a database's file drops all locks that the process has on it.
    ///
    /// # Errors
    /// Fails if the log exists and cannot be read.
    pub(crate) fn inspect_log(path: &Path) -> std::io::Result<LogFound> {
        log_check::inspect(path)
    }

    /// Copies the database at `from`, which a server may be using, into the empty file at `to`. The copy is a snapshot that
    /// includes every change acknowledged before the call. Concurrent writes do not delay it. Calls `progress` after every few
    /// MiB. The caller syncs the file. Returns what a restore needs besides the copy.
    ///
    /// # Errors
    /// Fails if a file cannot be read or written, the database is damaged, or `progress` stopped the copy.
    pub(crate) fn backup(
        from: &Path,
        to: &Path,
        progress: &mut dyn FnMut(CopyProgress) -> Proceed,
    ) -> std::result::Result<NotInside, BackupError> {
        backup::copy(from, to, progress)
    }

    /// Checks that the file at `path` is a complete catalog of a version that this program can read. No other process may use
    /// the file. Returns what a restore needs besides the copy.
    ///
    /// # Errors
    /// `Damaged`, `NotACatalog`, `Open`.
    pub(crate) fn check_backup(path: &Path) -> std::result::Result<NotInside, BackupError> {
        backup::check(path)
    }

    /// Closes the store: completes and answers all pending writes, then moves the log's content into the database file. Later
    /// reads return [`StoreError::Unavailable`], later changes [`StoreError::NotMade`].
    #[cfg(test)]
    pub(crate) async fn close(&self) {
        if let Some(memory) = &self.memory {
            memory.close();
        }
        let (writer, point_readers) = (Arc::clone(&self.writer), Arc::clone(&self.point_readers));
        let long_readers = [Arc::clone(&self.lists), Arc::clone(&self.needed)];
        let closing = tokio::task::spawn_blocking(move || close(&writer, &point_readers, &long_readers));
        // It fails only if the runtime is shutting down. Dropping the store then closes it.
        let _ = closing.await;
    }

    /// Limits the database's growth to `spare` more pages. SQLite then behaves as on a full disk.
    #[cfg(test)]
    pub(crate) async fn leave_room(&self, spare: i64) {
        let limit = move |connection: &Connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            connection.pragma_update(None, "max_page_count", pages + spare)?;
            Ok(())
        };
        self.writer.write(limit).await.unwrap();
    }

    /// Returns the numbers of requests and commits since the store was opened.
    #[cfg(test)]
    pub(crate) fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Runs a read of a few microseconds on the caller's thread.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let span = self.writer.calls().span(TARGET, "read");
        let result = self.point_readers.with(read);
        if let Some(mut span) = span {
            if let Err(error) = &result {
                span.fail(error.kind());
            }
            span.end();
        }
        result
    }

    /// Runs a list of an organisation, or of the server itself and its operators, when its turn comes.
    async fn read_list<T, F>(&self, owner: Owner, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.read_long(&self.lists, owner, read).await
    }

    /// Runs a read of many rows that a request needs before it can do its work. It never waits for lists.
    async fn read_needed<T, F>(&self, owner: Owner, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.read_long(&self.needed, owner, read).await
    }

    async fn read_long<T, F>(&self, readers: &FairReaders, owner: Owner, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let measurement = self.writer.calls().begin(TARGET, "list");
        let result = readers.read(owner, read).await;
        measurement.end(&result, StoreError::kind);
        result
    }
}

impl MeasuredStore for SqliteStore {
    fn calls(&self) -> Calls {
        self.writer.calls().clone()
    }

    fn waiting_changes(&self) -> usize {
        self.writer.waiting()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        if !self.writer.is_alive() {
            return Err(unavailable("the store is closed"));
        }
        self.read(|connection| {
            connection.prepare_cached("SELECT 1 FROM organisation LIMIT 1")?.exists([])?;
            Ok(())
        })
    }

    async fn task_claim(&self, _: &str, _: i64, _: i64) -> Result<bool> {
        Ok(true)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        close(&self.writer, &self.point_readers, &[Arc::clone(&self.lists), Arc::clone(&self.needed)]);
    }
}

/// Closes the readers first: the last connection to close checkpoints the log, and only the writer's is able to.
fn close(writer: &Writer, point_readers: &Readers, long_readers: &[Arc<FairReaders>]) {
    point_readers.close();
    for readers in long_readers {
        readers.close();
    }
    writer.close();
}
