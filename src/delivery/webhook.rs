//! One receiver over HTTP: its requests, and the sink that sends a subscription's events to it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::address::{AllowedAddresses, CheckedResolver};
use super::cloud_event::CloudEvent;
use super::measures::DeliveryMeasures;
use super::pump::Pump;
use super::signature::signature;
use super::sink::{Delivery, Sink, SinkResult};
use crate::base::clock::Clock;
use crate::base::secret::Secret;
use crate::config::DeliveryConfig;
use crate::store::{DeadLetter, FeedScope, Store, StoreError};

/// The most bytes of an answer that are read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Pump::LONGEST_ASKED;

/// How long a batch may take before no further event of it is sent. One more time-out fits before `Pump::SEND_LIMIT`.
const BATCH_TIME: Duration = Duration::from_secs(8);

/// The most events of one subscription that are sent at the same time. Events of one object are sent one after the other.
const LANES: usize = 4;

/// Why a receiver did not accept an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, for people. It has neither the URL nor a secret.
    pub reason: String,
    /// Whether the receiver refused this event, and would refuse it again.
    pub is_final: bool,
    /// How long the receiver asks to wait.
    pub after: Duration,
}

impl Refusal {
    fn later(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_final: false, after: Duration::ZERO }
    }
}

/// The client of all receivers.
pub(super) fn client(config: &DeliveryConfig, allowed: &AllowedAddresses) -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(concat!("tidewater/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(config.timeout())
        .timeout(config.timeout())
        .pool_max_idle_per_host(LANES)
        .pool_idle_timeout(Duration::from_secs(30))
        .dns_resolver(Arc::new(CheckedResolver(allowed.clone())))
        .build()
}

/// A receiver of events, with the secrets of its signatures.
pub struct Receiver {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) secrets: Vec<Secret<String>>,
    pub(super) clock: Clock,
}

impl Receiver {
    /// Sends a body under an id.
    ///
    /// # Errors
    /// The receiver did not accept it.
    pub async fn post(&self, id: &str, body: &str) -> Result<(), Refusal> {
        let time_s = self.clock.now_ms().div_euclid(1_000);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", time_s)
            .header("webhook-signature", signature(&self.secrets, id, time_s, body.as_bytes()))
            .body(body.to_owned());
        let mut answer = request.send().await.map_err(|error| Refusal::later(chain(error)))?;
        let (status, after) = (answer.status(), retry_after(answer.headers(), self.clock.now_ms()));
        let mut read = 0;
        // The rest of a longer answer is not read: its connection is closed.
        while read <= MAX_ANSWER_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) => break,
                Err(error) => return Err(Refusal::later(chain(error))),
            }
        }
        if status.is_success() {
            return Ok(());
        }
        let reason = match status.is_redirection() {
            true => format!("the receiver answers {status}: redirects are not followed"),
            false => format!("the receiver answers {status}"),
        };
        Err(Refusal { reason, is_final: refuses_for_good(status), after })
    }
}

/// Returns whether a status says that the receiver does not accept this event. Others may be of a receiver that is set up wrongly.
fn refuses_for_good(status: StatusCode) -> bool {
    use StatusCode as S;
    status.is_client_error()
        && !matches!(
            status,
            S::UNAUTHORIZED
                | S::PAYMENT_REQUIRED
                | S::FORBIDDEN
                | S::NOT_FOUND
                | S::METHOD_NOT_ALLOWED
                | S::PROXY_AUTHENTICATION_REQUIRED
                | S::REQUEST_TIMEOUT
                | S::GONE
                | S::MISDIRECTED_REQUEST
                | S::LOCKED
                | S::TOO_EARLY
                | S::TOO_MANY_REQUESTS
        )
}

/// Returns the bounded time of `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now_ms: i64) -> Duration {
    let Some(text) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()) else { return Duration::ZERO };
    let seconds = text.trim().parse().map(Duration::from_secs).ok();
    let until = || DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp_millis());
    let wait = seconds
        .or_else(|| until().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms).max(0).unsigned_abs())));
    wait.unwrap_or_default().min(MAX_RETRY_AFTER)
}

