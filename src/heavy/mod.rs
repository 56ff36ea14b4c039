//! Heavy work: long computations run on a few threads beside the runtime's, with a share of memory.
//!
//! Each piece of work has an owner, the organisation that it is done for. Owners take turns, and an owner has at most half of
//! the workers and of the memory. Small work runs on the calling thread: handing it over would take longer than doing it.
//! A request stops waiting at its deadline, and running work checks the deadline between its steps. The workers have a
//! lower priority than the threads that serve requests.

mod alone;
mod large;
mod queue;
mod workers;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::base::deadline::{self, TimeIsOver};
use crate::base::trace;
pub(crate) use alone::run_alone;
pub use large::Large;
pub use queue::HeavyUsage;
use queue::{Capacity, FairQueue, Need};
use workers::Workers;

/// Work on fewer bytes than this runs on the calling thread.
pub(crate) const INLINE_BYTES: u64 = 64 << 10;

/// The memory for each byte of JSON that work reads and writes, in bytes.
const MEMORY_PER_BYTE: u64 = 4;

/// The most waiting work of one owner.
const OWNER_WAITING: usize = 1_000;

/// The limits of heavy work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeavySettings {
    /// The number of threads: at least two, so that one owner never has all of them.
    pub workers: usize,
    /// The most memory of running work, in bytes, by estimate.
    pub memory_bytes: u64,
}

impl HeavySettings {
    /// Creates the limits. 0 workers means one for each core. There are at least two workers.
    #[must_use]
    pub fn new(workers: usize, memory_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let workers = if workers == 0 { cores } else { workers };
        Self { workers: workers.max(2), memory_bytes }
    }
}

impl Default for HeavySettings {
    fn default() -> Self {
        Self::new(0, 1 << 30)
    }
}

/// Why heavy work failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeavyError {
    /// The request's deadline passed before its turn.
    #[error(transparent)]
    TimeIsOver(#[from] TimeIsOver),
    /// Too much work of the same owner waits.
    #[error("too much work of one organisation waits")]
    Full,
    /// The work panicked, or the runtime ends.
    #[error("the work stopped: {0}")]
    Stopped(String),
}

/// The workers, and the memory that they share.
pub struct Heavy {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
}

struct Shared {
    queue: Mutex<FairQueue<oneshot::Sender<Permit>>>,
}

/// Granted workers and memory. A drop releases them.
pub struct Permit {
    shared: Arc<Shared>,
    owner: Uuid,
    need: Need,
}

impl std::fmt::Debug for Heavy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heavy").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("owner", &self.owner).field("need", &self.need).finish_non_exhaustive()
    }
}

impl Default for Heavy {
    fn default() -> Self {
        Self::new(HeavySettings::default())
    }
}

impl Heavy {
    /// Creates the pool of workers and memory. Threads start when there is work.
    #[must_use]
    pub fn new(settings: HeavySettings) -> Self {
        let HeavySettings { workers, memory_bytes } = settings;
        let capacity = Capacity {
            bytes: memory_bytes,
            owner_bytes: memory_bytes / 2,
            workers,
            owner_workers: workers.div_ceil(2),
            owner_waiting: OWNER_WAITING,
        };
        // One more thread than workers: it drops large values while all others work.
        let threads = Arc::new(Workers::new(workers + 1));
        Self { shared: Arc::new(Shared { queue: Mutex::new(FairQueue::new(capacity)) }), workers: threads }
    }

    /// Returns what is in use now.
    #[must_use]
    pub fn usage(&self) -> HeavyUsage {
        self.shared.queue.lock().usage()
    }

