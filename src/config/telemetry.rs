//! The settings of the server's own metrics.

use serde::{Deserialize, Serialize};

use super::listen::ListenAddress;

/// Settings of the server's own metrics, for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// An address on which the server answers `GET /metrics`, `/health` and `/ready`, and nothing else. `None` for no such
    /// address.
    pub listen: Option<ListenAddress>,
    /// Whether `GET /metrics` at the server's main address needs no key.
    pub public: bool,
    /// The most organisations whose requests are counted apart; 0 counts none.
    pub organisations: usize,
}
