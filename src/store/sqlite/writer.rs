//! The writer thread, and commits shared by many requests.
//!
//! SQLite has one writer at a time, and the cost of a durable commit is the wait for the disk, not the statements. So one thread
//! owns the only connection that writes. It takes all waiting requests, runs each in a savepoint of one transaction, commits
//! once, and only then answers them. While it waits for the disk, the next requests queue up.

use std::collections::HashMap;
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
use tidewater_core::ids::OrganisationId;
use tokio::sync::oneshot;

use super::anchor::Anchor;
use super::convert::{commit_failed, not_made, unavailable, undone};
use super::memory::Changes;
use super::open::wait_at_most;
use crate::base::measure::{Calls, Subject};
use crate::store::{Result, StoreError};

/// The most requests in one transaction. With so many, the disk is not the limit, and the first request does not wait long for the
/// last.
const MAX_BATCH: usize = 256;

/// The name of this store in metrics. Reads of one row take microseconds and are not measured.
pub(super) const TARGET: &str = "sqlite";

/// The most waiting requests of all organisations, and of one organisation. At a few thousand durable writes a second they are done
/// within seconds.
pub(super) const MOST_WAITING: Waiting = Waiting { of_all: 4_096, of_one: 2_048 };

/// How long the last checkpoint waits for readers of other processes. Otherwise the next process that opens the file does it.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(100);

/// How long the anchor is held after a write. A server in use writes every few seconds, at least its usage counts. An idle
/// server needs no fast reads, and must not prevent checkpoints of other processes.
const ANCHORED_FOR: Duration = Duration::from_secs(60);

/// With a cache, the anchor is taken only after this time without a write. It costs each commit several system calls, and few
/// reads need it.
const QUIET_WITH_MEMORY: Duration = Duration::from_millis(20);

/// The number of writes since the store was opened.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteCounts {
    /// Committed requests.
    pub(crate) requests: u64,
    /// Commits. Fewer commits than requests mean that requests shared them.
    pub(crate) commits: u64,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    commits: AtomicU64,
}

/// Numbers of waiting requests, or their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) of_all: usize,
    pub(super) of_one: usize,
}

/// Counts the waiting requests of each organisation. Requests of the server itself are not counted.
#[derive(Default)]
struct Line {
    of_all: usize,
    of_one: HashMap<OrganisationId, usize>,
}

impl Line {
    /// Counts a request, if the limits allow it. Requests of the server itself always pass: it has few tasks, and each waits for
    /// its answer.
    fn enter(&mut self, owner: Option<OrganisationId>, most: Waiting) -> bool {
        if let Some(owner) = owner {
            let of_one = self.of_one.get(&owner).copied().unwrap_or(0);
            if self.of_all >= most.of_all || of_one >= most.of_one {
                return false;
            }
            self.of_one.insert(owner, of_one + 1);
            self.of_all += 1;
        }
        true
    }

    fn leave(&mut self, owner: Option<OrganisationId>) {
        let Some(owner) = owner else { return };
        self.of_all -= 1;
        match self.of_one.get_mut(&owner) {
            Some(of_one) if *of_one > 1 => *of_one -= 1,
            _ => {
                self.of_one.remove(&owner);
            }
        }
    }
}

/// A handle on the writer thread.
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Queued>>>,
    line: Arc<Mutex<Line>>,
    most_waiting: Waiting,
    thread: Mutex<Option<JoinHandle<()>>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests read how many commits it took"))]
    counters: Arc<Counters>,
    calls: Calls,
}

