//! Connections that only read.
//!
//! A point read takes a few microseconds, less than a hand-off to another thread, so it runs on the caller's thread.
//! There is a connection for every core, each behind its own lock. A thread tries the one that it used before first, so that
//! on a busy server each worker keeps to its own connection, with its compiled statements and its pages, and the lock
//! is never contended; should it be taken, any other that is free will do. This costs some 20 ns over a connection kept
//! in the thread itself, and unlike that one it can be closed, and belongs to its store: two servers may run in one process.
//!
//! A reader sees what was committed when it began and never blocks the writer, nor does the writer block it.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::convert::unavailable;
use super::open::open_reader;
use crate::store::{Result, StoreError};

/// Some connections that only read. Each is opened when it is first needed.
pub(super) struct Readers {
    path: PathBuf,
    slots: Box<[Mutex<Option<Connection>>]>,
    closed: AtomicBool,
}

impl Readers {
    /// Creates a pool of at most `count` connections to the database at `path`.
    pub(super) fn new(path: PathBuf, count: usize) -> Self {
        let slots = (0..count.max(1)).map(|_| Mutex::new(None)).collect();
        Self { path, slots, closed: AtomicBool::new(false) }
    }

    /// Reads on a free connection, and waits for one if necessary.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let first = thread_number();
        let count = self.slots.len();
        let mut slot = (0..count)
            .find_map(|step| self.slots[(first + step) % count].try_lock())
            .unwrap_or_else(|| self.slots[first % count].lock());
        let connection = match &*slot {
            Some(connection) => connection,
            None if self.closed.load(Ordering::SeqCst) => return Err(unavailable("the store is closed")),
            None => slot.insert(open_reader(&self.path)?),
        };
        let read = read(connection);
        if matches!(read, Err(StoreError::Unavailable(_))) {
            // The next reader opens the file again, whatever was wrong with it.
            *slot = None;
        }
        read
    }

    /// Closes the connections, each when its reader has finished. Later reads are refused.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for slot in &self.slots {
            slot.lock().take();
        }
    }
}

/// A small number that stays the same on one thread and spreads threads evenly.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    MINE.get()
}
