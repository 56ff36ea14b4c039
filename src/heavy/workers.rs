//! The threads for heavy work. They have a lower priority than the threads that serve requests, so that a small request does not
//! wait for a large one on a busy machine.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The niceness of the threads above the process's; Linux allows at most 19.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// How long a thread without work is kept.
const KEPT: Duration = Duration::from_secs(30);

/// A piece of work.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The threads. They start when there is work. A drop ends them after the remaining jobs.
pub(super) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// Creates workers with at most `most` threads.
    pub(super) fn new(most: usize) -> Self {
        Self { shared: Arc::new(Shared { most, state: Mutex::default(), more: Condvar::new() }) }
    }

    /// Runs a job on an idle thread, else on a new one, else on the first that becomes idle.
    pub(super) fn submit(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            self.shared.more.notify_one();
        } else if state.threads < self.shared.most {
            state.threads += 1;
            drop(state);
            self.start();
        }
    }

    /// Starts a thread. If the system cannot start one, does the work on the calling thread.
    fn start(&self) {
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new().name("heavy".to_owned()).spawn(move || {
            lower_priority();
            shared.work();
        });
        if let Err(error) = started {
            tracing::warn!(%error, "could not start a thread for heavy work");
            self.shared.run_waiting_jobs();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.more.notify_all();
    }
}

impl Shared {
    /// Runs jobs until the workers are dropped, or there is no job for [`KEPT`].
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                run(job);
                state = self.state.lock();
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.more.wait_for(&mut state, KEPT).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn run_waiting_jobs(&self) {
        self.state.lock().threads -= 1;
        loop {
            let job = self.state.lock().jobs.pop_front();
            let Some(job) = job else { return };
            run(job);
        }
    }
}

/// Runs a job. A panic ends only the job: the job itself reports it.
fn run(job: Job) {
    drop(catch_unwind(AssertUnwindSafe(job)));
}

/// Lowers the current thread's priority on Linux. On other systems the priority is the whole process's.
pub(super) fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None).and_then(|now| setpriority_process(None, (now + NICER).min(19)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a thread for heavy work keeps its priority");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn begin(workers: &Workers) -> (mpsc::Receiver<std::thread::ThreadId>, mpsc::Sender<()>) {
        let ((begun, has_begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
        workers.submit(Box::new(move || {
            begun.send(std::thread::current().id()).unwrap();
            let _ = ended.recv();
        }));
        (has_begun, end)
    }

    #[test]
    fn jobs_beyond_the_threads_wait_for_a_free_thread() {
        let workers = Workers::new(2);
        let (first, second, third) = (begin(&workers), begin(&workers), begin(&workers));
        let (one, other) = (first.0.recv().unwrap(), second.0.recv().unwrap());
        assert_ne!(one, other);
        assert!(third.0.try_recv().is_err());
        drop(first.1);
        assert_eq!(third.0.recv().unwrap(), one, "the free thread runs it");
        assert_eq!(workers.shared.state.lock().threads, 2);
    }

    #[test]
    fn thread_runs_the_next_job_after_a_panic() {
        let workers = Workers::new(1);
        workers.submit(Box::new(|| panic!("a fault")));
        begin(&workers).0.recv().unwrap();
    }

    #[test]
    fn remaining_jobs_run_after_the_workers_are_dropped() {
        let workers = Workers::new(1);
        let (first, second) = (begin(&workers), begin(&workers));
        drop(workers);
        drop(first.1);
        second.0.recv().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn heavy_thread_has_a_lower_priority_than_the_calling_thread() {
        use rustix::process::getpriority_process;
        let workers = Workers::new(1);
        let (tell, told) = mpsc::channel();
        workers.submit(Box::new(move || tell.send(getpriority_process(None).unwrap()).unwrap()));
        let own = getpriority_process(None).unwrap();
        assert_eq!(told.recv().unwrap(), (own + NICER).min(19));
        assert_eq!(getpriority_process(None).unwrap(), own);
    }
}
