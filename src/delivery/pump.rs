//! The loop of one consumer: read the feed, send, store the progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::sink::{Delivery, Sink, SinkResult};
use crate::base::clock::{Clock, fresh_uuid};
use crate::base::due;
use crate::store::{Claim, Consumer, Event, FeedPage, FeedScope, Store, StoreError};

/// The result of one step of a [`Pump`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// No event is left to send.
    Idle,
    /// The sink has accepted events, and the progress is stored. More may follow.
    Delivered(usize),
    /// The sink has accepted some events, and the next one was given up. More may follow.
    Rejected {
        /// The number of accepted events.
        accepted: usize,
        /// The event that was given up.
        event: Box<Delivery>,
        /// The reason.
        reason: String,
    },
    /// The sink has accepted some events. The next step comes after the duration.
    Later {
        /// The number of accepted events.
        accepted: usize,
        /// The reason. Empty if nothing was sent, because the time has not come.
        reason: String,
        /// How long to wait.
        after: Duration,
    },
    /// The consumer does not exist, or another server holds it. It may be free after the duration.
    NotHeld(Duration),
}

/// How often an event is sent before it is given up, and the pauses between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts while the sink asks for a later one; 0 for no limit.
    pub attempts: u32,
    /// The most attempts while the sink refuses the event.
    pub rejections: u32,
    /// The first pause. It doubles with each attempt.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// Never gives up an event unless it is refused.
    pub const FOR_EVER: Self = Self {
        attempts: 0,
        rejections: 1,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(60),
    };

    /// Returns the pause after `attempts` attempts: up to a quarter shorter than the doubled one, as `random` decides, so that many
    /// consumers do not try at once.
    #[must_use]
    pub fn pause(&self, attempts: u32, random: u64) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        let pause = doubled.min(self.longest_pause);
        pause - pause.mul_f64((random % 1_000) as f64 / 4_000.0)
    }

    fn is_over(&self, attempts: u32, is_rejected: bool) -> bool {
        if is_rejected { attempts >= self.rejections } else { self.attempts > 0 && attempts >= self.attempts }
    }
}

/// Selects the events of a consumer.
pub type Selects = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// Reads the feed for one consumer, and sends the events to a sink in batches, in order.
///
/// The progress is stored after the sink has accepted events. So nothing is lost when the server is killed, and events may be sent again.
pub struct Pump {
    store: Arc<dyn Store>,
    clock: Clock,
    holder: Uuid,
    scope: FeedScope,
    name: String,
    at_most: u32,
    policy: RetryPolicy,
    selects: Selects,
    /// The time of the event that waits for another attempt, in milliseconds since 1970.
    waiting_ms: AtomicI64,
    /// The end of the lease, by this server's clock. `None` if another server holds the consumer.
    held_until: Mutex<Option<Instant>>,
}

/// The step after which the lease is tried again, if its end is not known.
const NOT_HELD: Step = Step::NotHeld(Pump::LEASE);

/// No event waits.
const NOTHING: i64 = i64::MAX;

impl Pump {
    /// The longest time of one [`Sink::send`].
    pub const SEND_LIMIT: Duration = Duration::from_secs(40);

    /// How long a lease lasts without being extended: after this time, another server continues for one that was killed.
    pub const LEASE: Duration = Duration::from_secs(15);

    /// How often a lease is extended during a send. A holder that waits for the time of the next attempt takes a step as often.
    pub const RENEWAL: Duration = Duration::from_secs(5);

    /// The longest pause that a sink can ask for.
    pub const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

