//! Runs tasks until the server stops, and shows their states.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::task::{Repeat, RunResult, Task, Work};
use crate::base::clock::Clock;
use crate::base::trace::{self, Span, Tracer};

/// The pause after a first failure. It doubles with each further failure in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Limits of the longest pause after a failure. Between them it is the interval of the task.
const MAX_PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// A run that takes longer than this is logged while it runs.
const LONG_RUN: Duration = Duration::from_secs(60);

/// The part of a wait that chance may take away, in percent, so that tasks with the same interval do not stay together. No
/// wait becomes longer.
const JITTER_PERCENT: u64 = 10;

/// The present activity of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waits for its next run.
    Waiting,
    /// Runs.
    Running,
    /// Does not run again: it has succeeded once, or the server stops.
    Ended,
}

impl Stage {
    /// Returns its name, as the API shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// The state of a task. Times are in milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// The name of the task.
    pub name: &'static str,
    /// Its present activity.
    pub stage: Stage,
    /// The start of the present run.
    pub running_since_ms: Option<i64>,
    /// The start of the last run that ended.
    pub last_run_ms: Option<i64>,
    /// The duration of the last run that ended, in milliseconds.
    pub last_duration_ms: Option<u64>,
    /// The error of the last run. `None` if it succeeded.
    pub last_error: Option<String>,
    /// How many runs have failed in a row.
    pub failures: u32,
    /// How many runs have ended since the start.
    pub runs: u64,
    /// How many of them failed.
    pub failed_runs: u64,
    /// How many objects the runs have handled.
    pub handled: u64,
    /// The time of the next run, if it waits. A wake-up signal may bring it forward.
    pub next_run_ms: Option<i64>,
}

/// Runs tasks, each apart from the others.
pub struct Runner {
    clock: Clock,
    stop: CancellationToken,
    /// The seed of the jitter.
    seed: u64,
    /// Traces some of the runs.
    tracer: Option<Arc<Tracer>>,
    started: Mutex<Vec<Started>>,
}

struct Started {
    state: Arc<Mutex<TaskState>>,
    /// Taken by [`Runner::stop`].
    handle: Option<JoinHandle<LastRun>>,
}

/// Whether the last work of a task panicked, with the message.
type LastRun = Result<(), String>;

impl Runner {
    /// Creates a runner without tasks. `seed` is random, and decides the jitter.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, stop: CancellationToken::new(), seed, tracer: None, started: Mutex::default() }
    }

    /// Returns a runner that traces some of the runs.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// Starts a task.
    pub fn start(&self, task: Task) {
        let state = Arc::new(Mutex::new(TaskState {
            name: task.name,
            stage: Stage::Waiting,
            running_since_ms: None,
            last_run_ms: None,
            last_duration_ms: None,
            last_error: None,
            failures: 0,
            runs: 0,
            failed_runs: 0,
            handled: 0,
            next_run_ms: None,
        }));
        let mut started = self.started.lock();
        let running = Running {
            task,
            state: Arc::clone(&state),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            tracer: self.tracer.clone(),
            random: self.seed.wrapping_add(started.len() as u64),
        };
        started.push(Started { state, handle: Some(tokio::spawn(running.run())) });
    }

    /// Returns the state of each task, in the order of their start.
    #[must_use]
    pub fn states(&self) -> Vec<TaskState> {
        self.started.lock().iter().map(|started| started.state.lock().clone()).collect()
    }

    /// Stops all tasks: present runs end, then each does its last work. A task that takes longer than `within` is aborted.
    ///
    /// # Errors
    /// Fails if a task was aborted, or its last work panicked. The message has all of them.
    pub async fn stop(&self, within: Duration) -> Result<(), StopError> {
        self.stop.cancel();
        let deadline = Instant::now() + within;
        let take = |started: &mut Started| Some((started.state.lock().name, started.handle.take()?));
        let running: Vec<_> = self.started.lock().iter_mut().filter_map(take).collect();
        let mut failed = Vec::new();
        for (name, mut handle) in running {
            match timeout_at(deadline, &mut handle).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(panicked))) => failed.push(format!("{name} {panicked}")),
                Ok(Err(error)) => failed.push(format!("{name}: {error}")),
                Err(_elapsed) => {
                    handle.abort();
                    tracing::error!(task = name, "stopped before a background task had ended");
                    failed.push(format!("{name} did not end within {} s", within.as_secs()));
                }
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(StopError(failed.join("; "))) }
    }
}

/// Background tasks did not end as they should.
#[derive(Debug, thiserror::Error)]
#[error("background tasks were stopped before they ended: {0}")]
pub struct StopError(String);

/// A task that was started.
struct Running {
    task: Task,
    state: Arc<Mutex<TaskState>>,
    clock: Clock,
    stop: CancellationToken,
    tracer: Option<Arc<Tracer>>,
    random: u64,
}

impl Running {
    async fn run(mut self) -> LastRun {
        let mut wait = self.task.first_after;
        while self.wait(wait).await {
            let succeeded = self.run_once().await;
            wait = match self.task.repeat {
                Repeat::UntilSuccess if succeeded => break,
                Repeat::Every(interval) if succeeded => self.with_jitter(interval),
                _ => self.pause(),
            };
            if !succeeded {
                self.log_failure(wait);
            }
        }
        let last = self.run_last().await;
        let mut state = self.state.lock();
        (state.stage, state.next_run_ms) = (Stage::Ended, None);
        last
    }

