//! All settings with their defaults. `docs/configuration.md` describes them for people; a test compares the two.
//!
//! The value of a setting comes from the command line, else the environment, else the file, else its default.

mod issuers;
mod listen;
mod load;
mod origins;
mod proxies;
mod reload;
mod store_url;
mod telemetry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_core::limits::{Tier, default_tiers};
use tidewater_core::request_limits::RequestLimits;

use crate::base::secret::Secret;
use crate::data_folder::MASTER_KEY_FILE;

pub use issuers::{GroupMapping, IssuerConfig, SigningAlgorithm};
pub use listen::{ListenAddress, NotAnAddress};
pub use load::{ConfigError, Flags, LogFlags, StoreFlags, data_dir_unless_set};
pub use proxies::{ForwardedHeader, TrustedProxies};
pub use reload::{Reload, SettingChange};
pub use store_url::{NotAStoreUrl, StoreUrl};
pub use telemetry::TelemetryConfig;

/// All settings of a server and of commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address on which the server listens. Port 0 means any free port.
    pub listen: ListenAddress,
    /// The data folder. The path is absolute after loading. It has the embedded database and the control socket, and the
    /// quickstart's warehouse. Empty if the database is shared and no folder was named.
    pub data_dir: PathBuf,
    /// The catalog's database.
    pub store: StoreConfig,
    /// The log.
    pub log: LogConfig,
    /// Requests to the API.
    pub api: ApiConfig,
    /// Connections of clients.
    pub connections: ConnectionsConfig,
    /// Caches in memory.
    pub cache: CacheConfig,
    /// Keys and tokens.
    pub auth: AuthConfig,
    /// Access to warehouses' storage.
    pub storage: StorageConfig,
    /// Dropped tables and views.
    pub drop: DropConfig,
    /// Old metadata files.
    pub metadata: MetadataConfig,
    /// Clients' metrics reports.
    pub metrics: MetricsConfig,
    /// Events of changes.
    pub events: EventsConfig,
    /// The server's own metrics.
    pub telemetry: TelemetryConfig,
    /// Limits on the content of one request, and on the size of a metadata document.
    pub limits: RequestLimits,
    /// Limits on the roles and grants of an organisation.
    pub access: AccessConfig,
    /// Workers and memory for heavy work.
    pub heavy: HeavyConfig,
    /// The tiers. A configured tier replaces the default tier of its name as a whole: a limit that is left out is unlimited.
    pub tiers: BTreeMap<String, Tier>,
}

/// Settings of the catalog's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Which database has the catalog.
    pub url: StoreUrl,
    /// The password of PostgreSQL's user, instead of that in the URL.
    #[serde(serialize_with = "as_empty_text")]
    pub password: Secret<String>,
    /// A file with this password, instead of all others. It is read for each connection. Empty: none.
    pub password_file: PathBuf,
    /// The most connections of this server to a PostgreSQL database; 0: four for each core, from 12 to 40.
    pub connections: usize,
    /// Whether statements are prepared once for each connection. A pooler that gives each transaction another connection may
    /// not support it.
    pub prepared_statements: bool,
    /// For how many seconds a starting server waits for a PostgreSQL database that does not answer.
    pub start_timeout_s: u64,
    /// The time-out for connecting to a host of the database, in seconds.
    pub connect_timeout_s: u64,
    /// For how many seconds a request waits for a free connection.
    pub acquire_timeout_s: u64,
    /// The time-out for a statement, in seconds.
    pub statement_timeout_s: u64,
    /// For how many seconds a read, or a change that was surely not made, is tried again.
    pub retry_timeout_s: u64,
}

/// Settings of the log, which goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Text for people, or JSON for a collector.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or levels by part: `info,tidewater::api=debug`.
    pub level: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

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

/// Settings of caches in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The most bytes of cached metadata documents; 0 caches none.
    pub metadata_bytes: u64,
    /// The most bytes of cached pointers, namespaces and lists; 0 caches none.
    pub pointer_bytes: u64,
}

/// Settings of keys and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// For how many seconds a token is valid.
    pub token_lifetime_s: u64,
    /// For how many seconds after a sign-in with an API key its tokens can be exchanged for newer ones.
    pub session_s: u64,
    /// For how many seconds a key check is cached, unless a server changes the key or its organisation.
    pub cache_s: u64,
    /// The identity providers whose tokens are accepted.
    #[serde(deserialize_with = "issuers::deserialize")]
    pub issuers: Vec<IssuerConfig>,
}

/// Settings of access to warehouses' storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The file of the master keys that seal storage credentials: 32 bytes in base64, one key per line. The first key seals;
    /// all keys open. Empty: `master.key` in the data folder, which is created when it is first needed.
    pub master_key_file: PathBuf,
    /// The master keys themselves instead of a file, for use in the environment.
    #[serde(serialize_with = "as_empty_text")]
    pub master_key: Secret<String>,
    /// The time-out for connecting to a storage service, in seconds.
    pub connect_timeout_s: u64,
    /// The time-out for one request to a storage service, in seconds.
    pub request_timeout_s: u64,
    /// For how many seconds a failed request is retried.
    pub retry_timeout_s: u64,
    /// After how many milliseconds a second request is sent for a slow read.
    pub hedge_after_ms: u64,
}

