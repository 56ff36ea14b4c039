//! Counts of deliveries.

use prometheus_client::metrics::counter::Counter;

/// The counts of deliveries over HTTP.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMeasures {
    /// Events that receivers accepted.
    pub sent: Counter,
    /// Requests that receivers did not accept.
    pub failed: Counter,
    /// Failed attempts after which an event is sent again.
    pub retried: Counter,
    /// Events that became dead letters.
    pub dead: Counter,
}
