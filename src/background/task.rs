//! One task: its name, its schedule and the work of one run.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Why a run failed.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// The outcome of a run: how many objects it handled, or why it failed.
pub(super) type RunResult = Result<u64, TaskError>;

/// The work of one run. It gets a token that is cancelled when the server stops.
pub(super) type Work = Box<dyn Fn(CancellationToken) -> Pin<Box<dyn Future<Output = RunResult> + Send>> + Send + Sync>;

/// When a task runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// At most this long after the end of a run.
    Every(Duration),
    /// Never after a run that succeeded.
    UntilSuccess,
}

/// A task that runs beside requests.
pub struct Task {
    pub(super) name: &'static str,
    pub(super) repeat: Repeat,
    pub(super) first_after: Duration,
    pub(super) wake: Option<Arc<Notify>>,
    pub(super) while_failing: &'static str,
    pub(super) work: Work,
    pub(super) last_work: Option<Work>,
}

impl Task {
    /// Creates a task of `owner` that runs at once, and then every `interval`.
    ///
    /// `work` returns how many objects it handled. It must be safe to stop anywhere. Work that takes long must end soon after
    /// its token is cancelled.
    pub fn every<T, F>(
        name: &'static str,
        interval: Duration,
        owner: &Arc<T>,
        work: impl Fn(Arc<T>, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Send + Sync + ?Sized + 'static,
        F: Future<Output = RunResult> + Send + 'static,
    {
        Self::new(name, Repeat::Every(interval), boxed(owner, work))
    }

    /// Creates a task of `owner` that runs at once, until a run succeeds.
    pub fn once<T, F>(
        name: &'static str,
        owner: &Arc<T>,
        work: impl Fn(Arc<T>, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Send + Sync + ?Sized + 'static,
        F: Future<Output = RunResult> + Send + 'static,
    {
        Self::new(name, Repeat::UntilSuccess, boxed(owner, work))
    }

    fn new(name: &'static str, repeat: Repeat, work: Work) -> Self {
        Self { name, repeat, first_after: Duration::ZERO, wake: None, while_failing: "", work, last_work: None }
    }

    /// Delays the first run.
    #[must_use]
    pub const fn first_after(mut self, delay: Duration) -> Self {
        self.first_after = delay;
        self
    }

    /// Runs the task at once when `wake` is notified, except in the pause after a failure.
    #[must_use]
    pub fn wake_on(mut self, wake: Arc<Notify>) -> Self {
        self.wake = Some(wake);
        self
    }

    /// Sets the consequence of failing runs, and what to do, for the log.
    #[must_use]
    pub const fn while_failing(mut self, text: &'static str) -> Self {
        self.while_failing = text;
        self
    }

    /// Sets work that runs once at the stop, after the last run.
    #[must_use]
    pub fn last<T, F>(
        mut self,
        owner: &Arc<T>,
        work: impl Fn(Arc<T>, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Send + Sync + ?Sized + 'static,
        F: Future<Output = RunResult> + Send + 'static,
    {
        self.last_work = Some(boxed(owner, work));
        self
    }
}

fn boxed<T, F>(owner: &Arc<T>, work: impl Fn(Arc<T>, CancellationToken) -> F + Send + Sync + 'static) -> Work
where
    T: Send + Sync + ?Sized + 'static,
    F: Future<Output = RunResult> + Send + 'static,
{
    let owner = Arc::clone(owner);
    Box::new(move |stop| Box::pin(work(Arc::clone(&owner), stop)))
}
