//! Settings of requests to the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::origins;

/// Settings of requests to the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The largest accepted request body, in bytes. The default is enough for a commit that removes 50,000 snapshots.
    pub max_body_bytes: usize,
    /// The number of items of a page if the client gives no size.
    pub default_page_size: u32,
    /// After how many seconds a request is answered 503. A commit that has begun still runs to its end.
    pub request_timeout_s: u64,
    /// For how many seconds a request can be repeated with its idempotency key.
    pub idempotency_key_lifetime_s: u64,
    /// The most signatures for requests to storage per second, for each key and server; 0: without limit.
    pub signatures_per_second: u32,
    /// For how many seconds a stopping server still serves, while `GET /ready` answers 503.
    pub drain_s: u64,
    /// For how many seconds a stopping server waits for the requests and changes that have begun.
    pub shutdown_grace_s: u64,
    /// The origins whose pages may call the API from a browser: `https://app.example.com`, or `*` for every page.
    #[serde(deserialize_with = "origins::deserialize")]
    pub cors_origins: Vec<String>,
    /// The headers with an organisation's remaining requests of the day.
    pub limit_headers: LimitHeaders,
    /// For how many seconds browsers use only HTTPS for this host, after an answer over HTTPS; 0: they are not told.
    pub hsts_max_age_s: u64,
}

/// The headers with an organisation's remaining requests of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitHeaders {
    /// `RateLimit-Policy` and `RateLimit`, the structured fields of draft-ietf-httpapi-ratelimit-headers.
    Structured,
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, the fields of its older versions.
    Separate,
    /// All five.
    Both,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            default_page_size: 1_000,
            request_timeout_s: 60,
            idempotency_key_lifetime_s: 1_800,
            signatures_per_second: 1_000,
            drain_s: 0,
            shutdown_grace_s: 30,
            cors_origins: Vec::new(),
            limit_headers: LimitHeaders::Structured,
            hsts_max_age_s: 0,
        }
    }
}

impl ApiConfig {
    /// Returns [`ApiConfig::request_timeout_s`] as a duration.
    #[must_use]
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    /// Returns [`ApiConfig::idempotency_key_lifetime_s`] as a duration.
    #[must_use]
    pub const fn idempotency_key_lifetime(&self) -> Duration {
        Duration::from_secs(self.idempotency_key_lifetime_s)
    }

    /// Returns [`ApiConfig::drain_s`] as a duration.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }

    /// Returns [`ApiConfig::shutdown_grace_s`] as a duration.
    #[must_use]
    pub const fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }
}
