//! Reloads: which settings a running server can change, and which need a restart.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CacheConfig, Config, LogConfig};
use crate::base::url_text;

/// A changed setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Its name, such as `tiers.premium.requests_per_day`.
    pub setting: String,
    /// Its old value; null if it was not set.
    pub before: Value,
    /// Its new value; null if it is no longer set.
    pub now: Value,
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| if value.is_null() { "not set".to_owned() } else { value.to_string() };
        write!(f, "{}: {} -> {}", self.setting, shown(&self.before), shown(&self.now))
    }
}

/// The outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// The settings in force after the reload.
    pub config: Config,
    /// The changes in them.
    pub taken: Vec<SettingChange>,
    /// The changes that take effect only after a restart.
    pub needs_restart: Vec<SettingChange>,
}

impl Config {
    /// Returns the settings after a reload of `new`.
    ///
    /// The listen address, the data folder, the database, the log format, the size of the database's cache, the access to storage,
    /// the workers, deliveries, Kafka, backups, maintenance, the server's metrics, TLS and traces need a restart: sockets, files, connections and threads were created with them.
    #[must_use]
    pub fn reload(&self, new: Self) -> Reload {
        let config = Self {
            listen: self.listen.clone(),
            data_dir: self.data_dir.clone(),
            store: self.store.clone(),
            log: LogConfig { format: self.log.format, level: new.log.level.clone() },
            cache: CacheConfig { pointer_bytes: self.cache.pointer_bytes, ..new.cache.clone() },
            storage: self.storage.clone(),
            heavy: self.heavy,
            telemetry: self.telemetry.clone(),
            delivery: self.delivery.clone(),
            tls: self.tls.clone(),
            traces: self.traces.clone(),
            kafka: self.kafka.clone(),
            backups: self.backups.clone(),
            maintenance: self.maintenance.clone(),
            ..new.clone()
        };
        let (taken, mut needs_restart) = (changes(self, &config), changes(&config, &new));
        // Serialized settings contain neither the master key nor the password of the database, nor the headers of traces.
        let is_other_password =
            self.store.url != new.store.url && self.store.url.to_string() == new.store.url.to_string();
        let secrets = [
            ("storage.master_key", self.storage.master_key != new.storage.master_key),
            ("store.password", self.store.password != new.store.password),
            ("kafka.sasl_password", self.kafka.sasl_password != new.kafka.sasl_password),
            ("store.url", is_other_password),
            ("traces.headers", self.traces.headers != new.traces.headers),
        ];
        for (setting, _) in secrets.into_iter().filter(|(_, is_other)| *is_other) {
            let secret = || Value::from("***");
            needs_restart.push(SettingChange { setting: setting.to_owned(), before: secret(), now: secret() });
        }
        Reload { config, taken, needs_restart }
    }
}

/// Returns the differences between two configurations, sorted by name.
fn changes(before: &Config, now: &Config) -> Vec<SettingChange> {
    let (before, mut now) = (flat(before), flat(now));
    let mut changes = Vec::new();
    for (setting, before) in before {
        let now = now.remove(&setting).unwrap_or_default();
        if before != now {
            changes.push(SettingChange { setting, before, now });
        }
    }
    let added = now.into_iter().filter(|(_, now)| !now.is_null());
    changes.extend(added.map(|(setting, now)| SettingChange { setting, before: Value::Null, now }));
    for SettingChange { before, now, .. } in &mut changes {
        url_text::mask_value(before);
        url_text::mask_value(now);
    }
    changes
}

/// Returns all settings by their full names.
fn flat(config: &Config) -> BTreeMap<String, Value> {
    fn collect(name: &str, value: Value, all: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let name = if name.is_empty() { field } else { format!("{name}.{field}") };
                    collect(&name, value, all);
                }
            }
            value => {
                all.insert(name.to_owned(), value);
            }
        }
    }
    let mut all = BTreeMap::new();
    // Settings are plain values, which always serialize to JSON.
    collect("", serde_json::to_value(config).unwrap_or_default(), &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use tidewater_core::limits::Tier;

    fn names(changes: &[SettingChange]) -> Vec<&str> {
        changes.iter().map(|change| change.setting.as_str()).collect()
    }

    #[test]
    fn reload_applies_live_settings_and_lists_those_that_need_a_restart() {
        let old = Config::default();
        let mut new = old.clone();
        new.listen = "127.0.0.1:9".parse().unwrap();
        new.storage.master_key = Secret::new("other".to_owned());
        new.api.max_body_bytes = 7;
        new.log.level = "debug".to_owned();
        new.log.format = super::super::LogFormat::Json;
        new.tiers.insert("gold".to_owned(), Tier { requests_per_day: Some(5), ..Tier::default() });
        new.tiers.remove("free");
        let reload = old.reload(new.clone());
        let taken = names(&reload.taken);
        let expected = ["api.max_body_bytes", "log.level", "tiers.free.catalog", "tiers.gold.catalog"];
        assert_eq!(taken, [&expected[..], &["tiers.gold.requests_per_day"]].concat());
        assert_eq!(reload.taken[4].to_string(), "tiers.gold.requests_per_day: not set -> 5");
        assert_eq!(names(&reload.needs_restart), ["listen", "log.format", "storage.master_key"]);
        assert_eq!(reload.config.listen, old.listen);
        assert_eq!((reload.config.api.max_body_bytes, &reload.config.tiers), (7, &new.tiers));
        let shown: Vec<String> = reload.needs_restart.iter().map(ToString::to_string).collect();
        assert!(shown[2].contains("***") && !shown[2].contains("other"), "{shown:?}");
    }

    #[test]
    fn changed_password_of_the_database_needs_a_restart_and_is_not_shown() {
        let with = |url: &str| {
            let mut config = Config::default();
            config.store.url = url.parse().unwrap();
            config
        };
        let reload = with("postgres://a:old@h/d").reload(with("postgres://a:new@h/d"));
        assert_eq!((reload.taken.len(), names(&reload.needs_restart)), (0, vec!["store.url"]));
        assert_eq!(reload.needs_restart[0].to_string(), r#"store.url: "***" -> "***""#);
        let reload = with("postgres://a:old@h/d").reload(with("postgres://a:new@h/other"));
        assert_eq!(
            reload.needs_restart[0].to_string(),
            r#"store.url: "postgres://a:***@h/d" -> "postgres://a:***@h/other""#
        );
    }

    #[test]
    fn reload_of_the_same_settings_changes_nothing() {
        let reload = Config::default().reload(Config::default());
        assert!(reload.taken.is_empty() && reload.needs_restart.is_empty() && reload.config == Config::default());
    }
}
