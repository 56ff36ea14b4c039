//! The threads that serve connections, one for each core.
//!
//! Each has a runtime of its own, and a connection stays on the thread that it was given to. On threads that share one
//! runtime, a connection moves to whichever is free, and what a request touches moves with it from one core's cache to the
//! other's: that made a load a third slower (docs/decisions/0015).

use std::io;
use std::thread;

use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that end when this is dropped, and with them all that was begun on them.
#[must_use]
pub struct ConnectionThreads {
    queues: Vec<UnboundedSender<Job>>,
    next: usize,
}

impl ConnectionThreads {
    /// Starts one for each core.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let queues = (0..cores).map(start_one).collect::<io::Result<_>>()?;
        Ok(Self { queues, next: 0 })
    }

    /// Does `job` on one of them, each in its turn. What it spawns stays there.
    pub(super) fn hand_over(&mut self, job: impl FnOnce() + Send + 'static) {
        let queue = &self.queues[self.next % self.queues.len()];
        self.next = self.next.wrapping_add(1);
        // A thread that has ended has panicked, which it said; the connection is closed by being dropped.
        let _ = queue.send(Box::new(job));
    }
}

fn start_one(number: usize) -> io::Result<UnboundedSender<Job>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (queue, jobs) = unbounded_channel();
    thread::Builder::new().name(format!("connections-{number}")).spawn(move || runtime.block_on(work(jobs)))?;
    Ok(queue)
}

async fn work(mut jobs: UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        job();
    }
}
