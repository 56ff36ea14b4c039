//! Loads the settings from all sources. An error names the setting and its source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Data, Format, Serialized};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::opentelemetry::OpenTelemetry;
use super::{Config, IssuerConfig, ListenAddress, LogFormat, StoreUrl};
use crate::base::secret::Secret;
use crate::base::url_text;
use tidewater_core::limits::default_tiers;

/// The data folder if there is no home folder.
pub(super) const FALLBACK_DATA_DIR: &str = "tidewater-data";

const PREFIX: &str = "TIDEWATER_";

/// Variables with the prefix that are not settings: the file's path, options of commands, and the binary for tests.
const NOT_SETTINGS: [&str; 8] = [
    "TIDEWATER_CONFIG",
    "TIDEWATER_ORG",
    "TIDEWATER_WAREHOUSE",
    "TIDEWATER_BIN",
    "TIDEWATER_CA_FILE",
    "TIDEWATER_LOGIN_CLIENT_SECRET",
    URI,
    API_KEY,
];

/// The address of the remote server for commands.
const URI: &str = "TIDEWATER_URI";

/// The API key for that server.
const API_KEY: &str = "TIDEWATER_API_KEY";

/// The prefix of the benchmark's variables, which may be in the same environment.
const BENCHMARK_PREFIX: &str = "TIDEWATER_BENCH_";

/// The settings from the command line.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flags {
    /// [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<ListenAddress>,
    /// [`Config::data_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// [`Config::store`].
    pub store: StoreFlags,
    /// [`Config::log`].
    pub log: LogFlags,
}

/// The settings from the command line for [`super::StoreConfig`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoreFlags {
    /// [`super::StoreConfig::url`], as text.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub url: Option<Secret<String>>,
}