    /// Creates the pump of a consumer that exists, for batches of up to `at_most` events.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, scope: FeedScope, name: impl Into<String>, at_most: u32) -> Self {
        Self {
            store,
            clock,
            holder: fresh_uuid(),
            scope,
            name: name.into(),
            at_most,
            policy: RetryPolicy::FOR_EVER,
            selects: Arc::new(|_| true),
            waiting_ms: AtomicI64::new(NOTHING),
            held_until: Mutex::default(),
        }
    }

    /// Sets when events are sent again, and given up.
    #[must_use]
    pub const fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets which events are sent. The others are passed.
    #[must_use]
    pub fn with_selection(mut self, selects: Selects) -> Self {
        self.selects = selects;
        self
    }

    /// Returns the time of the event that waits for another attempt, in milliseconds since 1970, if one does on this server.
    #[must_use]
    pub fn waiting_since_ms(&self) -> Option<i64> {
        Some(self.waiting_ms.load(Ordering::Relaxed)).filter(|waiting_ms| *waiting_ms != NOTHING && self.is_held())
    }

    /// Returns whether this server has the lease.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Takes or extends the lease.
    async fn claim(&self) -> Result<Claim, StoreError> {
        // Before the call: the lease ends later by the database's clock.
        let until = Instant::now() + Self::LEASE;
        let claim = self.store.consumer_claim(self.scope, &self.name, self.holder, Self::LEASE).await?;
        *self.held_until.lock() = matches!(claim, Claim::Held(_)).then_some(until);
        Ok(claim)
    }

    /// Extends the lease until another server has taken it, or it has ended while the store did not answer.
    async fn keep_lease(&self) -> Result<(), StoreError> {
        loop {
            sleep(Self::RENEWAL).await;
            match self.claim().await {
                Ok(Claim::Held(_)) => {}
                Ok(Claim::Taken(_) | Claim::Missing) => return Ok(()),
                Err(error) if !self.is_held() => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Sends a batch, and keeps the lease meanwhile. Returns `None` if another server has taken it: the send was cut off.
    async fn send(&self, sink: &dyn Sink, batch: &[Delivery]) -> Result<Option<SinkResult>, StoreError> {
        if batch.is_empty() {
            return Ok(Some(SinkResult::Accepted));
        }
        tokio::select! {
            biased;
            result = sink.send(batch) => Ok(Some(result)),
            lost = self.keep_lease() => lost.map(|()| None),
        }
    }

    fn longest_pause(&self) -> Duration {
        self.policy.longest_pause.max(Self::LONGEST_ASKED)
    }

    /// Takes or extends the lease, and sends the next batch of events.
    ///
    /// # Errors
    /// Fails if the store does not answer. The step may have been made.
    pub async fn step(&self, sink: &dyn Sink) -> Result<Step, StoreError> {
        let step = self.next_step(sink).await?;
        if !matches!(step, Step::Later { .. }) {
            self.waiting_ms.store(NOTHING, Ordering::Relaxed);
        }
        Ok(step)
    }

    async fn next_step(&self, sink: &dyn Sink) -> Result<Step, StoreError> {
        let consumer = match self.claim().await? {
            Claim::Held(consumer) => consumer,
            Claim::Taken(left) => return Ok(Step::NotHeld(left)),
            Claim::Missing => return Ok(NOT_HELD),
        };
        let now_ms = self.clock.now_ms();
        let after = due::wait(consumer.retry_ms, now_ms, self.longest_pause());
        if after > Duration::ZERO {
            return Ok(Step::Later { accepted: 0, reason: String::new(), after });
        }
        let page = self.store.feed_read(self.scope, consumer.position, self.at_most).await?;
        let position = self.after_gap(&consumer, &page).await?;
        let Some(last) = page.events.last().map(|event| event.position) else { return Ok(Step::Idle) };
        let batch: Vec<Delivery> = page
            .events
            .into_iter()
            .filter(|entry| consumer.reads(&entry.event) && (self.selects)(&entry.event))
            .map(|entry| Delivery { position: entry.position, event: entry.event })
            .collect();
        let Some(result) = self.send(sink, &batch).await? else { return Ok(NOT_HELD) };
        let reached =
            |accepted: usize| batch[..accepted.min(batch.len())].last().map_or(position, |event| event.position);
        let (accepted, reason, after, is_rejected) = match result {
            SinkResult::Accepted => {
                return self.advanced(last, Step::Delivered(batch.len())).await;
            }
            SinkResult::Partial { accepted } => {
                return self.advanced(reached(accepted), Step::Delivered(accepted)).await;
            }
            SinkResult::Rejected { accepted, reason } => (accepted, reason, Duration::ZERO, true),
            SinkResult::Later { accepted, reason, after } => (accepted, reason, after, false),
            SinkResult::Away { accepted, reason, after } => {
                let step = Step::Later { accepted, reason, after };
                return self.wait_for_sink(batch.get(accepted), reached(accepted), step).await;
            }
        };
        let Some(next) = batch.get(accepted) else {
            return self.advanced(last, Step::Delivered(batch.len())).await;
        };
        let reached = reached(accepted);
        let attempts = if accepted == 0 { consumer.attempts.saturating_add(1) } else { 1 };
        if self.policy.is_over(attempts, is_rejected) {
            sink.give_up(next, &reason).await?;
            let event = Box::new(next.clone());
            return self.advanced(event.position, Step::Rejected { accepted, event, reason }).await;
        }
        if reached != position && !self.advance(reached, false).await? {
            return Ok(NOT_HELD);
        }
        let after = after.min(Self::LONGEST_ASKED).max(self.policy.pause(attempts, fresh_uuid().as_u64_pair().1));
        let retry_ms = self.clock.now_ms().saturating_add(millis(after));
        let is_held = self.store.consumer_postpone(self.scope, &self.name, self.holder, attempts, retry_ms).await?;
        self.waiting_ms.store(next.event.at_ms, Ordering::Relaxed);
        Ok(if is_held { Step::Later { accepted, reason, after } } else { NOT_HELD })
    }

    /// Stores the progress before a sink that is away. No attempt is counted, and the sink says when to try again.
    async fn wait_for_sink(&self, next: Option<&Delivery>, reached: i64, step: Step) -> Result<Step, StoreError> {
        if let Some(next) = next {
            self.waiting_ms.store(next.event.at_ms, Ordering::Relaxed);
        }
        if matches!(step, Step::Later { accepted: 1.., .. }) { self.advanced(reached, step).await } else { Ok(step) }
    }

    /// Records that events were removed before they were read. Returns the position from which the consumer continues.
    async fn after_gap(&self, consumer: &Consumer, page: &FeedPage) -> Result<i64, StoreError> {
        let oldest = page.events.first().map_or(i64::MAX, |event| event.position);
        let position = page.bounds.removed.min(oldest.saturating_sub(1));
        if position <= consumer.position {
            return Ok(consumer.position);
        }
        tracing::error!(
            consumer = consumer.name,
            scope = ?consumer.scope,
            from = consumer.position,
            to = position,
            "events were removed before they were delivered: raise events.retention_s"
        );
        self.advance(position, true).await?;
        Ok(position)
    }

    async fn advance(&self, position: i64, gap: bool) -> Result<bool, StoreError> {
        self.store.consumer_advance(self.scope, &self.name, self.holder, position, gap).await
    }

    async fn advanced(&self, position: i64, step: Step) -> Result<Step, StoreError> {
        Ok(if self.advance(position, false).await? { step } else { NOT_HELD })
    }

    /// Ends the lease, so that another server can continue at once.
    ///
    /// # Errors
    /// Fails if the store does not answer. Then the lease ends by itself.
    pub async fn release(&self) -> Result<(), StoreError> {
        *self.held_until.lock() = None;
        self.store.consumer_release(self.scope, &self.name, self.holder).await
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
