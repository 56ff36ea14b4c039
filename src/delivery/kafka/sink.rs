//! The sink: events as records, in order, all acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::producer::{Connection, Failure, Pending};
use crate::config::{KAFKA_ORGANISATION, KafkaConfig};
use crate::delivery::{CloudEvent, Delivery, Sink, SinkResult};
use crate::store::{Consumer, Event, Store};

/// The longest time for a connection and for sending one batch; together below [`crate::delivery::Pump::SEND_LIMIT`].
const CONNECT_LIMIT: Duration = Duration::from_secs(12);
const SEND_LIMIT: Duration = Duration::from_secs(25);

/// The pause after a connection that could not be made. It doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends the events of all organisations to Kafka.
pub(super) struct KafkaSink {
    config: KafkaConfig,
    store: Arc<dyn Store>,
    line: Mutex<Line>,
}

/// The connection, which all sends share.
#[derive(Default)]
struct Line {
    open: Option<Arc<Connection>>,
    /// The failures in a row, and the time and reason of the last one.
    failures: u32,
    failed: Option<(Instant, String)>,
}

impl Line {
    fn pause(&self) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(LONGEST_PAUSE)
    }
}

/// How far a batch came: the number of events that need not be sent again, and the failure of the next one.
struct Progress {
    accepted: usize,
    failure: Option<Failure>,
}

impl KafkaSink {
    pub(super) fn new(config: KafkaConfig, store: Arc<dyn Store>) -> Self {
        Self { config, store, line: Mutex::default() }
    }

    /// Returns the connection, and makes it if there is none.
    async fn connection(&self) -> Result<Arc<Connection>, (String, Duration)> {
        let mut line = self.line.lock().await;
        if let Some(open) = &line.open {
            return Ok(Arc::clone(open));
        }
        if let Some((at, reason)) = &line.failed {
            let left = line.pause().saturating_sub(at.elapsed());
            if !left.is_zero() {
                return Err((reason.clone(), left));
            }
        }
        let opened = match timeout(CONNECT_LIMIT, Connection::open(&self.config)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(Failure::Refused(reason) | Failure::Topic(reason) | Failure::Unavailable(reason))) => Err(reason),
            Err(_elapsed) => Err("no broker answered in time".to_owned()),
        };
        match opened {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *line = Line { open: Some(Arc::clone(&connection)), failures: line.failures, failed: None };
                Ok(connection)
            }
            Err(reason) => {
                line.failures = line.failures.saturating_add(1);
                line.failed = Some((Instant::now(), reason.clone()));
                Err((reason, line.pause()))
            }
        }
    }

    /// Gives a connection up after a failure: records in it must not overtake those that are sent again.
    async fn disconnect(&self, failed: &Arc<Connection>, reason: &str) -> Duration {
        let mut line = self.line.lock().await;
        if line.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, failed)) {
            line.open = None;
            line.failures = line.failures.saturating_add(1);
            line.failed = Some((Instant::now(), reason.to_owned()));
            failed.close().await;
        }
        line.pause()
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        if let Some(open) = self.line.lock().await.open.take() {
            open.close().await;
        }
    }
}

/// The topics of a batch, with the organisations' names at this time.
struct Topics<'a> {
    sink: &'a KafkaSink,
    names: HashMap<OrganisationId, Option<String>>,
}

impl Topics<'_> {
    /// Returns the topic of an event. `None` if the settings leave it out.
    async fn topic(&mut self, event: &Event) -> Result<Option<String>, Failure> {
        let config = &self.sink.config;
        let is_selected =
            |selected: &[String], name: &str| selected.is_empty() || selected.iter().any(|one| one == name);
        if !is_selected(&config.operations, event.operation.as_str()) {
            return Ok(None);
        }
        let has_name = config.topic.contains(KAFKA_ORGANISATION);
        let Some(organisation) = event.organisation else {
            return Ok(Some(config.topic.clone()).filter(|_| !has_name && config.organisations.is_empty()));
        };
        if !has_name && config.organisations.is_empty() {
            return Ok(Some(config.topic.clone()));
        }
        let name = self.name(organisation).await?.filter(|name| is_selected(&config.organisations, name));
        Ok(name.map(|name| config.topic.replace(KAFKA_ORGANISATION, name)))
    }

    /// Returns an organisation's name. `None` if it is gone.
    async fn name(&mut self, organisation: OrganisationId) -> Result<Option<&str>, Failure> {
        if !self.names.contains_key(&organisation) {
            let found = self.sink.store.organisation_get(organisation).await;
            let found =
                found.map_err(|error| Failure::Topic(format!("the catalog's database does not answer: {error}")))?;
            self.names.insert(organisation, found.map(|organisation| organisation.name));
        }
        Ok(self.names.get(&organisation).and_then(Option::as_deref))
    }
}

