//! Background work: forgets dropped tables and views when their restore time is over, removes the files of tables that were
//! dropped with a purge, and removes metadata files that are no longer in their table's log.
//!
//! The store has a row for each piece of work, written in the transaction of the drop or commit. So any server may do it, repeat
//! it, or be killed during it. A server that removes files has a lease and renews it while it works.

mod local;
mod old_documents;
mod organisations;
mod purge;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tidewater_core::ids::TableId;
use tidewater_core::purge::{LONGEST_RETRY_MS, retry_after_ms};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::background::Task;
use crate::base::clock::Clock;
use crate::base::due;
use crate::metadata::{Documents, ObjectReader};
use crate::store::{Change, Dropped, Progress, Store, StoreError, WarehouseRef};
use crate::warehouse::{OpenWarehouse, StorageAccess};
pub(crate) use local::Folders;
use purge::{Counts, Purge, Stopped};

/// How often the server looks for due work.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// The duration of a lease, in milliseconds. After that another server takes over.
const LEASE_MS: i64 = 30_000;

/// The longest pause between two attempts, and longer than a lease.
const LONGEST_PAUSE: Duration = Duration::from_millis(LONGEST_RETRY_MS.unsigned_abs());

/// How often begun removals are looked for whose time was stored with a wrong clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(600);

/// How often a lease is renewed.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// How many tables' files are removed at the same time.
const TABLES_AT_ONCE: usize = 4;

/// The most dropped tables and views forgotten in one transaction, so that commits do not wait long.
const FORGET_BATCH: u32 = 200;

/// The background work of a catalog.
pub struct Maintenance {
    store: Arc<dyn Store>,
    access: StorageAccess,
    documents: Documents,
    clock: Clock,
    wake: Arc<Notify>,
    ended: Notify,
    /// The purges that run in this process.
    running: Mutex<HashMap<TableId, Running>>,
}

/// A handle of a purge that runs.
#[derive(Debug, Clone, Default)]
struct Running {
    /// Cancelled to keep the remaining files.
    keep_files: CancellationToken,
    /// Cancelled when the purge has ended and its outcome is recorded.
    ended: CancellationToken,
}

/// Records at its drop that a purge has ended.
struct Ended<'a> {
    maintenance: &'a Maintenance,
    id: TableId,
    ended: CancellationToken,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.maintenance.running.lock().remove(&self.id);
        self.ended.cancel();
    }
}