    /// Waits for the next run. Returns whether there is one.
    async fn wait(&self, wait: Duration) -> bool {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let has_failed = {
            let mut state = self.state.lock();
            (state.stage, state.next_run_ms) = (Stage::Waiting, Some(self.clock.now_ms().saturating_add(wait_ms)));
            state.failures > 0
        };
        let woken = async {
            match &self.task.wake {
                Some(wake) if !has_failed => wake.notified().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = woken => true,
            () = tokio::time::sleep(wait) => true,
        }
    }

    /// Runs the work once, and notes its outcome. Returns whether it succeeded.
    async fn run_once(&self) -> bool {
        let started_ms = self.clock.now_ms();
        {
            let mut state = self.state.lock();
            (state.stage, state.running_since_ms, state.next_run_ms) = (Stage::Running, Some(started_ms), None);
        }
        let name = self.task.name;
        let started = Instant::now();
        let span = self.tracer.as_ref().and_then(|tracer| tracer.work(format!("task {name}")));
        let context = span.as_ref().map(|span| span.context().clone());
        let mut run = pin!(trace::scope(context, guarded(&self.task.work, self.stop.clone())));
        let outcome = match timeout(LONG_RUN, &mut run).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                tracing::info!(task = name, running_s = LONG_RUN.as_secs(), "a background task is still running");
                run.await
            }
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = outcome.unwrap_or_else(|panicked| Err(panicked.into()));
        if let Some(span) = span {
            end_span(span, &outcome);
        }
        let mut state = self.state.lock();
        state.running_since_ms = None;
        state.runs = state.runs.saturating_add(1);
        (state.last_run_ms, state.last_duration_ms) = (Some(started_ms), Some(duration_ms));
        match outcome {
            Ok(count) => {
                if state.failures > 0 {
                    tracing::info!(task = name, failures = state.failures, "a background task succeeds again");
                }
                tracing::debug!(task = name, duration_ms, count, "ran a background task");
                (state.failures, state.last_error) = (0, None);
                state.handled = state.handled.saturating_add(count);
                true
            }
            Err(error) => {
                (state.failures, state.last_error) = (state.failures.saturating_add(1), Some(error.to_string()));
                state.failed_runs = state.failed_runs.saturating_add(1);
                false
            }
        }
    }

    /// Logs a failure. Of many in a row only the 1st, 2nd, 4th, 8th and so on, since each part that is away makes several tasks fail.
    fn log_failure(&self, wait: Duration) {
        let state = self.state.lock();
        if !state.failures.is_power_of_two() {
            return;
        }
        let (task, failures, while_failing) = (self.task.name, state.failures, self.task.while_failing);
        let (error, retry_in_ms) = (state.last_error.as_deref().unwrap_or_default(), wait.as_millis());
        tracing::warn!(
            task,
            error,
            failures,
            retry_in_ms,
            "a background task failed and is tried again. {while_failing}"
        );
    }

    /// Runs the last work.
    async fn run_last(&self) -> LastRun {
        let Some(work) = &self.task.last_work else { return Ok(()) };
        let task = self.task.name;
        match guarded(work, self.stop.clone()).await {
            Ok(Ok(count)) => {
                tracing::debug!(task, count, "ran the last work of a background task");
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::warn!(task, %error, "the last work of a background task failed: its data in memory is lost");
                Ok(())
            }
            Err(panicked) => {
                tracing::error!(task, panicked, "the last work of a background task panicked");
                Err(panicked)
            }
        }
    }

    /// Returns the pause after the failures so far.
    fn pause(&mut self) -> Duration {
        let (lowest, highest) = MAX_PAUSE;
        let longest = match self.task.repeat {
            Repeat::Every(interval) => interval.clamp(lowest, highest),
            Repeat::UntilSuccess => highest,
        };
        let doublings = self.state.lock().failures.saturating_sub(1).min(16);
        self.with_jitter((FIRST_PAUSE * 2_u32.pow(doublings)).min(longest))
    }

    /// Takes away up to a tenth of a wait, by the next number of a sequence without a pattern (SplitMix64).
    fn with_jitter(&mut self, wait: Duration) -> Duration {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let widest_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_mul(JITTER_PERCENT) / 100;
        wait.saturating_sub(Duration::from_millis((mixed ^ (mixed >> 31)) % (widest_ms + 1)))
    }
}

/// Ends the span of a run.
fn end_span(mut span: Span, outcome: &RunResult) {
    match outcome {
        Ok(handled) => span.set("tidewater.task.handled", i64::try_from(*handled).unwrap_or(i64::MAX)),
        Err(_) => span.fail("failed"),
    }
    span.end();
}

/// Runs work, and returns the message of a panic.
async fn guarded(work: &Work, stop: CancellationToken) -> Result<RunResult, String> {
    // A run reads its state from the store, so no run uses state that a panic left incomplete.
    AssertUnwindSafe(async { work(stop).await }).catch_unwind().await.map_err(|panic| message_of(&*panic))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}
