//! Deadlines of requests.
//!
//! The deadline is set when a request arrives and is part of its task, so that all code that works for the request can check
//! it. Work without a deadline (background work, tests, the command line) may take any time.

use std::future::Future;
use std::time::Instant;

use tidewater_core::stop::Stop;

tokio::task_local! {
    static DEADLINE: Option<Deadline>;
}

/// The deadline of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    begun: Instant,
    until: Instant,
}

impl Deadline {
    /// Creates the deadline of a request that began at `begun`.
    pub(crate) const fn new(begun: Instant, until: Instant) -> Self {
        Self { begun, until }
    }

    /// Creates the deadline of a request that begins now.
    #[cfg(test)]
    pub(crate) fn ending_at(until: Instant) -> Self {
        Self::new(Instant::now(), until)
    }

    /// Returns when the request began.
    pub(crate) const fn begun(self) -> Instant {
        self.begun
    }
}

/// The request's deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's time is over")]
pub struct TimeIsOver;

/// Returns the deadline of the current task.
pub(crate) fn current() -> Option<Deadline> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Runs a future with a deadline, or without one.
pub(crate) fn scope<F: Future>(deadline: Option<Deadline>, work: F) -> impl Future<Output = F::Output> {
    DEADLINE.scope(deadline, work)
}

/// Runs blocking work with a deadline, or without one.
pub(crate) fn sync_scope<T>(deadline: Option<Deadline>, work: impl FnOnce() -> T) -> T {
    DEADLINE.sync_scope(deadline, work)
}

/// Waits for a future until the deadline.
///
/// # Errors
/// Fails if the deadline comes first, and drops the future.
pub(crate) async fn within<F: Future>(wait: F) -> Result<F::Output, TimeIsOver> {
    match current() {
        None => Ok(wait.await),
        Some(deadline) => tokio::time::timeout_at(deadline.until.into(), wait).await.map_err(|_| TimeIsOver),
    }
}

/// Checks between the steps of long work that the deadline has not passed.
///
/// # Errors
/// Fails if it has passed.
pub(crate) fn check() -> Result<(), TimeIsOver> {
    match current() {
        Some(deadline) if Instant::now() >= deadline.until => Err(TimeIsOver),
        _ => Ok(()),
    }
}

/// Stops long work in `core` after the request's deadline.
pub(crate) const STOP: Stop<'static> = Stop::when(&|| check().is_err());

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_beyond_the_deadline_fails() {
        let never = std::future::pending::<()>();
        assert_eq!(scope(Some(Deadline::ending_at(Instant::now())), within(never)).await, Err(TimeIsOver));
    }

    #[tokio::test]
    async fn work_without_a_deadline_has_no_limit() {
        assert_eq!((check(), within(async { 1 }).await), (Ok(()), Ok(1)));
        assert_eq!(scope(None, async { check() }).await, Ok(()));
        assert_eq!(sync_scope(Some(Deadline::ending_at(Instant::now())), check), Err(TimeIsOver));
    }
}
