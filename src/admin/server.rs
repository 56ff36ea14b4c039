//! The server itself: its status, tiers and settings.

use std::collections::BTreeMap;

use serde_json::Value;
use tidewater_core::limits::Tier;

use super::{Admin, AdminError, Reload, Reloaded};
use crate::config::Config;

/// How the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its process.
    pub process: u32,
    /// Its version.
    pub version: &'static str,
    /// The tiers that it knows.
    pub tiers: BTreeMap<String, Tier>,
    /// For how long it has run, in seconds.
    pub uptime_s: u64,
}

impl Admin {
    /// Returns how the server runs.
    #[must_use]
    pub fn status(&self) -> ServerStatus {
        ServerStatus {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            tiers: self.config.tiers.clone(),
            uptime_s: self.shared.started.elapsed().as_secs(),
        }
    }

    /// Returns the tiers that are in force.
    #[must_use]
    pub fn tiers(&self) -> &BTreeMap<String, Tier> {
        &self.config.tiers
    }

    /// Returns the settings in force, by their full names, with `***` for what is secret.
    ///
    /// # Errors
    /// `Failed` when a setting has no form as JSON.
    pub fn settings(&self) -> Result<BTreeMap<String, Value>, AdminError> {
        settings(&self.config)
    }

    /// Has `reload` read the settings again when that is asked for. Only the first call has an effect.
    pub fn set_reload(&self, reload: Reload) {
        let _ = self.shared.reload.set(reload);
    }

    /// Reads the settings again, and takes what can change while the server runs.
    ///
    /// # Errors
    /// `Unsupported` when this program cannot; `Invalid` when they cannot be used: nothing was changed then.
    pub async fn reload(&self) -> Result<Reloaded, AdminError> {
        let reload = self.shared.reload.get().ok_or_else(|| {
            AdminError::Unsupported("This server cannot read its settings again: restart it instead".to_owned())
        })?;
        reload().await.map_err(AdminError::Invalid)
    }
}

/// The settings of a configuration, each by its full name.
fn settings(config: &Config) -> Result<BTreeMap<String, Value>, AdminError> {
    fn flatten(prefix: &str, value: Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    flatten(&name, value, found);
                }
            }
            value => {
                found.insert(prefix.to_owned(), value);
            }
        }
    }
    let value = serde_json::to_value(config).map_err(|error| AdminError::Failed(error.to_string().into()))?;
    let mut found = BTreeMap::new();
    flatten("", value, &mut found);
    // What is written of a configuration has no secret in it: whether there is one is said here.
    if !config.storage.master_key.expose().is_empty() {
        found.insert("storage.master_key".to_owned(), "***".into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn settings_are_named_in_full_and_show_no_secret() {
        let mut config = Config::default();
        config.storage.master_key = Secret::new("hush".to_owned());
        let shown = settings(&config).unwrap();
        assert_eq!(shown["storage.master_key"], "***");
        assert_eq!(shown["api.request_timeout_s"], config.api.request_timeout_s);
        assert!(!serde_json::to_string(&shown).unwrap().contains("hush"));
    }
}
