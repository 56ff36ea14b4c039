//! What can be set, and what it is when nobody sets it. `docs/configuration.md` is the list for people; a test compares
//! the two.
//!
//! A setting comes from the flags of the command line, else the environment, else the file, else its default.

mod listen;
mod load;
mod origins;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_core::limits::{Tier, default_tiers};
use tidewater_core::request_limits::RequestLimits;

use crate::base::secret::Secret;
use crate::data_folder::MASTER_KEY_FILE;

pub use listen::{ListenAddress, NotAnAddress};
pub use load::{ConfigError, Flags, LogFlags, data_dir_unless_set};
pub use reload::{Reload, SettingChange};

/// All settings of a server, and of the commands that work beside one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server listens. Port 0 takes any that is free.
    pub listen: ListenAddress,
    /// The folder of the database; absolute once loaded. The quickstart keeps its warehouse in it too.
    pub data_dir: PathBuf,
    /// What is logged.
    pub log: LogConfig,
    /// How requests are served.
    pub api: ApiConfig,
    /// How many connections there may be, and for how long.
    pub connections: ConnectionsConfig,
    /// What is kept in memory.
    pub cache: CacheConfig,
    /// Keys and tokens.
    pub auth: AuthConfig,
    /// How warehouses' storage is reached.
    pub storage: StorageConfig,
    /// What becomes of what is dropped.
    pub drop: DropConfig,
    /// What becomes of old metadata files.
    pub metadata: MetadataConfig,
    /// Which reports of clients are kept.
    pub metrics: MetricsConfig,
    /// For how long it is told what was changed.
    pub events: EventsConfig,
    /// What one request may hold, and how large a document may be.
    pub limits: RequestLimits,
    /// How much heavy work is done at once.
    pub heavy: HeavyConfig,
    /// What each tier includes. One that is configured replaces the default of its name as a whole, so that leaving a
    /// limit out means without limit.
    pub tiers: BTreeMap<String, Tier>,
}

/// What is logged, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Lines for a person, or JSON for a collector.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or levels by part: `info,tidewater::api=debug`.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// How requests are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The largest request body that is read. The default holds a commit that removes 50,000 snapshots.
    pub max_body_bytes: usize,
    /// How many items a page of a list has when the client asks for pages and names no size.
    pub default_page_size: u32,
    /// After how many seconds a request is answered 503. A commit that has begun still runs to its end.
    pub request_timeout_s: u64,
    /// For how many seconds a request can be repeated with its idempotency key.
    pub idempotency_key_lifetime_s: u64,
    /// How many signatures for requests to storage a key is given in a second, by each server; 0: without limit.
    pub signatures_per_second: u32,
    /// For how many seconds a server that was told to stop waits for the requests and changes that have begun.
    pub shutdown_grace_s: u64,
    /// The origins whose pages may call the API from a browser: `https://app.example.com`, or `*` for every page.
    #[serde(deserialize_with = "origins::deserialize")]
    pub cors_origins: Vec<String>,
    /// Which headers tell what is left of an organisation's requests of the day.
    pub limit_headers: LimitHeaders,
}

/// Which headers tell what is left of an organisation's requests of the day.
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

/// Connections of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionsConfig {
    /// The most connections that are open at the same time; 0: as many as the limit of file descriptors allows.
    pub max: usize,
    /// The most connections of one client address, which has never more than half of all; 0: without limit.
    pub max_per_address: usize,
    /// For how many seconds a client may take to send the head of its first request, or the rest of a later one.
    pub head_timeout_s: u64,
    /// For how many seconds a client may pause while it sends a request's body.
    pub body_timeout_s: u64,
    /// For how many seconds a client may leave an answer that waits for it unread.
    pub write_timeout_s: u64,
    /// After how many seconds without a request a connection is closed.
    pub idle_timeout_s: u64,
}

/// What is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The most bytes of metadata documents that are kept; 0 keeps none.
    pub metadata_bytes: u64,
    /// The most bytes of pointers, namespaces and lists that are kept; 0 keeps none.
    pub pointer_bytes: u64,
}

/// Keys and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// How many seconds a token is good for.
    pub token_lifetime_s: u64,
    /// For how many seconds after an API key was shown its tokens can be exchanged for newer ones.
    pub session_s: u64,
    /// For how many seconds a key's standing is believed before the database is asked again: so long can a revoked key
    /// still be used.
    pub cache_s: u64,
}

/// How warehouses' storage is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The file of the master keys that storage credentials are sealed with: 32 bytes in base64, one key a line; the first
    /// seals, all open. Empty: `master.key` in the data folder, which is made when it is first needed.
    pub master_key_file: PathBuf,
    /// The master keys themselves, instead of a file; for the environment.
    #[serde(serialize_with = "unsaid")]
    pub master_key: Secret<String>,
    /// For how many seconds a connection to a store may take to be there.
    pub connect_timeout_s: u64,
    /// For how many seconds one request to a store may take.
    pub request_timeout_s: u64,
    /// For how many seconds a request that failed is sent again.
    pub retry_timeout_s: u64,
    /// After how many milliseconds a read that has not ended is asked for a second time.
    pub hedge_after_ms: u64,
}

/// A secret has no place in what is written; its default is empty.
fn unsaid<S: serde::Serializer>(_: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("")
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            master_key_file: PathBuf::new(),
            master_key: Secret::new(String::new()),
            connect_timeout_s: 5,
            request_timeout_s: 20,
            retry_timeout_s: 20,
            hedge_after_ms: 1_000,
        }
    }
}

