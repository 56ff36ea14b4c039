//! Until when a request is worth working on.
//!
//! The time is set where a request arrives, and goes along with its task, so that whatever waits or works for it deep inside can
//! look. What has no deadline (background work, tests, the command line) waits as long as it takes.

use std::future::Future;
use std::time::Instant;

use tidewater_core::stop::Stop;

tokio::task_local! {
    static DEADLINE: Option<Deadline>;
}

/// The time that a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    begun: Instant,
    until: Instant,
}

impl Deadline {
    /// The time of a request that began then.
    pub(crate) const fn new(begun: Instant, until: Instant) -> Self {
        Self { begun, until }
    }

    /// The time of a request that begins now.
    #[cfg(test)]
    pub(crate) fn at(until: Instant) -> Self {
        Self::new(Instant::now(), until)
    }

    /// When the request began.
    pub(crate) const fn begun(self) -> Instant {
        self.begun
    }
}

/// The request's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's time is over")]
pub struct TimeIsOver;

/// Returns the deadline of the task that asks.
pub(crate) fn current() -> Option<Deadline> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Runs a future under a deadline, or under none.
pub(crate) fn scope<F: Future>(deadline: Option<Deadline>, work: F) -> impl Future<Output = F::Output> {
    DEADLINE.scope(deadline, work)
}

/// Runs work on a thread of its own under a deadline, or under none.
pub(crate) fn sync_scope<T>(deadline: Option<Deadline>, work: impl FnOnce() -> T) -> T {
    DEADLINE.sync_scope(deadline, work)
}

/// Waits for what may take longer than the request has.
///
/// # Errors
/// When the deadline comes first; the wait is given up then.
pub(crate) async fn within<F: Future>(wait: F) -> Result<F::Output, TimeIsOver> {
    match current() {
        None => Ok(wait.await),
        Some(deadline) => tokio::time::timeout_at(deadline.until.into(), wait).await.map_err(|_| TimeIsOver),
    }
}

/// Checks between the steps of long work that its request still has time.
///
/// # Errors
/// When it has none.
pub(crate) fn check() -> Result<(), TimeIsOver> {
    match current() {
        Some(deadline) if Instant::now() >= deadline.until => Err(TimeIsOver),
        _ => Ok(()),
    }
}

/// Stops the rules of `core` when the request that they work for has no time left.
pub(crate) const STOP: Stop<'static> = Stop::when(&|| check().is_err());

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_beyond_the_deadline_is_given_up() {
        let never = std::future::pending::<()>();
        assert_eq!(scope(Some(Deadline::at(Instant::now())), within(never)).await, Err(TimeIsOver));
    }

    #[tokio::test]
    async fn work_without_a_deadline_has_time() {
        assert_eq!((check(), within(async { 1 }).await), (Ok(()), Ok(1)));
        assert_eq!(scope(None, async { check() }).await, Ok(()));
        assert_eq!(sync_scope(Some(Deadline::at(Instant::now())), check), Err(TimeIsOver));
    }
}