    /// Wraps a value from `bytes` bytes of JSON. A worker drops it if it is large.
    pub(crate) fn large<T: Send + 'static>(&self, bytes: u64, value: T) -> Large<T> {
        if bytes < INLINE_BYTES { Large::small(value) } else { Large::new(value, Arc::downgrade(&self.workers)) }
    }

    /// Runs work on `bytes` bytes of JSON. Small work runs on the calling thread. Large work waits for a worker and memory for
    /// the owner.
    ///
    /// # Errors
    /// All of [`HeavyError`].
    pub async fn run<T: Send + 'static>(
        &self,
        owner: Uuid,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HeavyError> {
        if bytes < INLINE_BYTES {
            return Ok(work());
        }
        let need = Need { bytes: bytes.saturating_mul(MEMORY_PER_BYTE), workers: 1 };
        let permit = self.permit(owner, need).await?;
        self.on_worker(permit, work).await
    }

    /// Runs work on a worker, with memory that was reserved for it. Releases the reservation afterwards.
    ///
    /// # Errors
    /// All of [`HeavyError`].
    pub async fn run_in<T: Send + 'static>(
        &self,
        reserved: Permit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HeavyError> {
        let permit = self.permit(reserved.owner, Need { bytes: 0, workers: 1 }).await?;
        self.on_worker((reserved, permit), work).await
    }

    /// Reserves memory for reading `bytes` bytes of JSON, and for the work on it. A caller with a reservation must not wait for
    /// another, nor for anything that another request may hold.
    ///
    /// # Errors
    /// `TimeIsOver`; `Full`.
    pub async fn reserve(&self, owner: Uuid, bytes: u64) -> Result<Permit, HeavyError> {
        self.permit(owner, Need { bytes: bytes.saturating_mul(MEMORY_PER_BYTE), workers: 0 }).await
    }

    async fn on_worker<T: Send + 'static>(
        &self,
        permit: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HeavyError> {
        let (deadline, span, trace) = (deadline::current(), tracing::Span::current(), trace::current());
        let (sender, done) = oneshot::channel();
        self.workers.submit(Box::new(move || {
            let work = || span.in_scope(|| trace::sync_scope(trace, || deadline::sync_scope(deadline, work)));
            // Unwind safe: the values that the work has changed are dropped with it.
            let result = catch_unwind(AssertUnwindSafe(work));
            // Held while the work runs, even if the request has ended.
            drop(permit);
            // If the request has ended, this drops the result.
            drop(sender.send(result));
        }));
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => Err(HeavyError::Stopped(panic_message(&*panic))),
            Err(_) => Err(HeavyError::Stopped("its worker is gone".to_owned())),
        }
    }

    async fn permit(&self, owner: Uuid, need: Need) -> Result<Permit, HeavyError> {
        let (sender, granted) = oneshot::channel();
        if self.shared.queue.lock().push(owner, need, sender).is_err() {
            return Err(HeavyError::Full);
        }
        let mut wait = Wait { shared: &self.shared, owner, granted };
        self.shared.grant();
        match deadline::within(&mut wait.granted).await? {
            Ok(permit) => Ok(permit),
            Err(_) => Err(HeavyError::Stopped("it was removed from the queue".to_owned())),
        }
    }
}

/// A wait for a permit. A drop removes it from the queue.
struct Wait<'a> {
    shared: &'a Arc<Shared>,
    owner: Uuid,
    granted: oneshot::Receiver<Permit>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.granted.close();
        self.shared.queue.lock().retain(self.owner, |waiting| !waiting.is_closed());
        // Releases a permit that was granted at the last moment.
        drop(self.granted.try_recv());
        self.shared.grant();
    }
}

impl Shared {
    /// Grants all waiting work that fits now.
    fn grant(self: &Arc<Self>) {
        loop {
            let granted = self.queue.lock().pop();
            let Some((owner, need, waiting)) = granted else { return };
            let permit = Permit { shared: Arc::clone(self), owner, need };
            // If the request has ended, this drops and so releases the permit.
            drop(waiting.send(permit));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.queue.lock().release(self.owner, self.need);
        self.shared.grant();
    }
}

/// Returns the text of a panic, for an error message.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("for an unknown reason"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;
    use crate::base::deadline::Deadline;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const LARGE: u64 = INLINE_BYTES;