/// What becomes of what is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropConfig {
    /// For how many seconds a dropped table or view can be restored; 0: not at all.
    pub retention_s: u64,
}

/// What becomes of old metadata files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataConfig {
    /// For how many seconds a metadata file stays after it left its table's log, where the table has such files removed:
    /// loads and repeated requests that began before may still read it.
    pub removal_delay_s: u64,
}

/// Which reports of clients, on what their scans and commits cost, are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// For how many seconds a report is kept; 0 keeps none.
    pub retention_s: u64,
    /// The most reports that are kept of a table.
    pub reports_per_table: u32,
    /// The most reports that are kept of an organisation.
    pub reports_per_organisation: u32,
    /// The most bytes that the reports of an organisation take.
    pub bytes_per_organisation: u64,
}

/// For how long it is told what was changed, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// For how many seconds an event is kept.
    pub retention_s: u64,
    /// The most events that are kept of an organisation.
    pub per_organisation: u32,
}

/// How much heavy work is done at once: reading, changing and writing large requests and documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeavyConfig {
    /// How many threads do heavy work; 0: as many as there are cores, at least two.
    pub workers: usize,
    /// How many bytes of memory large requests and documents may take, as estimated; half of it is for request bodies.
    pub memory_bytes: u64,
}

impl Default for HeavyConfig {
    fn default() -> Self {
        Self { workers: 0, memory_bytes: 1 << 30 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ListenAddress::default(),
            data_dir: PathBuf::from(load::FALLBACK_DATA_DIR),
            log: LogConfig::default(),
            api: ApiConfig::default(),
            connections: ConnectionsConfig::default(),
            cache: CacheConfig::default(),
            auth: AuthConfig::default(),
            storage: StorageConfig::default(),
            drop: DropConfig::default(),
            metadata: MetadataConfig::default(),
            metrics: MetricsConfig::default(),
            events: EventsConfig::default(),
            limits: RequestLimits::default(),
            heavy: HeavyConfig::default(),
            tiers: default_tiers(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            default_page_size: 1_000,
            request_timeout_s: 60,
            idempotency_key_lifetime_s: 1_800,
            signatures_per_second: 1_000,
            shutdown_grace_s: 30,
            cors_origins: Vec::new(),
            limit_headers: LimitHeaders::Structured,
        }
    }
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self {
            max: 0,
            max_per_address: 1_000,
            head_timeout_s: 30,
            body_timeout_s: 30,
            write_timeout_s: 60,
            // Longer than a reverse proxy keeps its own (nginx 60 s, Caddy 120 s), so that a proxy never sends a request on
            // a connection that is closed at that moment.
            idle_timeout_s: 180,
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { metadata_bytes: 256 << 20, pointer_bytes: 32 << 20 }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { token_lifetime_s: 3_600, session_s: 86_400, cache_s: 2 }
    }
}

impl Default for DropConfig {
    fn default() -> Self {
        Self { retention_s: 7 * 86_400 }
    }
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { removal_delay_s: 3_600 }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            retention_s: 30 * 86_400,
            reports_per_table: 1_000,
            reports_per_organisation: 20_000,
            bytes_per_organisation: 64 << 20,
        }
    }
}

impl MetadataConfig {
    /// [`MetadataConfig::removal_delay_s`] as a duration.
    #[must_use]
    pub const fn removal_delay(&self) -> Duration {
        Duration::from_secs(self.removal_delay_s)
    }
}

impl DropConfig {
    /// [`DropConfig::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { retention_s: 90 * 86_400, per_organisation: 1_000_000 }
    }
}

impl EventsConfig {
    /// [`EventsConfig::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }
}

impl MetricsConfig {
    /// [`MetricsConfig::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }
}

impl Config {
    /// The file of the embedded database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("tidewater.db")
    }

    /// The file of the master keys.
    #[must_use]
    pub fn master_key_file(&self) -> PathBuf {
        let named = &self.storage.master_key_file;
        if named.as_os_str().is_empty() { self.data_dir.join(MASTER_KEY_FILE) } else { named.clone() }
    }
}

impl ApiConfig {
    /// [`ApiConfig::request_timeout_s`] as a duration.
    #[must_use]
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    /// [`ApiConfig::idempotency_key_lifetime_s`] as a duration.
    #[must_use]
    pub const fn idempotency_key_lifetime(&self) -> Duration {
        Duration::from_secs(self.idempotency_key_lifetime_s)
    }

    /// [`ApiConfig::shutdown_grace_s`] as a duration.
    #[must_use]
    pub const fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }
}

impl ConnectionsConfig {
    /// [`ConnectionsConfig::head_timeout_s`] as a duration.
    #[must_use]
    pub const fn head_timeout(&self) -> Duration {
        Duration::from_secs(self.head_timeout_s)
    }

    /// [`ConnectionsConfig::body_timeout_s`] as a duration.
    #[must_use]
    pub const fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_s)
    }

    /// [`ConnectionsConfig::write_timeout_s`] as a duration.
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }

    /// [`ConnectionsConfig::idle_timeout_s`] as a duration.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }
}

impl AuthConfig {
    /// [`AuthConfig::token_lifetime_s`] as a duration.
    #[must_use]
    pub const fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.token_lifetime_s)
    }

    /// [`AuthConfig::session_s`] as a duration.
    #[must_use]
    pub const fn session(&self) -> Duration {
        Duration::from_secs(self.session_s)
    }

    /// [`AuthConfig::cache_s`] as a duration.
    #[must_use]
    pub const fn cache(&self) -> Duration {
        Duration::from_secs(self.cache_s)
    }
}
