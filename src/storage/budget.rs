//! How long storage may take before the catalog answers without it.

use std::time::Duration;

/// How long calls of an object store may take. The local disk has no such limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For a connection to be there.
    pub connect_timeout: Duration,
    /// For one request, with its answer.
    pub request_timeout: Duration,
    /// From the first request of a call on: after it no other is begun.
    pub retry_timeout: Duration,
    /// After which a read that has not ended is asked for a second time; the first of both answers counts.
    pub hedge_after: Duration,
}

impl Budget {
    /// How often a request is sent again.
    pub(crate) const RETRIES: usize = 3;
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            retry_timeout: Duration::from_secs(20),
            hedge_after: Duration::from_secs(1),
        }
    }
}
