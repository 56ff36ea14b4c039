//! Exports spans to an OpenTelemetry collector, in batches.
//!
//! A collector that is away, slow or refuses costs requests nothing: spans wait in the tracer's bounded queue, and further ones are
//! dropped and counted.

mod collector;
mod otlp;
mod protobuf;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::base::clock::{Clock, fresh_uuid};
use crate::base::trace::{EndedSpan, Sampling, Tracer};
use crate::config::{TracesConfig, pairs};
use collector::{Collector, NotSent};

/// The most spans of one request to the collector.
const BATCH: usize = 512;

/// How long a span waits for others at the most.
const INTERVAL: Duration = Duration::from_secs(2);

/// The pause after a first failure. It doubles with each further one in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// For how long a batch is sent again before it is dropped.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// How often failures are logged at the most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The traces of a server: decides which requests are traced, and exports their spans.
pub struct Traces {
    tracer: Arc<Tracer>,
    exported: Counter,
    not_exported: Counter,
    /// The exporter until its start, then its task.
    exporter: Mutex<State>,
    stop: CancellationToken,
}

enum State {
    Ready(Box<Exporter>),
    Running(JoinHandle<()>),
    Stopped,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Creates the traces that the settings describe. `None` if they name no collector.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or a header is not valid. The message is for people.
    pub fn new(config: &TracesConfig, clock: Clock) -> Result<Option<Self>, String> {
        if !config.is_on() {
            return Ok(None);
        }
        let sampling = Sampling {
            per_million: config.ratio.per_million(),
            from_clients: config.from_clients,
            failures: config.failures,
        };
        let (tracer, queue) = Tracer::new(sampling, config.queue, clock);
        let (exported, not_exported, stop) = (Counter::default(), Counter::default(), CancellationToken::new());
        let exporter = Exporter {
            queue,
            collector: Collector::new(config)?,
            address: config.endpoint.clone(),
            resource: otlp::resource(&resource(config)?),
            exported: exported.clone(),
            not_exported: not_exported.clone(),
            stop: stop.clone(),
            logged: None,
        };
        let exporter = Mutex::new(State::Ready(Box::new(exporter)));
        Ok(Some(Self { tracer, exported, not_exported, exporter, stop }))
    }

    /// Returns what decides which requests are traced.
    #[must_use]
    pub const fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Spans that the collector took";
        registry.register("tidewater_traces_exported", help, self.exported.clone());
        let help = "Spans that were dropped, because the queue was full or a trace had too many";
        registry.register("tidewater_traces_dropped", help, self.tracer.dropped().clone());
        let help = "Spans that the collector did not take";
        registry.register("tidewater_traces_failed", help, self.not_exported.clone());
    }

    /// Starts the export.
    pub fn start(&self) {
        let mut state = self.exporter.lock();
        *state = match std::mem::replace(&mut *state, State::Stopped) {
            State::Ready(exporter) => State::Running(tokio::spawn(exporter.run())),
            other => other,
        };
    }

    /// Stops the export. Sends the spans that wait, once, within this time.
    pub async fn stop(&self, within: Duration) {
        self.stop.cancel();
        let state = std::mem::replace(&mut *self.exporter.lock(), State::Stopped);
        if let State::Running(mut task) = state
            && timeout(within, &mut task).await.is_err()
        {
            task.abort();
            tracing::warn!("stopped before all spans were sent to the collector");
        }
    }
}

/// Returns the attributes of the server.
fn resource(config: &TracesConfig) -> Result<Vec<(String, String)>, String> {
    let mut all = vec![
        ("service.name".to_owned(), config.service_name.clone()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), fresh_uuid().to_string()),
    ];
    for (name, value) in pairs(&config.resource)? {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Ok(all)
}

/// Takes spans from the queue and sends them.
struct Exporter {
    queue: mpsc::Receiver<EndedSpan>,
    collector: Collector,
    /// The collector's address, for messages.
    address: String,
    resource: Vec<u8>,
    exported: Counter,
    not_exported: Counter,
    stop: CancellationToken,
    /// When a failure was last logged.
    logged: Option<Instant>,
}

impl Exporter {
    async fn run(mut self) {
        tracing::info!(address = self.address, "exporting traces");
        let mut batch = Vec::with_capacity(BATCH);
        while !self.stop.is_cancelled() {
            self.fill(&mut batch).await;
            if !batch.is_empty() {
                self.send(&batch).await;
                batch.clear();
            }
        }
        // What waits is sent without further attempts.
        while self.queue.try_recv().map(|span| batch.push(span)).is_ok() {
            if batch.len() == BATCH {
                self.send(&batch).await;
                batch.clear();
            }
        }
        if !batch.is_empty() {
            self.send(&batch).await;
        }
    }

    /// Waits for a first span, and then for others until the batch is full or the interval is over. A stop ends the wait.
    async fn fill(&mut self, batch: &mut Vec<EndedSpan>) {
        let stop = self.stop.clone();
        let filled = async {
            let Some(first) = self.queue.recv().await else { return };
            batch.push(first);
            let until = Instant::now() + INTERVAL;
            while batch.len() < BATCH {
                let missing = BATCH - batch.len();
                match tokio::time::timeout_at(until, self.queue.recv_many(batch, missing)).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                }
            }
        };
        tokio::select! {
            () = filled => {}
            () = stop.cancelled() => {}
        }
    }

    /// Sends a batch, again after failures that may pass, until a stop.
    async fn send(&mut self, batch: &[EndedSpan]) {
        let request = otlp::request(&self.resource, batch);
        let (count, give_up) = (batch.len() as u64, Instant::now() + GIVE_UP_AFTER);
        let mut pause = FIRST_PAUSE;
        loop {
            match self.collector.send(request.clone()).await {
                Ok(answer) => {
                    let refused = otlp::refused(&answer).min(count);
                    self.exported.inc_by(count - refused);
                    self.not_exported.inc_by(refused);
                    if refused > 0 {
                        self.log(&format!("it refused {refused} of {count} spans"));
                    } else if self.logged.take().is_some() {
                        tracing::info!(address = self.address, "the collector takes traces again");
                    }
                    return;
                }
                Err(NotSent { why, again_after }) => {
                    self.log(&why);
                    let wait = pause.max(again_after.unwrap_or_default()).min(LONGEST_PAUSE);
                    if again_after.is_none() || self.stop.is_cancelled() || Instant::now() + wait > give_up {
                        self.not_exported.inc_by(count);
                        return;
                    }
                    // A stop ends the pause, and the batch is sent once more.
                    let _ = timeout(wait, self.stop.cancelled()).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Logs a failure, at most once in a period.
    fn log(&mut self, why: &str) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            let address = &self.address;
            tracing::warn!(
                address,
                why,
                "the collector does not take traces: spans wait, then are dropped and counted"
            );
        }
    }
}
