//! The receiver of a feed's events.

use std::time::Duration;

use async_trait::async_trait;

use crate::store::{Event, StoreError};

/// An event that is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its position in the feed.
    pub position: i64,
    /// The event.
    pub event: Event,
}

/// The result of sending a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkResult {
    /// All events were accepted.
    Accepted,
    /// The first `accepted` events were accepted, and nothing failed: the time is over.
    Partial {
        /// The number of accepted events, above 0.
        accepted: usize,
    },
    /// The first `accepted` events were accepted. The next one was refused, and would probably be refused again.
    Rejected {
        /// The number of events before the refused one.
        accepted: usize,
        /// The reason, without secrets.
        reason: String,
    },
    /// The first `accepted` events were accepted. The others are to be sent again later.
    Later {
        /// The number of events that need not be sent again.
        accepted: usize,
        /// The reason, without secrets.
        reason: String,
        /// The earliest time to try again, from now. Zero leaves it to the pump.
        after: Duration,
    },
    /// The first `accepted` events were accepted. The receiver cannot be reached at present, by no consumer. This is no attempt to send the next
    /// event: the sink alone decides about the pause.
    Away {
        /// The number of events that need not be sent again.
        accepted: usize,
        /// The reason, without secrets.
        reason: String,
        /// The pause.
        after: Duration,
    },
}

/// Sends events to another system.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Sends a batch. The events of one object arrive in the order of the batch. An event may be sent more than once.
    ///
    /// Returns within [`Pump::SEND_LIMIT`](super::Pump::SEND_LIMIT). A call whose future is dropped, because another server has taken the consumer, may
    /// have sent any part of the batch.
    async fn send(&self, batch: &[Delivery]) -> SinkResult;

    /// Records an event that is given up, before the consumer passes it. May be called again for the same event.
    ///
    /// # Errors
    /// Fails if the store does not answer. Then the consumer does not pass the event.
    async fn give_up(&self, event: &Delivery, reason: &str) -> Result<(), StoreError> {
        tracing::error!(event = event.event.id, reason, "an event was refused and is not sent again");
        Ok(())
    }
}