/// Serializes the text of a secret for the next step of loading, which keeps it secret.
fn exposed<S: serde::Serializer>(secret: &Option<Secret<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// The settings from the command line for [`super::LogConfig`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogFlags {
    /// [`super::LogConfig::format`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
    /// [`super::LogConfig::level`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// Why the settings are invalid, for people: a line for each error.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// Returns the errors, a line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl Config {
    /// Loads the settings from `file`, if there is one, then `environment` (names and values), then `flags`. Later sources
    /// override earlier ones.
    ///
    /// # Errors
    /// Fails if the file cannot be read, a setting is unknown, or a value is invalid. The message has the setting, its source,
    /// and the valid values.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        if environment.contains_key(API_KEY) && !environment.contains_key(URI) {
            return Err(ConfigError(vec![format!(
                "{API_KEY} is set, and nothing reads it without {URI}: commands on the data folder need no key, and clients of \
                 the catalog take theirs from their own settings. Set {URI} too, or unset {API_KEY}"
            )]));
        }
        let mut figment = Figment::from(OpenTelemetry::from_variables(&environment));
        if let Some(file) = file {
            readable(file)?;
            figment = figment.merge(Data::<Toml>::file_exact(file));
        }
        let figment =
            figment.merge(Environment::from_variables(&environment)).merge(Serialized::from(flags, Profile::Default));
        let mut config: Self = figment
            .extract()
            .map_err(|errors| ConfigError(errors.into_iter().map(|error| explain(&error)).collect()))?;

        let configured = std::mem::replace(&mut config.tiers, default_tiers());
        config.tiers.extend(configured);
        config.data_dir = data_dir(&figment, &config, &environment)?;
        for (setting, file) in [
            ("storage.master_key_file", &mut config.storage.master_key_file),
            ("store.password_file", &mut config.store.password_file),
            ("backups.storage_file", &mut config.backups.storage_file),
            ("backups.staging_dir", &mut config.backups.staging_dir),
            ("traces.headers_file", &mut config.traces.headers_file),
            ("traces.ca_file", &mut config.traces.ca_file),
            ("audit.file.path", &mut config.audit.file.path),
        ] {
            if !file.as_os_str().is_empty() {
                *file = beside_file(&figment, setting, std::mem::take(file));
            }
        }
        for (setting, file) in
            config.tls.files_mut().into_iter().chain(config.kafka.files_mut()).chain(config.audit.syslog.files_mut())
        {
            if !file.as_os_str().is_empty() {
                *file = beside_file(&figment, setting, std::mem::take(file));
            }
        }
        for file in config.auth.issuers.iter_mut().flat_map(IssuerConfig::files_mut) {
            *file = beside_file(&figment, "auth.issuers", std::mem::take(file));
        }
        config.check()?;
        Ok(config)
    }

    /// Fails if a value has the right type but is not valid.
    fn check(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut at_least_one = |key: &str, value: u64| {
            if value == 0 {
                wrong.push(format!("`{key}` must be at least 1"));
            }
        };
        at_least_one("api.max_body_bytes", self.api.max_body_bytes as u64);
        at_least_one("api.default_page_size", self.api.default_page_size.into());
        at_least_one("api.request_timeout_s", self.api.request_timeout_s);
        at_least_one("api.idempotency_key_lifetime_s", self.api.idempotency_key_lifetime_s);
        at_least_one("store.connect_timeout_s", self.store.connect_timeout_s);
        at_least_one("store.acquire_timeout_s", self.store.acquire_timeout_s);
        at_least_one("store.statement_timeout_s", self.store.statement_timeout_s);
        at_least_one("connections.head_timeout_s", self.connections.head_timeout_s);
        at_least_one("connections.body_timeout_s", self.connections.body_timeout_s);
        at_least_one("connections.write_timeout_s", self.connections.write_timeout_s);
        at_least_one("connections.idle_timeout_s", self.connections.idle_timeout_s);
        at_least_one("auth.token_lifetime_s", self.auth.token_lifetime_s);
        at_least_one("auth.session_s", self.auth.session_s);
        at_least_one("storage.connect_timeout_s", self.storage.connect_timeout_s);
        at_least_one("storage.request_timeout_s", self.storage.request_timeout_s);
        at_least_one("storage.hedge_after_ms", self.storage.hedge_after_ms);
        at_least_one("traces.timeout_s", self.traces.timeout_s);
        at_least_one("traces.queue", self.traces.queue as u64);
        at_least_one("tls.check_interval_s", self.tls.check_interval_s);
        at_least_one("heavy.memory_bytes", self.heavy.memory_bytes);
        at_least_one("access.principal_roles", self.access.principal_roles);
        at_least_one("access.catalog_roles", self.access.catalog_roles);
        at_least_one("access.assignments", self.access.assignments);
        at_least_one("access.grants", self.access.grants);
        at_least_one("access.grants_per_role", self.access.grants_per_role);
        for (key, value) in self.limits.settings().into_iter().chain(self.planning.at_least_one()) {
            at_least_one(key, value);
        }
        if self.auth.token_lifetime_s > 86_400 {
            wrong.push("`auth.token_lifetime_s` must be at most 86400, a day".to_owned());
        }
        if self.planning.task_lifetime_s > 86_400 {
            wrong.push("`planning.task_lifetime_s` must be at most 86400, a day".to_owned());
        }
        if self.api.idempotency_key_lifetime_s > 604_800 {
            wrong.push("`api.idempotency_key_lifetime_s` must be at most 604800, a week".to_owned());
        }
        wrong.extend(self.api.cors_origins.iter().filter_map(|origin| {
            let why = super::origins::check(origin).err()?;
            Some(format!("`api.cors_origins` has '{origin}', {why}"))
        }));
        wrong.extend(self.tiers.iter().filter_map(|(name, tier)| {
            let why = tier.check().err()?;
            Some(format!("`tiers.{name}`: {why}"))
        }));
        wrong.extend(self.tls.check().map(str::to_owned));
        wrong.extend(super::issuers::check(&self.auth.issuers));
        wrong.extend(self.backups.check(&self.store.url, &self.data_dir));
        wrong.extend(self.kafka.check());
        wrong.extend(self.audit.check(&self.data_dir));
        wrong.extend(self.maintenance.check());
        wrong.extend(self.console.check().map(str::to_owned));
        wrong.extend(self.traces.check());
        if !is_log_level(&self.log.level) {
            wrong.push(format!(
                "`log.level` is '{}', but must be error, warn, info, debug or trace, or levels by part such as \
                 info,tidewater::api=debug",
                self.log.level
            ));
        }
        let wrong: Vec<String> = wrong.iter().map(|line| url_text::masked(line).into_owned()).collect();
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError(wrong)) }
    }
}

/// Returns the data folder as an absolute path: the named one, that of `store.url`, or the user's default. Empty for a shared
/// database without a named folder.
fn data_dir(
    figment: &Figment,
    config: &Config,
    environment: &BTreeMap<String, String>,
) -> Result<PathBuf, ConfigError> {
    let absolute = |setting: &str, path: &Path| {
        let path = beside_file(figment, setting, below_home(path, home(environment)));
        std::path::absolute(&path)
            .map_err(|error| ConfigError(vec![format!("`{setting}` is not a folder's name: {error}")]))
    };
    let named = if figment.contains("data_dir") { Some(absolute("data_dir", &config.data_dir)?) } else { None };
    match (&config.store.url, named) {
        (StoreUrl::DataFolder | StoreUrl::Postgres(_), Some(named)) => Ok(named),
        (StoreUrl::Postgres(_), None) => Ok(PathBuf::new()),
        (StoreUrl::Sqlite(folder), named) => {
            let folder = absolute("store.url", folder)?;
            match named {
                Some(named) if named != folder => Err(ConfigError(vec![format!(
                    "`store.url` is the database in {}, but `data_dir` is {}: the database is in its data folder, so give one \
                     of them",
                    folder.display(),
                    named.display()
                )])),
                _ => Ok(folder),
            }
        }
        (StoreUrl::DataFolder, None) => {
            let default = default_data_dir(environment.get("XDG_DATA_HOME").map(String::as_str), home(environment));
            absolute("data_dir", &default)
        }
    }
}