/// The sink for the consumer of one scope.
pub(super) struct ScopedSink<'a> {
    pub(super) sink: &'a KafkaSink,
    /// The consumer that marks where the delivery began: events before it are left out. `None` for that consumer itself.
    pub(super) began: Option<&'a Consumer>,
}

impl ScopedSink<'_> {
    async fn send_all(&self, connection: &Connection, batch: &[Delivery]) -> Progress {
        let mut topics = Topics { sink: self.sink, names: HashMap::new() };
        let together = self.send_together(connection, &mut topics, batch).await;
        match together.failure {
            // The client gives up a batch that is too large after it has divided it twice.
            Some(Failure::Refused(_)) => self.send_alone(connection, &mut topics, batch, together.accepted).await,
            _ => together,
        }
    }

    /// Queues all events, then waits for them.
    async fn send_together(&self, connection: &Connection, topics: &mut Topics<'_>, batch: &[Delivery]) -> Progress {
        let (mut pending, mut failure) = (Vec::with_capacity(batch.len()), None);
        for delivery in batch {
            match self.enqueue(connection, topics, delivery).await {
                Ok(sent) => pending.push(sent),
                Err(failed) => {
                    failure = Some(failed);
                    break;
                }
            }
        }
        let mut accepted = 0;
        for sent in pending {
            if let Some(sent) = sent
                && let Err(failed) = sent.acknowledged().await
            {
                failure = Some(failed);
                break;
            }
            accepted += 1;
        }
        Progress { accepted, failure }
    }

    /// Sends the events from `accepted` on one after the other.
    async fn send_alone(
        &self,
        connection: &Connection,
        topics: &mut Topics<'_>,
        batch: &[Delivery],
        mut accepted: usize,
    ) -> Progress {
        for delivery in &batch[accepted..] {
            let sent = self.enqueue(connection, topics, delivery).await;
            let acknowledged = match sent {
                Ok(Some(sent)) => sent.acknowledged().await,
                Ok(None) => Ok(()),
                Err(failed) => Err(failed),
            };
            if let Err(failed) = acknowledged {
                return Progress { accepted, failure: Some(failed) };
            }
            accepted += 1;
        }
        Progress { accepted, failure: None }
    }

    /// Queues an event. Returns `None` if the settings leave it out.
    async fn enqueue(
        &self,
        connection: &Connection,
        topics: &mut Topics<'_>,
        delivery: &Delivery,
    ) -> Result<Option<Pending>, Failure> {
        if self.is_old(delivery) {
            return Ok(None);
        }
        let Some(topic) = topics.topic(&delivery.event).await? else { return Ok(None) };
        let event = CloudEvent::from(&delivery.event);
        let value = serde_json::to_vec(&event).map_err(|error| Failure::Refused(error.to_string()))?;
        connection.enqueue(&topic, event.partitionkey, value).await.map(Some)
    }

    fn is_old(&self, delivery: &Delivery) -> bool {
        self.began.is_some_and(|began| delivery.position <= began.position || !began.reads(&delivery.event))
    }
}

#[async_trait]
impl Sink for ScopedSink<'_> {
    async fn send(&self, batch: &[Delivery]) -> SinkResult {
        let sink = self.sink;
        let connection = match sink.connection().await {
            Ok(connection) => connection,
            Err((reason, after)) => return SinkResult::Away { accepted: 0, reason, after },
        };
        let sent = timeout(SEND_LIMIT, self.send_all(&connection, batch)).await;
        let Progress { accepted, failure } = sent.unwrap_or_else(|_elapsed| Progress {
            accepted: 0,
            failure: Some(Failure::Unavailable("no acknowledgement in time".to_owned())),
        });
        match failure {
            None => {
                sink.line.lock().await.failures = 0;
                SinkResult::Accepted
            }
            Some(Failure::Refused(reason)) => SinkResult::Rejected { accepted, reason },
            Some(Failure::Topic(reason)) => SinkResult::Later { accepted, reason, after: FIRST_PAUSE },
            Some(Failure::Unavailable(reason)) => {
                let after = sink.disconnect(&connection, &reason).await;
                SinkResult::Away { accepted, reason, after }
            }
        }
    }
}
