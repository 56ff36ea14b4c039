//! Time limits for calls of storage.

use std::time::Duration;

/// Time limits for calls of an object store. The local disk has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For establishing a connection.
    pub connect_timeout: Duration,
    /// For one request, with its answer.
    pub request_timeout: Duration,
    /// The time after the first attempt of a call in which further attempts may begin.
    pub retry_timeout: Duration,
    /// The time after which an unfinished read is requested a second time. The first answer counts.
    pub hedge_after: Duration,
}

impl Budget {
    /// The most repetitions of a request.
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
