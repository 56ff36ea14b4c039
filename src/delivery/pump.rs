//! The loop of one consumer: read the feed, send, store the progress.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::sink::{Delivery, Sink, SinkResult};
use crate::base::clock::{Clock, fresh_uuid};
use crate::store::{Consumer, FeedPage, FeedScope, Store, StoreError};

/// The result of one step of a [`Pump`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// No event is left to send.
    Idle,
    /// The sink has accepted events, and the progress is stored. More may follow.
    Delivered(usize),
    /// The sink refused an event for good, after `accepted` others. The consumer has passed it, and will not send it again.
    Rejected {
        /// The number of events before the refused one.
        accepted: usize,
        /// The refused event.
        event: Box<Delivery>,
        /// The reason.
        reason: String,
    },
    /// The sink has accepted some events. The next step should come after the duration.
    Later {
        /// The number of accepted events.
        accepted: usize,
        /// The reason.
        reason: String,
        /// How long to wait.
        after: Duration,
    },
    /// The consumer does not exist, or another server holds it.
    NotHeld,
}

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
}

impl Pump {
    /// The longest time of one [`Sink::send`].
    pub const SEND_LIMIT: Duration = Duration::from_secs(40);

    /// How long a lease lasts without being extended. Longer than a send, also by another server's clock.
    const LEASE: Duration = Duration::from_secs(60);

    /// Creates the pump of a consumer that exists, for batches of up to `at_most` events.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, scope: FeedScope, name: impl Into<String>, at_most: u32) -> Self {
        Self { store, clock, holder: fresh_uuid(), scope, name: name.into(), at_most }
    }

    /// Takes or extends the lease, and sends the next batch of events.
    ///
    /// # Errors
    /// Fails if the store does not answer. The step may have been made.
    pub async fn step(&self, sink: &dyn Sink) -> Result<Step, StoreError> {
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add(i64::try_from(Self::LEASE.as_millis()).unwrap_or(i64::MAX));
        let claimed = self.store.consumer_claim(self.scope, &self.name, self.holder, now_ms, until_ms).await?;
        let Some(consumer) = claimed else { return Ok(Step::NotHeld) };
        let page = self.store.feed_read(self.scope, consumer.position, self.at_most).await?;
        let position = self.after_gap(&consumer, &page).await?;
        let Some(last) = page.events.last().map(|event| event.position) else { return Ok(Step::Idle) };
        let batch: Vec<Delivery> = page
            .events
            .into_iter()
            .filter(|entry| consumer.reads(&entry.event))
            .map(|entry| Delivery { position: entry.position, event: entry.event })
            .collect();
        let result = if batch.is_empty() { SinkResult::Accepted } else { sink.send(&batch).await };
        let (reached, step) = match result {
            SinkResult::Accepted => (last, Step::Delivered(batch.len())),
            SinkResult::Rejected { accepted, reason } => {
                let accepted = accepted.min(batch.len() - 1);
                let event = Box::new(batch[accepted].clone());
                (event.position, Step::Rejected { accepted, event, reason })
            }
            SinkResult::Later { accepted, reason, after } => {
                let before = accepted.checked_sub(1).and_then(|at| batch.get(at));
                (before.map_or(position, |event| event.position), Step::Later { accepted, reason, after })
            }
        };
        if reached == position || self.advance(reached, false).await? { Ok(step) } else { Ok(Step::NotHeld) }
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

    /// Ends the lease, so that another server can continue at once.
    ///
    /// # Errors
    /// Fails if the store does not answer. Then the lease ends by itself.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.store.consumer_release(self.scope, &self.name, self.holder).await
    }
}
