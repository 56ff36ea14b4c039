//! The closed loop: each connection sends its next request when the last response has arrived in full.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::client::{self, Connection, Outgoing};
use crate::stop::Stop;
use crate::tally::Tally;

/// The pause before a new connection after a refused one, so that the client does not spin.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The source of a connection's requests.
pub trait Source: Send {
    /// Returns the next request. Called again only after the expected response to the last one.
    fn next(&mut self) -> Outgoing;
}

/// The work of one connection.
pub struct Script {
    /// Its requests.
    pub source: Box<dyn Source>,
    /// The one status that counts as success.
    pub expected: StatusCode,
    /// Whether to expect 409: conflicts are counted separately, and the same request is sent again.
    pub retry_conflicts: bool,
}

/// Duration and concurrency of a load.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Threads of the client.
    pub threads: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub measure: Duration,
    /// The time after which a request fails and its connection is closed.
    pub timeout: Duration,
    /// Ends the load early.
    pub stop: Stop,
}

/// The measured period. A request counts if it ends within it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When the warm-up is over.
    pub begin: Instant,
    /// When the load ends.
    pub end: Instant,
}

impl Window {
    /// Returns the window of a load that starts at `start`.
    #[must_use]
    pub fn starting_at(start: Instant, pace: &Pace) -> Self {
        let begin = start + pace.warm_up;
        Self { begin, end: begin + pace.measure }
    }

    /// Returns whether a request that ended at `at` counts.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        at >= self.begin && at < self.end
    }

    /// Returns how much of the window lies before `now`.
    #[must_use]
    pub fn passed(&self, now: Instant) -> Duration {
        now.min(self.end).saturating_duration_since(self.begin)
    }
}

/// Runs one connection per script until the time is over, and returns the sum of their counts.
///
/// # Errors
/// Fails if a first connection cannot be opened, or a thread cannot be started.
pub fn drive(addr: SocketAddr, scripts: Vec<Script>, pace: &Pace) -> Result<Tally> {
    let threads = pace.threads.clamp(1, scripts.len().max(1));
    let mut shares: Vec<Vec<Script>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, script) in scripts.into_iter().enumerate() {
        shares[number % threads].push(script);
    }
    // All threads connect first and start together.
    let barrier = Arc::new(Barrier::new(threads));
    let handles: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (barrier, pace) = (Arc::clone(&barrier), pace.clone());
            thread::Builder::new().name("load".into()).spawn(move || drive_thread(addr, share, &pace, &barrier))
        })
        .collect::<std::io::Result<_>>()
        .context("cannot start a thread")?;
    let mut all = Tally::new()?;
    for handle in handles {
        let tally = handle.join().map_err(|_| anyhow!("a thread of the client panicked"))??;
        all.measured = all.measured.max(tally.measured);
        all.merge(&tally)?;
    }
    Ok(all)
}

fn drive_thread(addr: SocketAddr, scripts: Vec<Script>, pace: &Pace, barrier: &Barrier) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connected = runtime.block_on(async {
        let mut connections = Vec::with_capacity(scripts.len());
        for script in scripts {
            connections.push((Connection::open(addr).await?, script));
        }
        anyhow::Ok(connections)
    });
    // Threads with an error must reach the barrier too, since the others wait for them.
    barrier.wait();
    let connected = connected?;
    let window = Window::starting_at(Instant::now(), pace);
    runtime.block_on(async {
        let mut loops = JoinSet::new();
        for (connection, script) in connected {
            let looping = Loop { addr, connection: Some(connection), script, window, pace: pace.clone() };
            loops.spawn(looping.run());
        }
        let mut all = Tally::new()?;
        while let Some(tally) = loops.join_next().await {
            all.merge(&tally??)?;
        }
        all.measured = window.passed(Instant::now());
        Ok(all)
    })
}

/// A connection and its script.
struct Loop {
    addr: SocketAddr,
    connection: Option<Connection>,
    script: Script,
    window: Window,
    pace: Pace,
}

/// The result of an exchange.
enum Answer {
    Expected { body_bytes: u64 },
    Conflict,
    Unexpected { status: StatusCode, sample: String },
}

impl Loop {
    async fn run(mut self) -> Result<Tally> {
        let mut tally = Tally::new()?;
        while !self.over() {
            let outgoing = self.script.source.next();
            self.until_answered(&outgoing, &mut tally).await;
        }
        Ok(tally)
    }

    fn over(&self) -> bool {
        Instant::now() >= self.window.end || self.pace.stop.requested()
    }

    /// Sends one request until the expected response arrives or the time is over.
    async fn until_answered(&mut self, outgoing: &Outgoing, tally: &mut Tally) {
        let started = Instant::now();
        loop {
            let answer = match tokio::time::timeout(self.pace.timeout, self.exchange(outgoing)).await {
                Ok(answer) => answer,
                Err(_) => Err(anyhow!("no answer within {} s", self.pace.timeout.as_secs_f64())),
            };
            let now = Instant::now();
            let counts = self.window.holds(now);
            match answer {
                Ok(Answer::Expected { body_bytes }) => {
                    if counts {
                        tally.complete(now - started, body_bytes);
                    }
                    return;
                }
                Ok(Answer::Conflict) => tally.conflicts += u64::from(counts),
                Ok(Answer::Unexpected { status, sample }) => tally.fail(status.as_u16().to_string(), || sample),
                Err(error) => {
                    self.connection = None;
                    tally.fail("connection".into(), || format!("{error:#}"));
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
            if self.over() {
                return;
            }
        }
    }

    async fn exchange(&mut self, outgoing: &Outgoing) -> Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(Connection::open(self.addr).await?),
        };
        let response = connection.send(outgoing).await?;
        let status = response.status();
        let last = client::is_last(&response);
        let answer = if status == self.script.expected {
            Answer::Expected { body_bytes: client::drain(response.into_body()).await? }
        } else if status == StatusCode::CONFLICT && self.script.retry_conflicts {
            client::drain(response.into_body()).await?;
            Answer::Conflict
        } else {
            Answer::Unexpected { status, sample: client::sample(response.into_body()).await? }
        };
        if last {
            self.connection = None;
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(warm_up_s: u64, measure_s: u64) -> Pace {
        Pace {
            threads: 1,
            warm_up: Duration::from_secs(warm_up_s),
            measure: Duration::from_secs(measure_s),
            timeout: Duration::from_secs(1),
            stop: Stop::default(),
        }
    }

    #[test]
    fn only_requests_that_end_within_the_window_count() {
        let start = Instant::now();
        let window = Window::starting_at(start, &pace(3, 10));
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!window.holds(after(2)));
        assert!(window.holds(after(3)));
        assert!(window.holds(after(12)));
        assert!(!window.holds(after(13)));
    }

    #[test]
    fn shortened_window_is_measured_up_to_its_end() {
        let start = Instant::now();
        let window = Window::starting_at(start, &pace(3, 10));
        assert_eq!(window.passed(start), Duration::ZERO);
        assert_eq!(window.passed(start + Duration::from_secs(7)), Duration::from_secs(4));
        assert_eq!(window.passed(start + Duration::from_secs(60)), Duration::from_secs(10));
    }
}