/// Formats an error with its causes, without the URL: a path may contain a secret.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "the receiver did not answer in time".to_owned();
    }
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(&error));
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.chars().take(500).collect()
}

/// Returns the owner of a subscription's sealed secrets, so that they open for no other.
#[must_use]
pub fn secret_owner(scope: FeedScope, id: Uuid) -> Vec<u8> {
    let organisation = scope.organisation().map_or(Uuid::nil(), |organisation| organisation.0);
    [b"subscription".as_slice(), organisation.as_bytes(), id.as_bytes()].concat()
}

/// Sends the events of a subscription.
pub(super) struct WebhookSink {
    pub(super) receiver: Receiver,
    pub(super) store: Arc<dyn Store>,
    pub(super) scope: FeedScope,
    pub(super) subscription: Uuid,
    pub(super) max_dead_letters: u32,
    pub(super) measures: DeliveryMeasures,
    /// Positions of events that were accepted although an earlier event was not.
    pub(super) accepted: Arc<Mutex<HashSet<i64>>>,
}

impl WebhookSink {
    /// Sends the events of one object in order, until one is not accepted, or the time is over. Returns the first one that was not accepted.
    async fn send_lane(
        &self,
        lane: Vec<(usize, String, CloudEvent, i64)>,
        until: Instant,
    ) -> Option<(usize, Option<Refusal>)> {
        for (at, id, event, position) in lane {
            if self.accepted.lock().contains(&position) {
                continue;
            }
            if Instant::now() >= until {
                return Some((at, None));
            }
            let body = serde_json::to_string(&event).unwrap_or_default();
            match self.receiver.post(&id, &body).await {
                Ok(()) => {
                    self.measures.sent.inc();
                    self.accepted.lock().insert(position);
                }
                Err(refusal) => {
                    self.measures.failed.inc();
                    return Some((at, Some(refusal)));
                }
            }
        }
        None
    }
}

#[async_trait]
impl Sink for WebhookSink {
    async fn send(&self, batch: &[Delivery]) -> SinkResult {
        let until = Instant::now() + BATCH_TIME;
        let mut lanes: BTreeMap<String, Vec<(usize, String, CloudEvent, i64)>> = BTreeMap::new();
        for (at, delivery) in batch.iter().enumerate() {
            let event = CloudEvent::from(&delivery.event);
            let lane = lanes.entry(event.partitionkey.clone()).or_default();
            lane.push((at, event.id.clone(), event, delivery.position));
        }
        let failures: Vec<(usize, Option<Refusal>)> = stream::iter(lanes.into_values())
            .map(|lane| self.send_lane(lane, until))
            .buffer_unordered(LANES)
            .filter_map(|failure| async { failure })
            .collect()
            .await;
        let Some((accepted, refusal)) = failures.into_iter().min_by_key(|(at, _)| *at) else {
            self.accepted.lock().clear();
            return SinkResult::Accepted;
        };
        let first = batch[accepted].position;
        self.accepted.lock().retain(|position| *position > first);
        match refusal {
            None => SinkResult::Partial { accepted },
            Some(Refusal { reason, is_final: true, .. }) => SinkResult::Rejected { accepted, reason },
            Some(Refusal { reason, after, .. }) => SinkResult::Later { accepted, reason, after },
        }
    }

    async fn give_up(&self, event: &Delivery, reason: &str) -> Result<(), StoreError> {
        let cloud_event = CloudEvent::from(&event.event);
        let letter = DeadLetter {
            scope: self.scope,
            subscription: self.subscription,
            body: serde_json::to_string(&cloud_event).unwrap_or_default(),
            event: cloud_event.id,
            reason: reason.to_owned(),
            at_ms: self.receiver.clock.now_ms(),
            replay: false,
        };
        let removed = self.store.dead_letter_add(&letter, self.max_dead_letters).await?;
        self.measures.dead.inc();
        tracing::warn!(
            subscription = %self.subscription,
            event = letter.event,
            reason,
            removed,
            "a receiver did not accept an event: it is a dead letter now"
        );
        Ok(())
    }
}