/// Serializes a secret as its default, an empty text.
fn as_empty_text<S: serde::Serializer>(_: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
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

/// Settings of dropped tables and views.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropConfig {
    /// For how many seconds a dropped table or view can be restored; 0: not at all.
    pub retention_s: u64,
}

/// Settings of old metadata files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataConfig {
    /// For how many seconds a metadata file stays after it left its table's log, if the table asks for the removal of such
    /// files. Loads and repeated requests that began before may still read it.
    pub removal_delay_s: u64,
}

/// Settings of clients' metrics reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// For how many seconds a report is kept; 0 keeps none.
    pub retention_s: u64,
    /// The most reports of a table.
    pub reports_per_table: u32,
    /// The most reports of an organisation.
    pub reports_per_organisation: u32,
    /// The most bytes of an organisation's reports.
    pub bytes_per_organisation: u64,
}

/// Settings of events, the records of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// For how many seconds an event is kept.
    pub retention_s: u64,
    /// The most events of an organisation.
    pub per_organisation: u32,
}

/// Limits on the roles, assignments and grants of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// The most principal roles.
    pub principal_roles: u64,
    /// The most catalog roles, of all warehouses together.
    pub catalog_roles: u64,
    /// The most assignments: of principal roles to principals, and of catalog roles to principal roles.
    pub assignments: u64,
    /// The most grants of all catalog roles together.
    pub grants: u64,
    /// The most grants of a catalog role.
    pub grants_per_role: u64,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            principal_roles: 10_000,
            catalog_roles: 10_000,
            assignments: 100_000,
            grants: 100_000,
            grants_per_role: 10_000,
        }
    }
}

/// Settings of heavy work: reading, changing and writing large requests and documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeavyConfig {
    /// The number of threads for heavy work; 0: as many as there are cores, at least two.
    pub workers: usize,
    /// The most memory for large requests and documents, in bytes, by estimate. Half of it is for request bodies.
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
            store: StoreConfig::default(),
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
            telemetry: TelemetryConfig::default(),
            limits: RequestLimits::default(),
            access: AccessConfig::default(),
            heavy: HeavyConfig::default(),
            tiers: default_tiers(),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: StoreUrl::default(),
            password: Secret::new(String::new()),
            password_file: PathBuf::new(),
            connections: 0,
            prepared_statements: true,
            start_timeout_s: 60,
            connect_timeout_s: 5,
            acquire_timeout_s: 10,
            statement_timeout_s: 30,
            retry_timeout_s: 10,
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
            drain_s: 0,
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
            // Longer than the idle time-outs of reverse proxies (nginx 60 s, Caddy 120 s), so that a proxy never sends a
            // request on a connection that the server is closing.
            idle_timeout_s: 180,
            trusted_proxies: TrustedProxies::default(),
            forwarded_header: ForwardedHeader::XForwardedFor,
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
        Self { token_lifetime_s: 3_600, session_s: 86_400, cache_s: 2, issuers: Vec::new() }
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
    /// Returns [`MetadataConfig::removal_delay_s`] as a duration.
    #[must_use]
    pub const fn removal_delay(&self) -> Duration {
        Duration::from_secs(self.removal_delay_s)
    }
}

impl DropConfig {
    /// Returns [`DropConfig::retention_s`] as a duration.
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
    /// Returns [`EventsConfig::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }
}

impl MetricsConfig {
    /// Returns [`MetricsConfig::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }
}

impl Config {
    /// Returns the file of the embedded database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("tidewater.db")
    }

    /// Returns the data folder, or `None` if the database is shared and no folder was named.
    #[must_use]
    pub fn data_folder(&self) -> Option<&Path> {
        Some(self.data_dir.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Returns the file of the master keys. `None` if the settings name none and the database is shared: each server needs the
    /// same keys, so none is created in a data folder.
    #[must_use]
    pub fn master_key_file(&self) -> Option<PathBuf> {
        let named = &self.storage.master_key_file;
        match named.as_os_str().is_empty() {
            false => Some(named.clone()),
            true if self.store.url.is_shared() => None,
            true => Some(self.data_dir.join(MASTER_KEY_FILE)),
        }
    }
}

impl StoreConfig {
    /// Returns [`StoreConfig::start_timeout_s`] as a duration.
    #[must_use]
    pub const fn start_timeout(&self) -> Duration {
        Duration::from_secs(self.start_timeout_s)
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

impl AuthConfig {
    /// Returns [`AuthConfig::token_lifetime_s`] as a duration.
    #[must_use]
    pub const fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.token_lifetime_s)
    }

    /// Returns [`AuthConfig::session_s`] as a duration.
    #[must_use]
    pub const fn session(&self) -> Duration {
        Duration::from_secs(self.session_s)
    }

    /// Returns [`AuthConfig::cache_s`] as a duration.
    #[must_use]
    pub const fn cache(&self) -> Duration {
        Duration::from_secs(self.cache_s)
    }
}