impl Writer {
    /// Starts the thread. It owns the connection, holds the anchor while there is nothing to write, and reports its transactions
    /// to `changes`.
    pub(super) fn start(
        connection: Connection,
        anchor: Anchor,
        changes: Changes,
        most_waiting: Waiting,
    ) -> io::Result<Self> {
        let (queue, requests) = channel();
        let (counters, line) = (Arc::new(Counters::default()), Arc::new(Mutex::new(Line::default())));
        let (thread_counters, thread_line) = (Arc::clone(&counters), Arc::clone(&line));
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let mut transactions = Transactions { connection, changes, counters: thread_counters };
            serve(&mut transactions, anchor, &Requests { queue: requests, line: thread_line });
        })?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { queue, line, most_waiting, thread, counters, calls: Calls::new(Subject::Store) })
    }

    /// Returns how many requests of organisations wait.
    pub(super) fn waiting(&self) -> usize {
        self.line.lock().of_all
    }

    /// Returns the measurements of the database's calls.
    pub(super) const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Runs `work` in a transaction and returns its result once the commit is durable. An error of `work` undoes its statements.
    /// `work` may run again after a rolled-back attempt, so it must only change the database.
    ///
    /// The call queues the work. It is done even if the returned future is dropped.
    pub(super) fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        self.write_for(None, work)
    }

    /// Does the same for an organisation. Refuses the request with `Busy` if too many requests wait.
    pub(super) fn write_for<T, F>(
        &self,
        owner: Option<OrganisationId>,
        work: F,
    ) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let sent = self.send(owner, Box::new(Request { work, outcome: None, answer }));
        let calls = self.calls.clone();
        async move {
            let measurement = calls.begin(TARGET, "change");
            let result = match sent {
                Ok(()) => {
                    answered.await.unwrap_or_else(|_| Err(unavailable("the store's writer ended before it answered")))
                }
                Err(refused) => Err(refused),
            };
            measurement.end(&result, StoreError::kind);
            result
        }
    }

    fn send(&self, owner: Option<OrganisationId>, job: Box<dyn Job>) -> Result<()> {
        let queue = self.queue.lock();
        let Some(queue) = &*queue else { return Err(undone(unavailable("the store is closed"))) };
        if !self.line.lock().enter(owner, self.most_waiting) {
            return Err(StoreError::Busy);
        }
        queue.send(Queued { owner, job }).map_err(|_| undone(unavailable("the store is closed")))
    }

    /// Returns whether the writer thread runs.
    pub(super) fn is_alive(&self) -> bool {
        self.thread.lock().as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Returns the number of writes so far.
    #[cfg(test)]
    pub(super) fn counts(&self) -> WriteCounts {
        WriteCounts {
            requests: self.counters.requests.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    /// Refuses new writes, and ends the thread once it has answered all waiting ones.
    pub(super) fn close(&self) {
        self.queue.lock().take();
        // Locked during the join, so that a second caller also returns after the thread has ended.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take() {
            // The thread catches panics of requests. If it panics itself, the callers get an error from their closed channels.
            let _ = thread.join();
        }
    }
}

/// A request of any result type.
trait Job: Send {
    /// Runs the work. Returns whether it succeeded.
    fn attempt(&mut self, connection: &Connection) -> bool;
    /// Returns whether the last attempt succeeded.
    fn has_succeeded(&self) -> bool;
    /// Replaces the outcome with an error.
    fn fail(&mut self, error: StoreError);
    /// Sends the outcome to the caller, if it still waits.
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
        // A panic leaves half-done work only in the database, and the savepoint undoes it.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)));
        let outcome = outcome.unwrap_or_else(|_| Err(unavailable("the request panicked and was undone")));
        self.outcome = Some(outcome.map_err(undone));
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
            // The work is done even if the caller does not wait any more.
            let _ = self.answer.send(outcome);
        }
    }
}

/// Why a transaction failed.
enum Undone {
    /// The transaction could not begin. Nothing was changed.
    NotBegun(Error),
    /// A request rolled the transaction back. Nothing was changed. None if the request has its own error.
    Midway(Option<Error>),
    /// The commit failed.
    Commit(Error),
}

/// A queued request with its organisation.
struct Queued {
    owner: Option<OrganisationId>,
    job: Box<dyn Job>,
}

/// The requests on their way to the thread.
struct Requests {
    queue: Receiver<Queued>,
    line: Arc<Mutex<Line>>,
}

impl Requests {
    /// Returns the first request. Does not take the anchor while waiting.
    fn first(&self) -> Option<Box<dyn Job>> {
        self.queue.recv().ok().map(|queued| self.take(queued))
    }

