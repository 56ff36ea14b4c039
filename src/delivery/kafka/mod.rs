//! Delivery of events to Apache Kafka, as the operator configured it.
//!
//! One consumer of the feed sends all events to one topic. If the topic's name has the organisation's, each organisation has a consumer of
//! its own, so that a missing topic of one stops no other. At a time one server holds a consumer.

mod producer;
mod sink;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::sink::{KafkaSink, ScopedSink};
use super::{Pump, Step};
use crate::background::{Task, TaskError};
use crate::base::clock::Clock;
use crate::config::{KAFKA_ORGANISATION, KafkaConfig, KafkaStart};
use crate::store::{Consumer, FeedScope, FeedStart, Operation, Store, StoreError, UnknownOperation};

/// The name of the consumers.
const CONSUMER: &str = "kafka";

/// How often the feed is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The most events of one batch.
const BATCH: u32 = 500;

/// The most organisations that are looked up, and that are sent at the same time.
const MOST_ORGANISATIONS: u32 = 10_000;
const AT_ONCE: usize = 8;

/// The longest pause of a consumer after failures, or while another server holds it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What was sent and what was not, for metrics.
#[derive(Debug, Clone, Default)]
pub struct KafkaMeasures {
    /// The events that Kafka acknowledged or that the settings leave out.
    pub passed: Counter,
    /// The events that Kafka refuses, for example because they are too large.
    pub refused: Counter,
    /// The failed attempts to send a batch.
    pub failures: Counter,
    /// The number of consumers that wait after a failure.
    failing: Arc<AtomicU64>,
}

impl KafkaMeasures {
    /// Returns the number of consumers that wait after a failure.
    #[must_use]
    pub fn failing(&self) -> u64 {
        self.failing.load(Ordering::Relaxed)
    }
}

/// Sends the events of the feed to Kafka.
pub struct KafkaDelivery {
    store: Arc<dyn Store>,
    clock: Clock,
    start: FeedStart,
    by_organisation: bool,
    sink: KafkaSink,
    readers: Mutex<HashMap<FeedScope, Arc<Reader>>>,
    /// The position up to which all events were sent by somebody.
    done: Mutex<Option<i64>>,
    measures: KafkaMeasures,
}

/// A consumer, on this server.
struct Reader {
    scope: FeedScope,
    pump: Pump,
    state: Mutex<ReaderState>,
}

#[derive(Default)]
struct ReaderState {
    failures: u32,
    not_before: Option<Instant>,
}

/// How a reader's run ended.
enum End {
    /// All events are sent.
    Done,
    /// Events are left: another server has the consumer, or this one stops.
    Left,
    /// An attempt failed.
    Failed(String),
}

impl KafkaDelivery {
    /// Creates the delivery. `None` if the settings turn it off.
    ///
    /// # Errors
    /// Fails if the settings name an operation that does not exist.
    pub fn new(
        config: &KafkaConfig,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> Result<Option<Arc<Self>>, UnknownOperation> {
        if !config.is_on() {
            return Ok(None);
        }
        for operation in &config.operations {
            operation.parse::<Operation>()?;
        }
        Ok(Some(Arc::new(Self {
            clock,
            start: match config.start {
                KafkaStart::Oldest => FeedStart::Oldest,
                KafkaStart::Latest => FeedStart::Latest,
            },
            by_organisation: config.topic.contains(KAFKA_ORGANISATION),
            sink: KafkaSink::new(config.clone(), Arc::clone(&store)),
            store,
            readers: Mutex::default(),
            done: Mutex::default(),
            measures: KafkaMeasures::default(),
        })))
    }

    /// Returns what was sent and what was not.
    #[must_use]
    pub const fn measures(&self) -> &KafkaMeasures {
        &self.measures
    }

    /// Returns the task that sends new events.
    pub fn task(self: &Arc<Self>) -> Task {
        Task::every("kafka", INTERVAL, self, |delivery: Arc<Self>, stop| async move { delivery.run(&stop).await })
            .last(self, |delivery: Arc<Self>, _| async move { delivery.end().await })
            .while_failing("Events wait for Kafka, and are sent when it answers: see docs/kafka.md")
    }

    /// Sends all events that are not sent yet. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer, or if nothing could be sent. Then the next run tries again.
    pub async fn run(&self, stop: &CancellationToken) -> Result<u64, TaskError> {
        let latest = self.store.feed_bounds(FeedScope::All).await?.latest;
        if *self.done.lock() == Some(latest) {
            return Ok(0);
        }
        let began = self.store.consumer_ensure(FeedScope::All, CONSUMER, self.start).await?;
        let (readers, are_all) = self.readers(&began).await?;
        let began = self.by_organisation.then_some(&began);
        let ready: Vec<_> = readers.iter().filter(|reader| reader.is_ready()).cloned().collect();
        let sends: Vec<_> = ready.into_iter().map(|reader| self.drain(reader, began, stop)).collect();
        let ends: Vec<Result<(u64, End), StoreError>> = stream::iter(sends).buffer_unordered(AT_ONCE).collect().await;
        let (mut sent, mut left, mut reasons) = (0, !are_all || ends.len() < readers.len(), Vec::new());
        let all = ends.len();
        for end in ends {
            let (count, end) = end?;
            sent += count;
            match end {
                End::Done => {}
                End::Left => left = true,
                End::Failed(reason) => reasons.push(reason),
            }
        }
        let failing = readers.iter().filter(|reader| reader.state.lock().failures > 0).count();
        self.measures.failing.store(failing as u64, Ordering::Relaxed);
        if !left && reasons.is_empty() {
            *self.done.lock() = Some(latest);
        }
        match reasons.pop() {
            Some(reason) if reasons.len() + 1 == all => Err(reason.into()),
            _ => Ok(sent),
        }
    }

    /// Returns the readers of the consumers that may have events to send, those that failed last, and whether these are all.
    async fn readers(&self, began: &Consumer) -> Result<(Vec<Arc<Reader>>, bool), StoreError> {
        let mut are_all = true;
        let scopes = if self.by_organisation {
            let after = (*self.done.lock()).unwrap_or(began.position);
            let changed = self.store.feed_changed(after, MOST_ORGANISATIONS).await?;
            are_all = changed.len() < MOST_ORGANISATIONS as usize;
            // The server's own events belong to no organisation, so they have no topic.
            changed.into_iter().filter(|scope| scope.organisation().is_some()).collect()
        } else {
            vec![FeedScope::All]
        };
        let mut readers = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let known = self.readers.lock().get(&scope).cloned();
            readers.push(match known {
                Some(reader) => reader,
                None => self.reader(scope).await?,
            });
        }
        readers.sort_by_key(|reader| reader.state.lock().failures);
        Ok((readers, are_all))
    }