/// Returns whether a text is a valid list of log levels. A single unknown word is refused: the filter would take it for the
/// name of a module and log nothing else, so that a mistyped level would silence the server.
fn is_log_level(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_known =
        |part: &str| part.contains('=') || LEVELS.iter().any(|level| part.trim().eq_ignore_ascii_case(level));
    text.split(',').all(is_known) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

fn readable(file: &Path) -> Result<(), ConfigError> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError(vec![format!(
            "{} cannot be read: {error}. It was named by --config or TIDEWATER_CONFIG",
            file.display()
        )])),
    }
}

/// Resolves a relative path in the file against the file's folder, so that it does not depend on the current folder.
fn beside_file(figment: &Figment, setting: &str, path: PathBuf) -> PathBuf {
    let source = figment.find_metadata(setting).and_then(|metadata| metadata.source.clone());
    match source.as_ref().and_then(figment::Source::file_path).and_then(Path::parent) {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path,
    }
}

/// Replaces `~/` by the home folder: no shell does this in a file.
fn below_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn home(environment: &BTreeMap<String, String>) -> Option<&Path> {
    environment.get("HOME").filter(|home| !home.is_empty()).map(Path::new)
}

/// Returns the default data folder in this environment, for the help of the command line.
pub fn data_dir_unless_set(environment: impl IntoIterator<Item = (String, String)>) -> PathBuf {
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    match environment.get("TIDEWATER_DATA_DIR") {
        Some(set) => below_home(Path::new(set), home(&environment)),
        None => default_data_dir(environment.get("XDG_DATA_HOME").map(String::as_str), home(&environment)),
    }
}

/// Returns the user's default data folder. It does not depend on the current folder: `tidewater key create` must find the
/// database of a server that was started in another folder.
fn default_data_dir(xdg_data_home: Option<&str>, home: Option<&Path>) -> PathBuf {
    // The base directory specification requires that a relative path is ignored.
    let xdg = xdg_data_home.map(PathBuf::from).filter(|path| path.is_absolute());
    match xdg.or_else(|| home.map(|home| home.join(".local/share"))) {
        Some(share) => share.join("tidewater"),
        None => PathBuf::from(FALLBACK_DATA_DIR),
    }
}

/// The format of the file. Figment's own TOML parser has another version than the parser of storage profiles.
struct Toml;

impl Format for Toml {
    type Error = toml::de::Error;

    const NAME: &'static str = "TOML";

    fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        toml::from_str(text)
    }
}

/// The environment variables with settings: `TIDEWATER_LISTEN`, `TIDEWATER_CACHE__METADATA_BYTES`.
struct Environment(Vec<(String, String)>);

impl Environment {
    fn from_variables(variables: &BTreeMap<String, String>) -> Self {
        let ours = variables.iter().filter(|(name, _)| {
            let is_ours = name.starts_with(PREFIX) && !name.starts_with(BENCHMARK_PREFIX);
            is_ours && !NOT_SETTINGS.contains(&name.as_str()) && !from_kubernetes(name)
        });
        Self(ours.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// Returns whether a variable comes from Kubernetes, which describes a service named `tidewater` in variables with the prefix.
fn from_kubernetes(name: &str) -> bool {
    ["SERVICE_HOST", "SERVICE_PORT", "PORT"].iter().any(|word| {
        name.strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix(word))
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('_') && !rest.starts_with("__")))
    })
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment").interpolater(|_, path| format!("{PREFIX}{}", path.join("__").to_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut all = Dict::new();
        for (name, text) in &self.0 {
            let path: Vec<String> = name[PREFIX.len()..].to_lowercase().split("__").map(str::to_owned).collect();
            // Numbers and booleans are parsed as such; everything else is text.
            let value = match (text.parse::<u64>(), text.parse::<bool>()) {
                (Ok(number), _) => Value::from(number),
                (_, Ok(truth)) => Value::from(truth),
                _ => Value::from(text.as_str()),
            };
            insert(&mut all, &path, value);
        }
        Ok(Map::from([(Profile::Default, all)]))
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let entry = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(entry, Value::Dict(..)) {
                *entry = Value::from(Dict::new());
            }
            if let Value::Dict(_, below) = entry {
                insert(below, rest, value);
            }
        }
    }
}

/// Describes an error: the setting, its source, and the reason.
fn explain(error: &figment::Error) -> String {
    let mut path = error.path.clone();
    let what = match &error.kind {
        Kind::UnknownField(name, allowed) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            format!("is not a setting; here can be: {}", allowed.join(", "))
        }
        Kind::UnknownVariant(name, allowed) => format!("is '{name}', but can be: {}", allowed.join(", ")),
        kind => kind.to_string(),
    };
    if path.is_empty() {
        return format!("{what}{}", Source(error.metadata.as_ref(), &path));
    }
    format!("`{}`{}: {what}", path.join("."), Source(error.metadata.as_ref(), &path))
}

/// The source of a value, for people.
struct Source<'a>(Option<&'a Metadata>, &'a [String]);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(metadata) = self.0 else { return Ok(()) };
        match metadata.source.as_ref().and_then(figment::Source::file_path) {
            Some(file) => write!(f, " in {}", file.display()),
            None => write!(f, " in {}", metadata.interpolate(&Profile::Default, self.1)),
        }
    }
}