impl Maintenance {
    /// Creates the background work on `store`. `access` opens the warehouses, and `reader` reads the files.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, access: StorageAccess, reader: ObjectReader, clock: Clock) -> Self {
        // Documents of dropped tables are read once.
        let documents = Documents::with_reader(0, reader);
        let (wake, ended, running) = (Arc::default(), Notify::new(), Mutex::default());
        Self { store, access, documents, clock, wake, ended, running }
    }

    /// Wakes the background work, because more work is due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes the background work, and waits until a dropped table is gone for good or its purge has failed. Waits at most
    /// `at_most`.
    pub async fn wake_and_wait(&self, warehouse_ref: WarehouseRef, id: TableId, at_most: Duration) {
        self.wake();
        let waiting = async {
            loop {
                let mut ended = pin!(self.ended.notified());
                ended.as_mut().enable();
                match self.store.dropped_get(warehouse_ref, id).await {
                    Ok(Some(dropped)) if dropped.message.is_none() => ended.await,
                    _ => return,
                }
            }
        };
        // A timeout is no error: the work continues.
        let _ = tokio::time::timeout(at_most, waiting).await;
    }

    /// Stops the purge of a table, keeps the remaining files, and waits until the purge has ended. Returns at once if none runs in
    /// this process. The caller must have told the store before that the files stay.
    pub async fn stop_purge(&self, id: TableId) {
        let running = self.running.lock().get(&id).cloned();
        if let Some(running) = running {
            running.keep_files.cancel();
            running.ended.cancelled().await;
        }
    }

    /// Returns the background tasks. At the stop they release the leases of unfinished work, so that another server can continue it.
    pub fn tasks(self: &Arc<Self>) -> [Task; 4] {
        let clock = |this: Arc<Self>, _| async move { Ok(this.bring_forward().await?) };
        let dropped = |this: Arc<Self>, stop| async move { Ok(this.end_dropped(&stop).await?) };
        let documents = |this: Arc<Self>, stop| async move { Ok(this.remove_old_documents(&stop).await?) };
        let organisations = |this: Arc<Self>, stop| async move { Ok(this.remove_organisations(&stop).await?) };
        [
            Task::every("dropped-tables", LOOK_INTERVAL, self, dropped)
                .wake_on(Arc::clone(&self.wake))
                .while_failing("Dropped tables and their files stay until then: check the database and its disk"),
            Task::every("old-metadata-files", LOOK_INTERVAL, self, documents)
                .while_failing("Old metadata files stay until then: check the database and its disk"),
            Task::every("deleted-organisations", LOOK_INTERVAL, self, organisations)
                .while_failing("The rows of deleted organisations stay until then: check the database and its disk"),
            Task::every("future-removals", CLOCK_INTERVAL, self, clock)
                .while_failing("Removals that were begun with a wrong clock wait until then: check the database"),
        ]
    }

    /// Makes begun removals due whose lease or pause is longer than any: they were stored before the clock was set back. Returns their
    /// number.
    async fn bring_forward(&self) -> Result<u64, StoreError> {
        let now_ms = self.clock.now_ms();
        let latest_ms = due::latest_ms(now_ms, LONGEST_PAUSE * 2);
        let count = self.store.dropped_bring_forward(now_ms, latest_ms).await?
            + self.store.old_document_bring_forward(now_ms, latest_ms).await?;
        if count > 0 {
            tracing::warn!(
                count,
                "removals of files were planned too far in the future, as if with a wrong clock: they are due now"
            );
        }
        Ok(count)
    }

    /// Completes all due work. Logs failures; failed work stays due.
    pub async fn sweep(&self) {
        if let Err(error) = self.sweep_all().await {
            tracing::warn!(%error, "could not complete all due work: trying again");
        }
    }

    async fn sweep_all(&self) -> Result<(), StoreError> {
        self.forget().await?;
        let never = CancellationToken::new();
        self.remove_organisations(&never).await?;
        self.remove_old_documents(&never).await?;
        loop {
            let jobs = self.claim(TABLES_AT_ONCE).await?;
            if jobs.is_empty() {
                self.remove_organisations(&never).await?;
                return Ok(());
            }
            futures_util::future::join_all(jobs.into_iter().map(|job| self.run_purge(job, &never))).await;
        }
    }

    /// Forgets dropped tables and views that are due, and removes their files. Also begins those that become due meanwhile. Returns
    /// their number.
    ///
    /// # Errors
    /// Fails if the store does not answer, after the begun removals have ended.
    async fn end_dropped(&self, stopped: &CancellationToken) -> Result<u64, StoreError> {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut running = FuturesUnordered::new();
        let (mut handled, mut failed) = (0, None);
        loop {
            if !stopped.is_cancelled() {
                match self.begin_due(TABLES_AT_ONCE - running.len()).await {
                    Ok((forgotten, jobs)) => {
                        handled += forgotten;
                        running.extend(jobs.into_iter().map(|job| self.run_purge(job, stopped)));
                        failed = None;
                    }
                    Err(error) => failed = Some(error),
                }
            }
            // Wait until more may be due. Running removals continue.
            let mut waited = pin!(async {
                tokio::select! {
                    () = self.wake.notified() => {}
                    _ = ticks.tick() => {}
                }
            });
            loop {
                let Some(()) = (tokio::select! {
                    () = &mut waited, if !stopped.is_cancelled() => break,
                    ended = running.next() => ended,
                }) else {
                    return failed.map_or(Ok(handled), Err);
                };
                handled += 1;
                if running.len() + 1 == TABLES_AT_ONCE && !stopped.is_cancelled() {
                    break;
                }
            }
        }
    }

    /// Forgets due dropped tables and views, and claims up to `free` tables to remove their files. Returns the number of forgotten
    /// objects and the claimed tables.
    async fn begin_due(&self, free: usize) -> Result<(u64, Vec<Dropped>), StoreError> {
        let forgotten = self.forget().await?;
        let jobs = if free > 0 { self.claim(free).await? } else { Vec::new() };
        Ok((forgotten, jobs))
    }

    /// Forgets dropped tables and views whose time is over. Returns their number.
    async fn forget(&self) -> Result<u64, StoreError> {
        let change = Change::by_catalog(self.clock.now_ms());
        let mut forgotten = 0;
        loop {
            let count = self.store.dropped_forget_due(FORGET_BATCH, &change).await?;
            if count > 0 {
                tracing::info!(count, "forgot dropped tables and views whose restore time is over; their files stay");
            }
            forgotten += count;
            if count < u64::from(FORGET_BATCH) {
                return Ok(forgotten);
            }
        }
    }

    async fn claim(&self, at_most: usize) -> Result<Vec<Dropped>, StoreError> {
        let now_ms = self.clock.now_ms();
        let at_most = u32::try_from(at_most).unwrap_or(u32::MAX);
        self.store.dropped_claim(now_ms, now_ms.saturating_add(LEASE_MS), at_most).await
    }

    /// Removes a table's files while the lease is held, and records the outcome.
    async fn run_purge(&self, job: Dropped, stopped: &CancellationToken) {
        let running = Running::default();
        self.running.lock().insert(job.id, running.clone());
        // Also after a panic: nobody may wait for a purge that has ended.
        let _ended = Ended { maintenance: self, id: job.id, ended: running.ended };
        self.attempt(&job, stopped, &running.keep_files).await;
    }

    /// Removes the files in one attempt.
    async fn attempt(&self, job: &Dropped, stopped: &CancellationToken, keep_files: &CancellationToken) {
        let warehouse = match self.open(job.warehouse_ref).await {
            Ok(warehouse) => warehouse,
            Err(message) => return self.conclude(job, Err(Stopped::Later(message)), None).await,
        };
        let purge = Purge::new(self.store.as_ref(), &warehouse, &self.documents, &self.clock, job, keep_files);
        let outcome = tokio::select! {
            outcome = purge.run() => outcome,
            // The purge notices a lost lease itself, and finishes its running removals first.
            never = self.renew_lease(job, &purge) => match never {},
            () = stopped.cancelled() => Err(Stopped::ServerStops),
        };
        self.conclude(job, outcome, Some(purge.counts())).await;
    }

    /// Opens the warehouse of a table.
    ///
    /// # Errors
    /// Returns why the warehouse cannot be used, as text.
    async fn open(&self, warehouse_ref: WarehouseRef) -> Result<OpenWarehouse, String> {
        let all = self.store.warehouse_list(warehouse_ref.organisation).await.map_err(|error| error.to_string())?;
        let found = all.into_iter().find(|warehouse| warehouse.id == warehouse_ref.warehouse);
        let found = found.ok_or_else(|| "its warehouse is gone".to_owned())?;
        self.access.open(found).map_err(|error| format!("its warehouse cannot be used with its settings: {error}"))
    }

    /// Records the outcome of an attempt.
    async fn conclude(&self, job: &Dropped, outcome: Result<(), Stopped>, counts: Option<Counts>) {
        let now_ms = self.clock.now_ms();
        let table = job.id;
        let progress = match outcome {
            Ok(()) => {
                let Counts { removed, elsewhere, missing } = counts.unwrap_or_default();
                tracing::info!(
                    %table, ident = %job.ident, removed, elsewhere, missing, "a dropped table's files are removed"
                );
                Progress::Gone
            }
            Err(Stopped::Lost) => {
                tracing::info!(
                    %table, ?counts,
                    "the removal of a dropped table's files has stopped: an administrator keeps those that are left, or \
                     another process goes on"
                );
                Progress::Stopped
            }
            Err(Stopped::ServerStops) => Progress::Retry { at_ms: now_ms, message: None },
            Err(Stopped::Later(message)) => match retry_after_ms(job.attempts) {
                Some(after_ms) => {
                    tracing::warn!(%table, message, "a dropped table's files could not all be removed: trying again");
                    Progress::Retry { at_ms: now_ms.saturating_add(after_ms), message: Some(message) }
                }
                None => blocked(job, message),
            },
            Err(Stopped::Never(message)) => blocked(job, message),
        };
        if let Err(error) = self.note(job, &progress).await {
            // The lease ends, and the next attempt finds the remaining work.
            tracing::warn!(%table, %error, "could not record the outcome of removing a dropped table's files");
        }
        self.ended.notify_waiters();
    }

    /// Renews the lease.
    async fn renew_lease(&self, job: &Dropped, purge: &Purge<'_>) -> Infallible {
        let mut ticks = interval(RENEWAL_INTERVAL);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let until_ms = self.clock.now_ms().saturating_add(LEASE_MS);
            let renewed = Progress::Continue { until_ms, finishing: purge.is_finishing() };
            match self.note(job, &renewed).await {
                // If the lease is lost, the purge notices that itself.
                Ok(_) => {}
                // The next renewal may succeed.
                Err(error) => {
                    tracing::warn!(table = %job.id, %error, "could not renew the lease to remove a dropped table's files")
                }
            }
        }
    }

    async fn note(&self, job: &Dropped, progress: &Progress) -> Result<bool, StoreError> {
        let change = Change::by_catalog(self.clock.now_ms());
        self.store.dropped_progress(job.warehouse_ref.organisation, job.id, job.attempts, progress, &change).await
    }
}

fn blocked(job: &Dropped, message: String) -> Progress {
    tracing::error!(
        table = %job.id, ident = %job.ident, message,
        "a dropped table's files cannot be removed: an administrator has to look"
    );
    Progress::Blocked { message }
}
