//! The worker of one subscription.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::courier::{Courier, consumer_name};
use super::pump::{Pump, RetryPolicy, Step};
use super::webhook::WebhookSink;
use crate::base::due;
use crate::store::{Change, DeadLetter, Operation, StoreError, Subscription, SubscriptionHealth, SubscriptionUpdate};

/// The most events of a batch.
const BATCH: u32 = 50;

/// How long a worker goes on with batches before others get a turn.
const TURN: Duration = Duration::from_secs(5);

/// The most dead letters that are sent again in a turn.
const MOST_REPLAYED: u32 = 50;

/// How long a worker waits after the end of another server's lease at least, when nothing can be sent, and after a failure of the store.
const HANDOVER: Duration = Duration::from_millis(200);
const STANDBY: Duration = Duration::from_secs(20);
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// The first pause after a failure of the receiver.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How often the time of the last success is stored.
const NOTE_MS: i64 = 60_000;

/// What a worker does after a turn.
enum Next {
    /// More events may wait.
    Continue,
    /// Wait until it is woken.
    Wait,
    /// Wait for the time.
    Pause(Duration),
}

/// Delivers the events of a subscription.
pub(super) struct Worker {
    courier: Arc<Courier>,
    of: Subscription,
    pump: Pump,
    accepted: Arc<Mutex<HashSet<i64>>>,
    health: Mutex<SubscriptionHealth>,
    wake: Notify,
    replay: AtomicBool,
    ended: CancellationToken,
}

impl Worker {
    pub(super) fn new(courier: Arc<Courier>, of: Subscription) -> Self {
        let config = &courier.config;
        let policy = RetryPolicy {
            attempts: config.attempts.max(1),
            rejections: config.rejections.max(1),
            first_pause: FIRST_PAUSE.min(config.longest_pause()),
            longest_pause: config.longest_pause(),
        };
        let (store, clock) = (Arc::clone(&courier.store), courier.clock.clone());
        let filter = of.filter.clone();
        let pump = Pump::new(store, clock, of.scope, consumer_name(of.id), BATCH)
            .with_policy(policy)
            .with_selection(Arc::new(move |event| filter.matches(event)));
        Self {
            pump,
            accepted: Arc::default(),
            health: Mutex::new(of.health.clone()),
            wake: Notify::new(),
            replay: AtomicBool::new(false),
            ended: CancellationToken::new(),
            courier,
            of,
        }
    }

    /// Tells the worker that new events may wait.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Tells the worker that dead letters are to be sent again.
    pub(super) fn wake_for_replay(&self) {
        self.replay.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Returns the time of the event that waits for the receiver, if one does.
    pub(super) fn waiting_since_ms(&self) -> Option<i64> {
        self.pump.waiting_since_ms()
    }

    /// Returns whether the receiver fails, if this server delivers to it.
    pub(super) fn is_failing(&self) -> bool {
        self.pump.is_held() && self.health.lock().failing_since_ms.is_some()
    }

    /// Returns whether the worker was started for a subscription with these settings.
    pub(super) fn is_for(&self, now: &Subscription) -> bool {
        Subscription { health: self.of.health.clone(), ..now.clone() } == self.of
    }

    /// Returns whether the subscription is as it was when the worker was started. Otherwise another worker replaces this one soon, and
    /// nothing must be sent before: not to a former address, and not without the signature of a new secret.
    async fn is_current(&self) -> Result<bool, StoreError> {
        let found = self.courier.store.subscription_find(self.of.scope, &self.of.id.to_string()).await?;
        let is_current = found.is_some_and(|now| self.is_for(&now));
        if !is_current {
            self.courier.note_change();
        }
        Ok(is_current)
    }

    /// Waits until the worker has ended.
    pub(super) async fn stopped(&self) {
        self.ended.cancelled().await;
    }

    /// Delivers events until `stop` is cancelled. A batch that was begun is cut off then: its events are sent again.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _ended = self.ended.clone().drop_guard();
        stop.run_until_cancelled(async {
            loop {
                match self.turn().await {
                    Next::Continue => {}
                    Next::Wait => self.wake.notified().await,
                    Next::Pause(pause) => tokio::time::sleep(pause).await,
                }
            }
        })
        .await;
        if let Err(error) = self.pump.release().await {
            tracing::debug!(subscription = %self.of.id, %error, "a lease ends by itself");
        }
    }

