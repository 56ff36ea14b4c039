//! A read transaction that stays open while nothing is written, so that other reads need no lock from the operating system.
//!
//! Every read takes a shared lock on the log (SQLite, "WAL-mode File Format", `WAL_READ_LOCK`). SQLite asks the operating
//! system for it only when no other connection of the process has it, and asks under a process-wide mutex. Two threads that
//! read at once then block each other, which costs more than the read. While this lock is held, a read only increments a
//! counter.
//!
//! Results do not change: every read still begins at the newest commit, of this process or another. But a held lock prevents
//! a checkpoint of the log, so the anchor is released before each commit, which is when SQLite checkpoints.

use std::fs;
use std::mem;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::{LOG_LIMIT_BYTES, open_reader};

/// The connection that holds the lock, opened when it is first needed and kept, since opening one reads the whole schema.
pub(super) struct Anchor {
    path: PathBuf,
    log: PathBuf,
    connection: Option<Connection>,
    is_locked: bool,
}

impl Anchor {
    /// Creates an anchor for the database at `path`. It holds no lock yet.
    pub(super) fn new(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self { path: path.to_owned(), log: log.into(), connection: None, is_locked: false }
    }

    /// Takes the lock, if possible. The lock is only an optimisation, so a failure is no error: the next commit tries again.
    ///
    /// Does nothing while the log is larger than a checkpoint leaves it. Another process writes then too, and two anchors in
    /// turn would prevent every checkpoint.
    pub(super) fn take_lock(&mut self) {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_LIMIT_BYTES.unsigned_abs()) {
            return;
        }
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path),
        };
        self.connection = connection.and_then(|connection| begin(&connection).map(|()| connection)).ok();
        self.is_locked = self.connection.is_some();
    }

    /// Releases the lock, if it is held.
    pub(super) fn release_lock(&mut self) {
        if !mem::take(&mut self.is_locked) {
            return;
        }
        // A connection that cannot end its transaction is closed, which releases its locks.
        self.connection = self.connection.take().filter(|connection| run(connection, "COMMIT").is_ok());
    }
}

/// Begins a transaction. It takes its lock with the first read.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN")?;
    connection.prepare_cached("SELECT 1 FROM organisation LIMIT 1")?.exists([]).map(drop)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open::open_writer;

    /// A setting of one connection, by which the test knows it again.
    const MARK: i64 = 777;

    fn is_marked(anchor: &Anchor) -> bool {
        let connection = anchor.connection.as_ref().unwrap();
        connection.pragma_query_value(None, "cache_size", |row| row.get(0)) == Ok(MARK)
    }

    #[test]
    fn connection_is_kept_when_the_lock_is_released_again_before_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let _writer = open_writer(&path).unwrap();
        let mut anchor = Anchor::new(&path);
        anchor.take_lock();
        anchor.connection.as_ref().unwrap().pragma_update(None, "cache_size", MARK).unwrap();
        for _ in 0..3 {
            anchor.release_lock();
        }
        assert!(is_marked(&anchor));
        anchor.take_lock();
        assert!(is_marked(&anchor));
    }
}