    async fn reader(&self, scope: FeedScope) -> Result<Arc<Reader>, StoreError> {
        if scope != FeedScope::All {
            // Events from before the delivery began are left out when they are read.
            self.store.consumer_ensure(scope, CONSUMER, FeedStart::Oldest).await?;
        }
        let pump = Pump::new(Arc::clone(&self.store), self.clock.clone(), scope, CONSUMER, BATCH);
        let reader = Arc::new(Reader { scope, pump, state: Mutex::default() });
        self.readers.lock().insert(scope, Arc::clone(&reader));
        Ok(reader)
    }

    /// Sends the events of one consumer until none is left or an attempt fails. Returns their number.
    async fn drain(
        &self,
        reader: Arc<Reader>,
        began: Option<&Consumer>,
        stop: &CancellationToken,
    ) -> Result<(u64, End), StoreError> {
        let sink = ScopedSink { sink: &self.sink, began };
        let mut sent = 0;
        loop {
            if stop.is_cancelled() {
                return Ok((sent, End::Left));
            }
            match reader.pump.step(&sink).await? {
                Step::Idle => {
                    *reader.state.lock() = ReaderState::default();
                    return Ok((sent, End::Done));
                }
                Step::Delivered(count) => {
                    *reader.state.lock() = ReaderState::default();
                    sent += self.passed(count);
                }
                Step::Rejected { accepted, .. } => {
                    sent += self.passed(accepted);
                    self.measures.refused.inc();
                }
                Step::Later { accepted, reason, after } => {
                    sent += self.passed(accepted);
                    return Ok((sent, self.failed(&reader, reason, after)));
                }
                Step::NotHeld(left) => {
                    reader.state.lock().not_before = Some(Instant::now() + left.clamp(INTERVAL, LONGEST_PAUSE));
                    return Ok((sent, End::Left));
                }
            }
        }
    }

    fn passed(&self, count: usize) -> u64 {
        self.measures.passed.inc_by(count as u64);
        count as u64
    }

    fn failed(&self, reader: &Reader, reason: String, after: Duration) -> End {
        let mut state = reader.state.lock();
        state.not_before = Some(Instant::now() + after.clamp(INTERVAL, LONGEST_PAUSE));
        // The pause after an earlier failure, perhaps of another server, is not over.
        if reason.is_empty() {
            return End::Left;
        }
        self.measures.failures.inc();
        if state.failures == 0 {
            let organisation = reader.scope.organisation().map(|id| id.to_string());
            tracing::warn!(organisation, reason, "Kafka does not take events: they wait and are sent again");
        }
        state.failures = state.failures.saturating_add(1);
        End::Failed(reason)
    }

    /// Gives the consumers to other servers, and closes the connection.
    async fn end(&self) -> Result<u64, TaskError> {
        self.sink.close().await;
        let readers: Vec<_> = self.readers.lock().drain().map(|(_, reader)| reader).collect();
        for reader in readers {
            reader.pump.release().await?;
        }
        Ok(0)
    }
}

impl Reader {
    fn is_ready(&self) -> bool {
        self.state.lock().not_before.is_none_or(|time| time <= Instant::now())
    }
}