    /// Returns the next request, or none if the queue is closed and empty. Takes the anchor after `quiet`, and releases it again
    /// after [`ANCHORED_FOR`].
    fn next(&self, anchor: &mut Anchor, quiet: Duration) -> Option<Box<dyn Job>> {
        let next = self
            .within(quiet, || anchor.take_lock())
            .or_else(|_| self.within(ANCHORED_FOR, || anchor.release_lock()))
            .or_else(|_| self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected));
        next.ok().map(|queued| self.take(queued))
    }

    /// Returns a request that arrives within `time`. Otherwise calls `otherwise`.
    fn within(&self, time: Duration, otherwise: impl FnOnce()) -> std::result::Result<Queued, RecvTimeoutError> {
        let received = if time.is_zero() { Err(RecvTimeoutError::Timeout) } else { self.queue.recv_timeout(time) };
        if matches!(received, Err(RecvTimeoutError::Timeout)) {
            otherwise();
        }
        received
    }

    /// Returns up to `at_most` further waiting requests.
    fn more(&self, at_most: usize) -> impl Iterator<Item = Box<dyn Job>> {
        self.queue.try_iter().take(at_most).map(|queued| self.take(queued))
    }

    fn take(&self, Queued { owner, job }: Queued) -> Box<dyn Job> {
        self.line.lock().leave(owner);
        job
    }
}

/// Runs the thread until the queue is closed and empty.
fn serve(transactions: &mut Transactions, mut anchor: Anchor, requests: &Requests) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let quiet = if transactions.changes.has_memory() { QUIET_WITH_MEMORY } else { Duration::ZERO };
    let mut next = requests.first();
    while let Some(first) = next {
        anchor.release_lock();
        batch.push(first);
        batch.extend(requests.more(MAX_BATCH - 1));
        transactions.run_batch(&mut batch);
        batch.drain(..).for_each(Job::answer);
        next = requests.next(&mut anchor, quiet);
    }
    drop(anchor);
    let connection = &transactions.connection;
    let _ = wait_at_most(connection, LAST_CHECKPOINT_WAIT);
    // Best effort: the log is as durable as the database that it is folded into.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// The connection that writes, with the follower of its changes.
struct Transactions {
    connection: Connection,
    changes: Changes,
    counters: Arc<Counters>,
}

impl Transactions {
    /// Gives every request of the batch its outcome.
    fn run_batch(&mut self, batch: &mut [Box<dyn Job>]) {
        match self.transact(batch) {
            Ok(()) => {}
            Err(Undone::Midway(_)) if batch.len() > 1 => {
                // SQLite rolls back the whole transaction on some errors, such as a full disk. Run each request in a separate
                // transaction, so that the others can succeed.
                for job in batch {
                    self.run_batch(slice::from_mut(job));
                }
            }
            Err(Undone::Midway(None)) => {}
            Err(Undone::Midway(Some(error)) | Undone::NotBegun(error)) => fail_all(batch, error, not_made),
            Err(Undone::Commit(error)) => fail_all(batch, error, commit_failed),
        }
    }

    /// Runs all requests in one transaction, each in its own savepoint, and commits it.
    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), Undone> {
        let connection = &self.connection;
        roll_back(connection);
        // Takes the write lock at once, so that waiting for another process happens only here.
        run(connection, "BEGIN IMMEDIATE").map_err(Undone::NotBegun)?;
        self.changes.begin(connection).map_err(Undone::NotBegun)?;
        for job in &mut *batch {
            if let Err(undone) = run_in_savepoint(connection, job.as_mut()) {
                roll_back(connection);
                return Err(undone);
            }
        }
        let leaves = self.changes.prepare(connection);
        if let Err(error) = run(connection, "COMMIT") {
            roll_back(connection);
            self.changes.not_committed(leaves);
            return Err(Undone::Commit(error));
        }
        self.changes.committed(leaves);
        let succeeded = batch.iter().filter(|job| job.has_succeeded()).count();
        self.counters.requests.fetch_add(succeeded as u64, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn fail_all(batch: &mut [Box<dyn Job>], error: Error, convert: fn(&Arc<Error>) -> StoreError) {
    let error = Arc::new(error);
    for job in batch {
        job.fail(convert(&error));
    }
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

/// Rolls back an open transaction, if there is one. If this fails, the next `BEGIN` fails too and reports the reason.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = run(connection, "ROLLBACK");
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