    /// Sends some batches, within the shares of the organisation and of the server.
    async fn turn(&self) -> Next {
        let share = self.courier.share(self.of.scope);
        let (Ok(_share), Ok(_slot)) = (share.acquire().await, self.courier.slots.acquire().await) else {
            return Next::Pause(STANDBY);
        };
        match self.steps().await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(subscription = %self.of.id, %error, "events are not delivered while the store fails");
                Next::Pause(STORE_PAUSE)
            }
        }
    }

    async fn steps(&self) -> Result<Next, StoreError> {
        let receiver = match self.courier.receiver(&self.of) {
            Ok(receiver) => receiver,
            Err(reason) => {
                self.note_failure(&reason).await?;
                return Ok(Next::Pause(STANDBY));
            }
        };
        let sink = WebhookSink {
            receiver,
            store: Arc::clone(&self.courier.store),
            scope: self.of.scope,
            subscription: self.of.id,
            max_dead_letters: self.courier.config.dead_letters_per_subscription,
            measures: self.courier.measures.clone(),
            accepted: Arc::clone(&self.accepted),
        };
        let until = Instant::now() + TURN;
        while Instant::now() < until {
            if !self.is_current().await? {
                return Ok(Next::Wait);
            }
            match self.pump.step(&sink).await? {
                Step::NotHeld(left) => {
                    return Ok(Next::Pause(left.min(Pump::LEASE) + HANDOVER));
                }
                Step::Idle => {
                    return self.replay(&sink).await;
                }
                Step::Delivered(events) => {
                    if events > 0 {
                        self.note_success().await?;
                    }
                }
                Step::Rejected { reason, .. } => self.note_failure(&reason).await?,
                Step::Later { accepted, reason, after } => {
                    if accepted > 0 {
                        self.note_success().await?;
                    }
                    if !reason.is_empty() {
                        self.courier.measures.retried.inc();
                        self.note_failure(&reason).await?;
                    }
                    // The lease is extended meanwhile.
                    return Ok(Next::Pause(after.min(Pump::RENEWAL)));
                }
            }
        }
        Ok(Next::Continue)
    }

    /// Sends dead letters again, if somebody asked for it.
    async fn replay(&self, sink: &WebhookSink) -> Result<Next, StoreError> {
        if !self.replay.swap(false, Ordering::Relaxed) {
            return Ok(Next::Wait);
        }
        let (store, scope, id) = (&self.courier.store, self.of.scope, self.of.id);
        let letters = store.dead_letter_list(scope, id, true, None, MOST_REPLAYED).await?;
        let more = letters.len() == MOST_REPLAYED as usize;
        for letter in letters {
            if !self.is_current().await? {
                return Ok(Next::Wait);
            }
            match sink.receiver.post(&letter.event, &letter.body).await {
                Ok(()) => {
                    self.courier.measures.sent.inc();
                    store.dead_letter_remove(scope, id, Some(&[letter.event])).await?;
                }
                Err(refusal) => {
                    self.courier.measures.failed.inc();
                    let at_ms = self.courier.clock.now_ms();
                    let failed = DeadLetter { reason: refusal.reason, at_ms, replay: false, ..letter };
                    store.dead_letter_add(&failed, sink.max_dead_letters).await?;
                }
            }
        }
        self.replay.fetch_or(more, Ordering::Relaxed);
        Ok(if more { Next::Continue } else { Next::Wait })
    }

    async fn note_success(&self) -> Result<(), StoreError> {
        let now_ms = self.courier.clock.now_ms();
        let health = {
            let mut health = self.health.lock();
            let is_recent = health.delivered_ms.is_some_and(|at_ms| !due::has_passed(at_ms, now_ms, NOTE_MS));
            if is_recent && health.failing_since_ms.is_none() {
                return Ok(());
            }
            *health = SubscriptionHealth { delivered_ms: Some(now_ms), failing_since_ms: None, last_error: None };
            health.clone()
        };
        self.courier.store.subscription_note(self.of.scope, self.of.id, &health).await
    }

    /// Stores a failure. Disables the subscription if its receiver has failed for too long.
    async fn note_failure(&self, reason: &str) -> Result<(), StoreError> {
        let now_ms = self.courier.clock.now_ms();
        let health = {
            let mut health = self.health.lock();
            // A time in the future is of a clock that was set back.
            health.failing_since_ms = Some(health.failing_since_ms.map_or(now_ms, |since_ms| since_ms.min(now_ms)));
            health.last_error = Some(reason.to_owned());
            health.clone()
        };
        self.courier.store.subscription_note(self.of.scope, self.of.id, &health).await?;
        let failing_ms = now_ms.saturating_sub(health.failing_since_ms.unwrap_or(now_ms));
        let limit_ms = i64::try_from(self.courier.config.disable_after_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        if failing_ms >= limit_ms { self.disable(reason).await } else { Ok(()) }
    }

    async fn disable(&self, reason: &str) -> Result<(), StoreError> {
        let (store, now_ms) = (&self.courier.store, self.courier.clock.now_ms());
        let found = store.subscription_find(self.of.scope, &self.of.id.to_string()).await?;
        let Some(now) = found.filter(|one| one.id == self.of.id && one.disabled_ms.is_none()) else {
            return Ok(());
        };
        tracing::error!(
            subscription = %self.of.id,
            name = now.name,
            reason,
            "a subscription is disabled: its receiver accepted nothing for delivery.disable_after_s"
        );
        let disabled = SubscriptionUpdate { disabled: Some(true), ..SubscriptionUpdate::default() };
        let change = Change::by_catalog(now_ms);
        store.subscription_update(now.scope, now.id, &disabled, Operation::DisableSubscription, &change).await?;
        self.courier.note_change();
        Ok(())
    }
}
