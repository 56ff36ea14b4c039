//! Settings of clients' connections.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::proxies::{ForwardedHeader, TrustedProxies};

/// Settings of clients' connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionsConfig {
    /// The most open connections; 0: as many as the limit of file descriptors allows.
    pub max: usize,
    /// The most connections of one client address, but never more than half of all; 0: without limit.
    pub max_per_address: usize,
    /// For how many seconds a client may take to send the head of its first request, or the rest of a later one.
    pub head_timeout_s: u64,
    /// For how many seconds a client may pause while it sends a request's body.
    pub body_timeout_s: u64,
    /// For how many seconds a client may leave an answer unread.
    pub write_timeout_s: u64,
    /// After how many seconds without a request a connection is closed.
    pub idle_timeout_s: u64,
    /// The addresses and networks of reverse proxies whose header about the client is trusted.
    pub trusted_proxies: TrustedProxies,
    /// The header in which trusted proxies name the client's address.
    pub forwarded_header: ForwardedHeader,
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self {
            max: 0,
            max_per_address: 1_000,
            head_timeout_s: 30,
            body_timeout_s: 30,
            write_timeout_s: 60,
            // Longer than the idle time-outs of reverse proxies (nginx 60 s, Caddy 120 s), so that a proxy never sends a
            // request on a connection that the server is closing.
            idle_timeout_s: 180,
            trusted_proxies: TrustedProxies::default(),
            forwarded_header: ForwardedHeader::XForwardedFor,
        }
    }
}

impl ConnectionsConfig {
    /// Returns [`ConnectionsConfig::head_timeout_s`] as a duration.
    #[must_use]
    pub const fn head_timeout(&self) -> Duration {
        Duration::from_secs(self.head_timeout_s)
    }

    /// Returns [`ConnectionsConfig::body_timeout_s`] as a duration.
    #[must_use]
    pub const fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_s)
    }

    /// Returns [`ConnectionsConfig::write_timeout_s`] as a duration.
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }

    /// Returns [`ConnectionsConfig::idle_timeout_s`] as a duration.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }
}
