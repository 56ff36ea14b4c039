//! Opens the store, and inspects and copies its database file. No other part of the catalog knows which database it has.

use std::path::Path;
use std::sync::Arc;

use super::postgres::{PostgresCopy, PostgresStore};
use super::sqlite::{SqliteCopy, SqliteStore};
use super::{CopyStore, Inspected, Store};

pub use super::postgres::{PostgresOpenError, PostgresSettings, SchemaError, UrlError};
pub use super::sqlite::{BackupError, Contents, CopyProgress, InspectError, LogFound, NotInside, OpenError, Proceed};

/// Opens the store whose database is the file at `database`, and creates the file if it is missing. Only the file's owner can
/// read it. The folder must exist, on a local disk. Dropping the store completes all pending writes and closes it.
///
/// # Errors
/// Fails if the file cannot be used, is not a database, or was written by a newer program or a development version.
pub fn open(database: &Path) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(SqliteStore::open(database)?))
}

/// Opens the store as [`open`] does, for the process that holds the lock of the data folder. Since no other process can change
/// the database, the store keeps up to `memory_bytes` of pointers, namespaces and lists in memory.
///
/// # Errors
/// As for [`open`].
pub fn open_alone(database: &Path, memory_bytes: u64) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(SqliteStore::open_alone(database, memory_bytes)?))
}

/// Opens the store in a PostgreSQL database, and creates or upgrades its schema. Other servers may use it at the same time.
///
/// # Errors
/// Fails if the settings cannot be read, or the database cannot be reached or used.
pub async fn open_postgres(settings: &PostgresSettings) -> Result<Arc<dyn Store>, PostgresOpenError> {
    Ok(Arc::new(PostgresStore::open(settings).await?))
}

/// Opens the database file at `database` as the source or the target of a copy, and creates it if it is missing. The caller holds the
/// lock of the data folder.
///
/// # Errors
/// As for [`open`].
pub fn open_copy_sqlite(database: &Path) -> Result<Box<dyn CopyStore>, OpenError> {
    Ok(Box::new(SqliteCopy::open(database)?))
}

/// Opens a PostgreSQL database as the source or the target of a copy. With `must_exist`, fails if it has no catalog; otherwise creates
/// the schema if it is missing.
///
/// # Errors
/// As for [`open_postgres`].
pub async fn open_copy_postgres(
    settings: &PostgresSettings,
    must_exist: bool,
) -> Result<Box<dyn CopyStore>, PostgresOpenError> {
    Ok(Box::new(PostgresCopy::open(settings, must_exist).await?))
}

/// Reads the log of the database after an unclean stop. No process may have the database open, this one above all.
///
/// # Errors
/// Fails if the log exists and cannot be read.
pub fn inspect_log(database: &Path) -> std::io::Result<LogFound> {
    SqliteStore::inspect_log(database)
}

/// Copies the database `from`, which a server may be using, into the empty file `to`. The copy is a snapshot that includes
/// every change acknowledged before the call. Calls `progress` after every few MiB. The caller syncs the file. Returns what a
/// restore needs besides the copy.
///
/// # Errors
/// Fails if a file cannot be read or written, the database is damaged, or `progress` stopped the copy.
pub fn backup(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress) -> Proceed,
) -> Result<NotInside, BackupError> {
    SqliteStore::backup(from, to, progress)
}

/// Checks that the file at `path` is a complete catalog of a version that this program can read. No other process may use the
/// file. Returns what a restore needs besides the copy.
///
/// # Errors
/// `Damaged`, `NotACatalog`, `Open`.
pub fn check_backup(path: &Path) -> Result<NotInside, BackupError> {
    SqliteStore::check_backup(path)
}

/// Counts the rows of the backup at `path`, which no other process uses.
///
/// # Errors
/// `Damaged`, `NotACatalog`, `Open`.
pub fn backup_contents(path: &Path) -> Result<Contents, BackupError> {
    SqliteStore::contents(path)
}

/// Reads the state of the database file at `path`, which a server may be using. Changes nothing. Returns `None` for a file without
/// tables.
///
/// # Errors
/// Fails if the database cannot be read, or is of a version that this program does not know.
pub fn inspect_sqlite(path: &Path) -> Result<Option<Inspected>, InspectError> {
    SqliteStore::inspect(path)
}

/// Reads the state of a PostgreSQL database. Changes nothing. Returns `None` if it has no catalog yet.
///
/// # Errors
/// As for [`open_postgres`].
pub async fn inspect_postgres(settings: &PostgresSettings) -> Result<Option<Inspected>, PostgresOpenError> {
    PostgresStore::inspect(settings).await
}

/// Returns the URL of the PostgreSQL server for tests.
#[cfg(test)]
pub(crate) fn test_postgres() -> String {
    super::postgres::tests::server::server()
}

/// Opens the store at `database`. Also returns a handle with which tests damage it.
#[cfg(test)]
pub(crate) fn open_to_break(database: &Path) -> (Arc<dyn Store>, Breaker) {
    let store = Arc::new(SqliteStore::open(database).unwrap());
    (Arc::clone(&store) as _, Breaker(store))
}

/// Breaks a store from behind.
#[cfg(test)]
pub(crate) struct Breaker(Arc<SqliteStore>);

#[cfg(test)]
impl Breaker {
    /// Limits the growth of the database to `spare_pages` more than its present pages.
    pub(crate) async fn leave_room(&self, spare_pages: i64) {
        self.0.leave_room(spare_pages).await;
    }

    /// Removes the locations of all tables, so that others can be created there.
    pub(crate) async fn remove_locations(&self) {
        self.0.remove_locations().await;
    }

    /// Adds the locations of all tables again, whether or not they overlap.
    pub(crate) async fn restore_locations(&self) {
        self.0.restore_locations().await;
    }
}
