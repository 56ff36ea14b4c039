//! The embedded store: one SQLite file, nothing else to install.
//!
//! Writes are durable when they are answered (`synchronous=FULL`) and share commits (`writer.rs`); reads run beside them
//! (`readers.rs`). A server keeps what was read lately in memory (`memory/`).

mod administration;
mod anchor;
mod backup;
mod convert;
mod dropped;
mod dropped_rows;
mod events;
mod forget;
mod generations;
mod grants;
mod keys;
mod location_rows;
mod locations;
mod log_check;
mod master_key;
mod memory;
mod namespaces;
mod old_documents;
mod open;
mod operators;
mod organisations;
mod pages;
mod pointers;
mod readers;
mod receipts;
mod reports;
mod roles;
mod signing_keys;
mod table_rows;
mod tables;
#[cfg(test)]
mod tests;
mod transact;
mod usage;
mod warehouses;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use rusqlite::Connection;

use self::anchor::Anchor;
use self::convert::unavailable;
use self::generations::{AccessChanges, Generations};
use self::memory::{Changes, Found, Memory};
use self::readers::Readers;
use self::writer::{MOST_WAITING, Writer};
use super::{Result, Store, StoreError};

pub use self::backup::{BackupError, CopyProgress, NotInside, Proceed};
pub use self::log_check::LogFound;
pub use self::open::OpenError;
pub use self::writer::WriteCounts;

/// Connections for lists, which may be long and are read on threads that may wait.
const LIST_READERS: usize = 4;

/// The store in one SQLite file.
///
/// Dropping it does what [`SqliteStore::close`] does.
pub struct SqliteStore {
    writer: Arc<Writer>,
    point_readers: Arc<Readers>,
    list_readers: Arc<Readers>,
    /// What was read lately, where this process is the only one that writes.
    memory: Option<Arc<Memory>>,
    generations: Arc<Generations>,
}

impl SqliteStore {
    /// Opens the database at `path`, making it if there is none, and brings it to this version's schema. Only its owner
    /// can read the file. The folder must exist, on a disk of this machine: SQLite's locks and shared memory do not hold
    /// over a network.
    ///
    /// # Errors
    /// When the file cannot be used, is not a database, or was written by a newer version of the program.
    pub fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, None)
    }

    /// Opens the database as [`Self::open`] does, and keeps up to `memory_bytes` of pointers, namespaces and lists in
    /// memory. The caller holds the lock of the data folder, so that no other process writes the database meanwhile.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_alone(path: &Path, memory_bytes: u64) -> std::result::Result<Self, OpenError> {
        Self::open_with(path, (memory_bytes > 0).then(|| Arc::new(Memory::new(memory_bytes))))
    }

    fn open_with(path: &Path, memory: Option<Arc<Memory>>) -> std::result::Result<Self, OpenError> {
        let connection = open::open_writer(path)?;
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
            list_readers: Arc::new(Readers::new(path.to_owned(), LIST_READERS)),
            memory,
            generations,
        })
    }

    /// Reads the log of the database at `path` as an unclean stop left it. Nobody may have the database open, this process
    /// above all: to close a file of a database drops the locks that the process has on it.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub fn inspect_log(path: &Path) -> std::io::Result<LogFound> {
        log_check::inspect(path)
    }

    /// Copies the database at `from`, which a server may be using, into the empty file at `to`. The copy holds all that was
    /// acknowledged before the call, of one moment, and the work ends however much is written meanwhile. `progress` is
    /// called after every few MiB. The caller syncs the file. Gives what a restore needs beside it.
    ///
    /// # Errors
    /// When a file cannot be read or written, the database is damaged, or `progress` stopped it.
    pub fn backup(
        from: &Path,
        to: &Path,
        progress: &mut dyn FnMut(CopyProgress) -> Proceed,
    ) -> std::result::Result<NotInside, BackupError> {
        backup::copy(from, to, progress)
    }

    /// Checks that the file at `path`, which nobody else may use, is a whole catalog of a version that this program knows.
    /// Gives what a restore needs beside it.
    ///
    /// # Errors
    /// `Damaged`, `NotACatalog`, `Open`.
    pub fn check_backup(path: &Path) -> std::result::Result<NotInside, BackupError> {
        backup::check(path)
    }

    /// Ends the store: all writes that were asked for are done and answered, then the log is folded back into the file.
    /// Later calls give [`StoreError::Unavailable`], changes [`StoreError::NotMade`].
    pub async fn close(&self) {
        if let Some(memory) = &self.memory {
            memory.close();
        }
        let (writer, point_readers, list_readers) =
            (Arc::clone(&self.writer), Arc::clone(&self.point_readers), Arc::clone(&self.list_readers));
        let closing = tokio::task::spawn_blocking(move || close(&writer, &point_readers, &list_readers));
        // It fails only if the runtime is ending; then dropping the store does the work.
        let _ = closing.await;
    }

    /// Lets the database grow no further than `spare` pages beyond what it has: a full disk, as far as SQLite can tell.
    #[cfg(test)]
    pub(crate) async fn leave_room(&self, spare: i64) {
        let limit = move |connection: &Connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            connection.pragma_update(None, "max_page_count", pages + spare)?;
            Ok(())
        };
        self.writer.write(limit).await.unwrap();
    }

    /// How much was written, in how many commits, since it was opened.
    #[must_use]
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// A read of a few microseconds, where it was asked for.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.point_readers.with(read)
    }

    /// A read that may be long, on a thread that may wait.
    async fn read_many<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.list_readers);
        let reading = tokio::task::spawn_blocking(move || readers.with(read));
        reading.await.unwrap_or_else(|error| Err(StoreError::Unavailable(Box::new(error))))
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
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        close(&self.writer, &self.point_readers, &self.list_readers);
    }
}

/// Readers first: the last connection to close folds the log back, and only the writer's can.
fn close(writer: &Writer, point_readers: &Readers, list_readers: &Readers) {
    point_readers.close();
    list_readers.close();
    writer.close();
}
