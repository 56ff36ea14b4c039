//! Opens the store, and works on the file of its database while it is closed or in use: the only part of the catalog that knows
//! which database it has.

use std::path::Path;
use std::sync::Arc;

use super::Store;
use super::sqlite::SqliteStore;

pub use super::sqlite::{BackupError, CopyProgress, LogFound, NotInside, OpenError, Proceed};

/// Opens the store whose database is the file at `database`, and creates it if there is none. Only its owner can read the file.
/// The folder must exist, on a disk of this machine. Dropping the store writes down all that was asked for and closes it.
///
/// # Errors
/// When the file cannot be used, is not a database, or was written by a newer program or a development version.
pub fn open(database: &Path) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(SqliteStore::open(database)?))
}

/// Opens the store as [`open`] does, for the process that holds the lock of the data folder: it keeps up to `memory_bytes` of
/// pointers, namespaces and lists in memory, since nobody else can change them.
///
/// # Errors
/// As for [`open`].
pub fn open_alone(database: &Path, memory_bytes: u64) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(SqliteStore::open_alone(database, memory_bytes)?))
}

/// Reads the log of the database as an unclean stop left it. Nobody may have the database open, this process above all.
///
/// # Errors
/// When the log is there and cannot be read.
pub fn inspect_log(database: &Path) -> std::io::Result<LogFound> {
    SqliteStore::inspect_log(database)
}

/// Copies the database `from`, which a server may be using, into the empty file `to`. The copy holds all that was acknowledged
/// before the call, of one moment. Calls `progress` after every few MiB. The caller syncs the file. Returns what a restore needs
/// beside it.
///
/// # Errors
/// When a file cannot be read or written, the database is damaged, or `progress` stopped it.
pub fn backup(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(CopyProgress) -> Proceed,
) -> Result<NotInside, BackupError> {
    SqliteStore::backup(from, to, progress)
}

/// Checks that the file at `path`, which nobody else may use, is a whole catalog of a version that this program knows. Returns
/// what a restore needs beside it.
///
/// # Errors
/// `Damaged`, `NotACatalog`, `Open`.
pub fn check_backup(path: &Path) -> Result<NotInside, BackupError> {
    SqliteStore::check_backup(path)
}

/// The store at `database`, and what tests break in it from behind.
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
    /// Lets the database grow no further than `spare_pages` beyond what it has.
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
