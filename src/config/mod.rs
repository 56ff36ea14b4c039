//! All settings with their defaults. `docs/configuration.md` describes them for people; a test compares the two.
//!
//! The value of a setting comes from the command line, else the environment, else the file, else its default. Those of
//! traces have OpenTelemetry's standard variables before their defaults.

mod api;
mod audit;
mod backups;
mod connections;
mod delivery;
mod issuers;
mod kafka;
mod listen;
mod load;
mod maintenance;
mod opentelemetry;
mod origins;
mod planning;
mod proxies;
mod reload;
mod secrets;
mod store;
mod store_url;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod traces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_core::limits::{Tier, default_tiers};
use tidewater_core::request_limits::RequestLimits;

use crate::base::secret::Secret;
use crate::data_folder::MASTER_KEY_FILE;

pub use api::{ApiConfig, LimitHeaders};
pub use audit::{AuditConfig, AuditFileConfig, AuditSyslogConfig, NotASyslogAddress, SyslogAddress, SyslogFacility};
pub use backups::BackupsConfig;
pub use connections::ConnectionsConfig;
pub use delivery::DeliveryConfig;
pub use issuers::{GroupMapping, IssuerConfig, SigningAlgorithm};
pub use kafka::{KafkaCompression, KafkaConfig, KafkaSasl, KafkaStart, ORGANISATION as KAFKA_ORGANISATION};
pub use listen::{ListenAddress, NotAnAddress};
pub use load::{ConfigError, Flags, LogFlags, StoreFlags, data_dir_unless_set};
pub use maintenance::MaintenanceConfig;
pub use planning::PlanningConfig;
pub use proxies::{ForwardedHeader, TrustedProxies};
pub use reload::{Reload, SettingChange};
use secrets::as_empty_text;
pub use store::StoreConfig;
pub use store_url::{NotAStoreUrl, StoreUrl};
pub use telemetry::TelemetryConfig;
pub use tls::{ClientAuth, TlsConfig, TlsVersion};
pub use traces::{Ratio, TracesConfig, TracesProtocol, pairs};

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
    /// Audit records.
    pub audit: AuditConfig,
    /// Scheduled backups of the embedded database.
    pub backups: BackupsConfig,
    /// Deliveries of events to receivers over HTTP.
    pub delivery: DeliveryConfig,
    /// The delivery of events to Apache Kafka.
    pub kafka: KafkaConfig,
    /// TLS in the server.
    pub tls: TlsConfig,
    /// Traces of requests.
    pub traces: TracesConfig,
    /// Limits on the content of one request, and on the size of a metadata document.
    pub limits: RequestLimits,
    /// Limits on the roles and grants of an organisation.
    pub access: AccessConfig,
    /// Workers and memory for heavy work.
    pub heavy: HeavyConfig,
    /// Scan planning for clients.
    pub planning: PlanningConfig,
    /// Maintenance of tables.
    pub maintenance: MaintenanceConfig,
    /// The tiers. A configured tier replaces the default tier of its name as a whole: a limit that is left out is unlimited.
    pub tiers: BTreeMap<String, Tier>,
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
    /// Whether clients can read the events of what they may see: `POST /v1/{prefix}/events`.
    pub pull: bool,
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
            audit: AuditConfig::default(),
            backups: BackupsConfig::default(),
            delivery: DeliveryConfig::default(),
            kafka: KafkaConfig::default(),
            maintenance: MaintenanceConfig::default(),
            tls: TlsConfig::default(),
            traces: TracesConfig::default(),
            limits: RequestLimits::default(),
            access: AccessConfig::default(),
            heavy: HeavyConfig::default(),
            planning: PlanningConfig::default(),
            tiers: default_tiers(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
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
        Self { retention_s: 90 * 86_400, per_organisation: 1_000_000, pull: false }
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
