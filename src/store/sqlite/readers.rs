//! Connections that only read.
//!
//! A point read takes a few microseconds, less than a hand-off to another thread, so it runs on the caller's thread.
//! There is a connection for every core, each behind its own lock. A thread first tries the connection that it used before.
//! So on a busy server each worker has its own connection, with its compiled statements and its pages, and no worker waits
//! for a lock. If the connection is in use, the thread takes any free one.
//!
//! A lock costs about 20 ns more than a connection in a thread-local variable. But such a connection could not be closed, and
//! would not belong to one store: two servers may run in one process.
//!
//! A read sees the commits from before its begin. Readers never block the writer, and the writer never blocks them.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::convert::unavailable;
use super::open::open_reader;
use crate::store::{Result, StoreError};

/// The number of instructions of SQLite between two checks whether a read is to stop. A row of a list takes some tens.
const STEPS_BETWEEN_CHECKS: i32 = 1_000;

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
        self.with_connection(|connection| read(connection))
    }

    /// Does the same. SQLite stops the read's statement with an error soon after `stops` returns true.
    pub(super) fn with_stop<T>(
        &self,
        stops: impl Fn() -> bool + Send + 'static,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        self.with_connection(|connection| {
            connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(stops))?;
            let read = read(connection);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            read
        })
    }

    fn with_connection<T>(&self, read: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let first = thread_number();
        let count = self.slots.len();
        let mut slot = (0..count)
            .find_map(|step| self.slots[(first + step) % count].try_lock())
            .unwrap_or_else(|| self.slots[first % count].lock());
        let connection = match &mut *slot {
            Some(connection) => connection,
            None if self.closed.load(Ordering::SeqCst) => return Err(unavailable("the store is closed")),
            None => slot.insert(open_reader(&self.path)?),
        };
        let read = read(connection);
        if matches!(read, Err(StoreError::Unavailable(_))) {
            // Close the connection: the next reader opens the file again.
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

/// Returns the number of this thread: threads are counted in the order of their first call.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    MINE.get()
}
