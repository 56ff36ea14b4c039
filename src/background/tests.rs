//! Tasks that succeed, fail, panic and hang, on a paused clock: time passes only while every task waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Runner, Stage, Task, TaskState};
use crate::base::clock::Clock;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn runner() -> Runner {
    Runner::new(Clock::Manual(Arc::new(AtomicI64::new(5_000))), 7)
}

/// A task that reports each run, with a switch that makes its runs fail.
struct Probe {
    runs: mpsc::UnboundedSender<Instant>,
    fails: AtomicBool,
}

impl Probe {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Instant>) {
        let (runs, told) = mpsc::unbounded_channel();
        (Arc::new(Self { runs, fails: AtomicBool::new(false) }), told)
    }

    fn task(self: &Arc<Self>, interval: Duration) -> Task {
        Task::every("probe", interval, self, |probe, _| async move {
            probe.runs.send(Instant::now())?;
            if probe.fails.load(Ordering::SeqCst) { Err("the disk is full".into()) } else { Ok(3) }
        })
    }
}

fn state(runner: &Runner, name: &str) -> TaskState {
    runner.states().into_iter().find(|state| state.name == name).unwrap()
}

/// Returns the waits between runs, in milliseconds.
async fn waits(told: &mut mpsc::UnboundedReceiver<Instant>, count: usize) -> Vec<u128> {
    let mut before = told.recv().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..count {
        let run = told.recv().await.unwrap();
        waits.push((run - before).as_millis());
        before = run;
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn task_that_panics_or_hangs_does_not_affect_others() {
    let runner = runner();
    let (probe, mut told) = Probe::new();
    let unit = Arc::new(());
    runner.start(Task::every("panics", SECOND, &unit, |_, _| async { panic!("index out of range") }));
    runner.start(Task::every("hangs", SECOND, &unit, |_, _| std::future::pending()));
    runner.start(probe.task(SECOND));
    assert_eq!(waits(&mut told, 100).await.len(), 100);
    let panics = state(&runner, "panics");
    assert!(panics.failures > 5, "{panics:?}");
    assert_eq!(panics.last_error.as_deref(), Some("panicked: index out of range"));
    assert_eq!((panics.stage, panics.last_run_ms), (Stage::Waiting, Some(5_000)));
    let hangs = state(&runner, "hangs");
    assert_eq!((hangs.stage, hangs.running_since_ms, hangs.last_run_ms), (Stage::Running, Some(5_000), None));
    let begun = Instant::now();
    let error = runner.stop(SECOND * 10).await.unwrap_err().to_string();
    assert!(error.ends_with("hangs did not end within 10 s") && !error.contains("panics"), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(state(&runner, "probe").stage, Stage::Ended);
}

#[tokio::test(start_paused = true)]
async fn failed_task_is_tried_again_after_a_growing_bounded_pause() {
    let runner = runner();
    let (probe, mut told) = Probe::new();
    probe.fails.store(true, Ordering::SeqCst);
    runner.start(probe.task(SECOND * 20));
    for (wait_ms, whole_ms) in
        waits(&mut told, 7).await.into_iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
    {
        assert!((whole_ms * 9 / 10..=whole_ms + 1).contains(&wait_ms), "{wait_ms} ms of {whole_ms} ms");
    }
    // The task reports a run before it fails.
    while state(&runner, "probe").stage == Stage::Running {
        tokio::task::yield_now().await;
    }
    let failing = state(&runner, "probe");
    assert_eq!((failing.failures, failing.last_error.as_deref()), (8, Some("the disk is full")));
    let next_in_ms = failing.next_run_ms.unwrap() - 5_000;
    assert!((18_000..=20_000).contains(&next_in_ms), "{next_in_ms}");
    probe.fails.store(false, Ordering::SeqCst);
    assert_eq!(waits(&mut told, 1).await.len(), 1);
    let well = state(&runner, "probe");
    assert_eq!((well.failures, well.last_error), (0, None));
    runner.stop(MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wake_up_signal_starts_a_run_at_once_except_in_the_pause_after_a_failure() {
    let runner = runner();
    let (probe, mut told) = Probe::new();
    let wake = Arc::new(Notify::new());
    runner.start(probe.task(MINUTE).wake_on(Arc::clone(&wake)));
    let first = told.recv().await.unwrap();
    wake.notify_one();
    probe.fails.store(true, Ordering::SeqCst);
    let second = told.recv().await.unwrap();
    assert_eq!(second, first);
    wake.notify_one();
    let third = told.recv().await.unwrap();
    assert!((900..=1_001).contains(&(third - second).as_millis()), "{:?}", third - second);
    runner.stop(MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tasks_with_the_same_interval_do_not_stay_together_and_never_wait_longer() {
    let runner = runner();
    let mut all = Vec::new();
    for _ in 0..4 {
        let (probe, told) = Probe::new();
        runner.start(probe.task(MINUTE));
        all.push(told);
    }
    let mut lengths = Vec::new();
    for told in &mut all {
        lengths.extend(waits(told, 1).await);
    }
    assert!(lengths.iter().all(|wait_ms| (54_000..=60_001).contains(wait_ms)), "{lengths:?}");
    let distinct: std::collections::BTreeSet<_> = lengths.iter().collect();
    assert_eq!(distinct.len(), 4, "{lengths:?}");
    runner.stop(MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn first_run_is_delayed_where_the_task_says_so() {
    let runner = runner();
    let (probe, mut told) = Probe::new();
    let begun = Instant::now();
    runner.start(probe.task(SECOND).first_after(MINUTE));
    assert!(told.recv().await.unwrap() - begun >= MINUTE);
    runner.stop(MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn task_that_runs_once_is_repeated_until_it_succeeds() {
    let runner = runner();
    let runs = Arc::new(AtomicU64::new(0));
    let (ended, mut has_ended) = mpsc::unbounded_channel();
    runner.start(Task::once("once", &runs, move |runs, _| {
        let ended = ended.clone();
        async move {
            match runs.fetch_add(1, Ordering::SeqCst) {
                0 => Err("not yet".into()),
                1 => panic!("nor now"),
                _ => Ok(ended.send(()).map(|()| 1)?),
            }
        }
    }));
    has_ended.recv().await.unwrap();
    while state(&runner, "once").stage != Stage::Ended {
        tokio::task::yield_now().await;
    }
    assert!(has_ended.recv().await.is_none(), "the task is gone");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    let once = state(&runner, "once");
    assert_eq!((once.failures, once.last_error, once.next_run_ms), (0, None, None));
    runner.stop(MINUTE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_lets_the_present_run_end_and_then_does_the_last_work() {
    let runner = runner();
    let (steps, mut told) = mpsc::unbounded_channel();
    let steps = Arc::new(steps);
    let work = |steps: Arc<mpsc::UnboundedSender<&'static str>>, stop: CancellationToken| async move {
        steps.send("begins")?;
        stop.cancelled().await;
        tokio::time::sleep(SECOND).await;
        steps.send("ends")?;
        Ok(1)
    };
    let last = |steps: Arc<mpsc::UnboundedSender<&'static str>>, _| async move { Ok(steps.send("last").map(|()| 1)?) };
    runner.start(Task::every("steps", MINUTE, &steps, work).last(&steps, last));
    assert_eq!(told.recv().await, Some("begins"));
    runner.stop(SECOND * 2).await.unwrap();
    assert_eq!((told.try_recv(), told.try_recv()), (Ok("ends"), Ok("last")));
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn stop_fails_if_last_work_panics_and_not_if_it_fails() {
    let unit = Arc::new(());
    let task = |name| Task::every(name, MINUTE, &unit, |_, _| async { Ok(0) });
    let failing = runner();
    failing.start(task("fails").last(&unit, |_, _| async { Err("no disk".into()) }));
    failing.stop(MINUTE).await.unwrap();
    let panicking = runner();
    panicking.start(task("panics").last(&unit, |_, _| async { panic!("no disk") }));
    let error = panicking.stop(MINUTE).await.unwrap_err().to_string();
    assert!(error.ends_with("panics panicked: no disk"), "{error}");
}
