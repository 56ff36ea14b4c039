//! The settings of the server's own metrics.

use serde::{Deserialize, Serialize};

use super::listen::ListenAddress;

/// Settings of the server's own metrics, for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// An address on which the server answers `GET /metrics`, `/health` and `/ready`, and nothing else. `None` for no such
    /// address.
    pub listen: Option<ListenAddress>,
    /// Whether `GET /metrics` at the server's main address needs no key.
    pub public: bool,
    /// The most organisations whose requests are counted apart; 0 counts none.
    pub organisations: usize,
    /// How long a request takes that is kept among the slowest ones, in milliseconds; 0 keeps none.
    pub slow_request_ms: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { listen: None, public: false, organisations: 0, slow_request_ms: 1_000 }
    }
}
