//! The one thread that writes, and the commits that many requests share.
//!
//! SQLite has one writer at a time, and what a durable commit costs is the wait for the disk, not the statements. So one
//! thread owns the only connection that writes. It takes all requests that wait, runs each inside a savepoint of one
//! transaction, commits once, and only then answers them. While it waits for the disk, the next requests gather.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, Error, ffi};
use tokio::sync::oneshot;

use super::anchor::Anchor;
use super::convert::{shared_error, unavailable};
use super::open::wait_at_most;
use crate::store::{Result, StoreError};

/// The most requests in one transaction: enough that the disk is not what limits, few enough that the first of them
/// does not wait long for the last.
const MAX_BATCH: usize = 256;

/// How long the last checkpoint waits for readers of other processes. Whoever opens the file next does it otherwise.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// For how long after a write the anchor is held. A server that is asked for anything writes every few seconds, if only how
/// much it was asked; one that is not needs no quick reads, and must not keep the log from others that write.
const ANCHORED_FOR: Duration = Duration::from_secs(60);

/// How much was written since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCounts {
    /// Requests that were committed.
    pub requests: u64,
    /// Commits that it took; the fewer, the more requests shared one.
    pub commits: u64,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    commits: AtomicU64,
}

/// The way to the thread that writes.
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Starts the thread, which owns the connection from now on, and holds the anchor while there is nothing to write.
    pub(super) fn start(connection: Connection, anchor: Anchor) -> io::Result<Self> {
        let (queue, requests) = channel();
        let counters = Arc::new(Counters::default());
        let thread_counters = Arc::clone(&counters);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(&connection, anchor, &requests, &thread_counters))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)), counters })
    }

    /// Runs `work` in a transaction and gives its result once that is durable. When it gives an error, all that it did is
    /// undone. It may be run again after an attempt that was undone, so it must not do anything but work on the database.
    ///
    /// It is handed over when this is called, and done whether or not the caller stays to hear of it.
    pub(super) fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let sent = match &*self.queue.lock() {
            Some(queue) => queue.send(Box::new(Request { work, outcome: None, answer })).is_ok(),
            None => false,
        };
        async move {
            if !sent {
                return Err(unavailable("the store is closed"));
            }
            answered.await.unwrap_or_else(|_| Err(unavailable("the store's writer ended before it answered")))
        }
    }

    /// Whether there is still somebody to write.
    pub(super) fn is_alive(&self) -> bool {
        self.thread.lock().as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// How much was written until now.
    pub(super) fn counts(&self) -> WriteCounts {
        WriteCounts {
            requests: self.counters.requests.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    /// Ends the thread, once it has done and answered all that waits. Later writes are refused.
    pub(super) fn close(&self) {
        self.queue.lock().take();
        // Held over the join, so that whoever closes second also finds it ended.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take() {
            // It catches the panics of requests; should it panic itself, its callers have been told by their channels.
            let _ = thread.join();
        }
    }
}

/// A request as the thread sees it, whatever it gives.
trait Job: Send {
    /// Does the work. Gives whether it succeeded.
    fn attempt(&mut self, connection: &Connection) -> bool;
    /// Whether the last attempt succeeded.
    fn has_succeeded(&self) -> bool;
    /// Replaces the outcome by an error.
    fn fail(&mut self, error: StoreError);
    /// Tells the caller, if it still waits.
    fn answer(self: Box<Self>);
}

struct Request<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T> + Send,
{
    fn attempt(&mut self, connection: &Connection) -> bool {
        // What a panic may leave half-done is in the database, and is undone with the savepoint.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)));
        self.outcome = Some(outcome.unwrap_or_else(|_| Err(unavailable("the request panicked and was undone"))));
        self.has_succeeded()
    }

    fn has_succeeded(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // A caller that has gone away is no error: its work stays done.
            let _ = self.answer.send(outcome);
        }
    }
}

/// Why a transaction came to nothing.
enum Undone {
    /// It was rolled back at some request: surely nothing of it happened. None when that request's own error says why.
    Midway(Option<Error>),
    /// It could not begin, or its commit failed.
    Whole(Error),
}

/// The thread's life: until the queue is closed and empty.
fn serve(connection: &Connection, mut anchor: Anchor, queue: &Receiver<Box<dyn Job>>, counters: &Counters) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while let Some(first) = next(queue, &mut anchor) {
        anchor.let_go();
        batch.push(first);
        batch.extend(queue.try_iter().take(MAX_BATCH - 1));
        run_batch(connection, &mut batch, counters);
        batch.drain(..).for_each(Job::answer);
        anchor.hold();
    }
    drop(anchor);
    let _ = wait_at_most(connection, LAST_CHECKPOINT_WAIT);
    // Best effort: the log is as durable as the database that it is folded into.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// The next request; none when the queue is closed and empty.
fn next(queue: &Receiver<Box<dyn Job>>, anchor: &mut Anchor) -> Option<Box<dyn Job>> {
    match queue.recv_timeout(ANCHORED_FOR) {
        Err(RecvTimeoutError::Timeout) => {
            anchor.let_go();
            queue.recv().ok()
        }
        received => received.ok(),
    }
}

/// Gives every request of the batch its outcome.
fn run_batch(connection: &Connection, batch: &mut [Box<dyn Job>], counters: &Counters) {
    match transact(connection, batch, counters) {
        Ok(()) => {}
        Err(Undone::Midway(_)) if batch.len() > 1 => {
            // SQLite drops a whole transaction on some errors (a full disk, for one). That is no reason for the others to
            // fail: each gets a transaction of its own.
            for job in batch {
                run_batch(connection, slice::from_mut(job), counters);
            }
        }
        Err(Undone::Midway(None)) => {}
        Err(Undone::Midway(Some(error)) | Undone::Whole(error)) => {
            let error = Arc::new(error);
            for job in batch {
                job.fail(shared_error(&error));
            }
        }
    }
}

/// Runs all requests in one transaction, each in its own savepoint, and commits it.
fn transact(
    connection: &Connection,
    batch: &mut [Box<dyn Job>],
    counters: &Counters,
) -> std::result::Result<(), Undone> {
    roll_back(connection);
    // It takes the write lock at once, so that another process is waited for here and nowhere else.
    run(connection, "BEGIN IMMEDIATE").map_err(Undone::Whole)?;
    for job in &mut *batch {
        if let Err(undone) = run_in_savepoint(connection, job.as_mut()) {
            roll_back(connection);
            return Err(undone);
        }
    }
    if let Err(error) = run(connection, "COMMIT") {
        roll_back(connection);
        return Err(Undone::Whole(error));
    }
    let succeeded = batch.iter().filter(|job| job.has_succeeded()).count();
    counters.requests.fetch_add(succeeded as u64, Ordering::Relaxed);
    counters.commits.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Runs one request so that its failure undoes only itself.
fn run_in_savepoint(connection: &Connection, job: &mut dyn Job) -> std::result::Result<(), Undone> {
    let midway = |error| Undone::Midway(Some(error));
    run(connection, "SAVEPOINT request").map_err(midway)?;
    let succeeded = job.attempt(connection);
    if connection.is_autocommit() {
        let rolled_back = ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK);
        return Err(Undone::Midway(succeeded.then_some(Error::SqliteFailure(rolled_back, None))));
    }
    if !succeeded {
        run(connection, "ROLLBACK TO request").map_err(midway)?;
    }
    run(connection, "RELEASE request").map_err(midway)
}

/// Leaves no transaction open, whatever happened before. If this fails, so does the next `BEGIN`, which says why.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = run(connection, "ROLLBACK");
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