    fn two_workers() -> Arc<Heavy> {
        Arc::new(Heavy::new(HeavySettings { workers: 2, memory_bytes: 100 * LARGE * MEMORY_PER_BYTE }))
    }

    /// Starts work of an owner that runs until the sender is dropped. Returns after it has started.
    async fn begin(heavy: &Arc<Heavy>, owner: Uuid) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let heavy = Arc::clone(heavy);
        let work = tokio::spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                let _ = ended.recv();
            };
            heavy.run(owner, LARGE, work).await.unwrap();
        });
        has_begun.await.unwrap();
        (end, work)
    }

    #[tokio::test]
    async fn small_work_runs_on_the_calling_thread() {
        let heavy = two_workers();
        let here = std::thread::current().id();
        assert_eq!(heavy.run(A, LARGE - 1, || std::thread::current().id()).await.unwrap(), here);
        assert_ne!(heavy.run(A, LARGE, || std::thread::current().id()).await.unwrap(), here);
    }

    #[tokio::test]
    async fn work_of_another_owner_runs_while_one_has_its_share() {
        let heavy = two_workers();
        let (end, running) = begin(&heavy, A).await;
        let mut second = Box::pin(heavy.run(A, LARGE, || 2));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(heavy.run(B, LARGE, || 1).await.unwrap(), 1);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(end);
        running.await.unwrap();
        assert_eq!(second.await.unwrap(), 2);
        assert!(heavy.shared.queue.lock().is_idle());
    }

    #[tokio::test]
    async fn request_after_its_deadline_stops_waiting_and_leaves_the_queue() {
        let heavy = two_workers();
        let (end, running) = begin(&heavy, A).await;
        let late = deadline::scope(Some(Deadline::ending_at(Instant::now())), heavy.run(A, LARGE, || ())).await;
        assert_eq!(late, Err(HeavyError::TimeIsOver(TimeIsOver)));
        drop(end);
        running.await.unwrap();
        assert!(heavy.shared.queue.lock().is_idle());
    }

    #[tokio::test]
    async fn worker_stays_taken_while_its_work_runs_after_the_request_ended() {
        let heavy = two_workers();
        let (end, running) = begin(&heavy, A).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        let mut second = Box::pin(heavy.run(A, LARGE, || ()));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(end);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_releases_its_worker() {
        let heavy = two_workers();
        for _ in 0..4 {
            assert!(matches!(heavy.run(A, LARGE, || panic!("a fault")).await, Err(HeavyError::Stopped(_))));
        }
        assert!(heavy.shared.queue.lock().is_idle());
    }

    #[tokio::test]
    async fn work_sees_the_deadline_of_its_request() {
        let heavy = two_workers();
        assert_eq!(heavy.run(A, LARGE, deadline::check).await, Ok(Ok(())));
        let soon = Deadline::ending_at(Instant::now() + std::time::Duration::from_secs(60));
        let seen = deadline::scope(Some(soon), heavy.run(A, LARGE, deadline::current)).await;
        assert_eq!(seen, Ok(Some(soon)));
    }

    #[tokio::test]
    async fn reserved_memory_is_not_granted_again() {
        let heavy = Heavy::new(HeavySettings { workers: 2, memory_bytes: 4 * MEMORY_PER_BYTE });
        let first = heavy.reserve(A, 2).await.unwrap();
        let mut second = Box::pin(heavy.reserve(A, 1));
        assert!(futures_util::poll!(&mut second).is_pending());
        let other = heavy.reserve(B, 2).await.unwrap();
        assert_eq!(heavy.run_in(first, || 7).await.unwrap(), 7);
        drop(second.await.unwrap());
        drop(other);
        assert!(heavy.shared.queue.lock().is_idle());
    }
}
