//! A read that stays open while nothing is written, so that other reads need not ask the operating system for a lock.
//!
//! Every read takes a shared lock on the log (SQLite, "WAL-mode File Format", `WAL_READ_LOCK`). SQLite asks the system for it
//! only when no other connection of the process has it, and asks under a mutex of the whole process: two threads that
//! read at once then put each other to sleep, which costs more than the read. With this lock held, a read only counts.
//!
//! What is read does not change: every read still begins at the newest commit, of this process or another. But a lock that
//! is held keeps the log from being folded back, so it is let go before each commit, which is when SQLite does that.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::{LOG_LIMIT_BYTES, open_reader};

/// The connection that holds the lock, once it was needed.
pub(super) struct Anchor {
    path: PathBuf,
    log: PathBuf,
    connection: Option<Connection>,
}

impl Anchor {
    /// For the database at `path`; nothing is held yet.
    pub(super) fn new(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self { path: path.to_owned(), log: log.into(), connection: None }
    }

    /// Takes the lock. It is taken for speed alone, so that it was not to be had is no error: the next commit tries again.
    ///
    /// Not while the log is larger than it ever is after it was folded back: then another process writes too, and two
    /// anchors by turns would never let it be.
    pub(super) fn hold(&mut self) {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_LIMIT_BYTES.unsigned_abs()) {
            return;
        }
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path),
        };
        self.connection = connection.and_then(|connection| begin(&connection).map(|()| connection)).ok();
    }

    /// Gives it back.
    pub(super) fn let_go(&mut self) {
        // A connection that cannot end its transaction gives its locks back by being closed.
        self.connection = self.connection.take().filter(|connection| run(connection, "COMMIT").is_ok());
    }
}

/// A transaction takes its lock with the first read in it.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN")?;
    connection.prepare_cached("SELECT 1 FROM organisation LIMIT 1")?.exists([]).map(drop)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
