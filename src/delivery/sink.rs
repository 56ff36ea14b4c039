//! The receiver of a feed's events.

use std::time::Duration;

use async_trait::async_trait;

use crate::store::Event;

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
    /// The first `accepted` events were accepted. The next one was refused and would be refused again.
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
        /// The earliest time to try again, from now.
        after: Duration,
    },
}

/// Sends events to another system.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Sends a batch. The events of one object arrive in the order of the batch. An event may be sent more than once.
    ///
    /// Returns within [`Pump::SEND_LIMIT`](super::Pump::SEND_LIMIT): the lease of the consumer ends later. A call whose future is dropped
    /// may have sent any part of the batch.
    async fn send(&self, batch: &[Delivery]) -> SinkResult;
}
