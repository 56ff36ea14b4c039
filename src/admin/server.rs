//! The server itself: its status, tiers and settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tidewater_core::limits::Tier;

use super::{Admin, AdminError, Reload, Reloaded};
use crate::background::{Runner, TaskState};
use crate::base::url_text;
use crate::config::{Config, IssuerConfig};

/// The status of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its process id.
    pub process: u32,
    /// Its version.
    pub version: &'static str,
    /// The configured tiers.
    pub tiers: BTreeMap<String, Tier>,
    /// The time since its start, in seconds.
    pub uptime_s: u64,
    /// The tasks of the background. Empty if no server runs.
    pub background: Vec<TaskState>,
}

impl Admin {
    /// Returns the server's status.
    #[must_use]
    pub fn status(&self) -> ServerStatus {
        ServerStatus {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            tiers: self.config.tiers.clone(),
            uptime_s: self.shared.started.elapsed().as_secs(),
            background: self.background.states(),
        }
    }

    /// Returns the runner of the background's tasks.
    #[must_use]
    pub const fn background(&self) -> &Arc<Runner> {
        &self.background
    }

    /// Returns the configured tiers.
    #[must_use]
    pub fn tiers(&self) -> &BTreeMap<String, Tier> {
        &self.config.tiers
    }

    /// Returns the identity providers with which people can sign in, each with the id of the client to sign in with.
    pub fn login_issuers(&self) -> impl Iterator<Item = (&IssuerConfig, &str)> {
        self.config.auth.issuers.iter().filter_map(|issuer| Some((issuer, issuer.login_client_id.as_deref()?)))
    }

    /// Returns the identity providers with which people can sign in to the console.
    pub fn console_issuers(&self) -> impl Iterator<Item = &IssuerConfig> {
        self.config.auth.issuers.iter().filter(|issuer| issuer.console_client_id.is_some())
    }

    /// Returns the settings in force by their full names, with `***` for secrets.
    ///
    /// # Errors
    /// `Failed` if a setting cannot be written as JSON.
    pub fn settings(&self) -> Result<BTreeMap<String, Value>, AdminError> {
        settings(&self.config)
    }

    /// Sets the function that reads the settings again. Only the first call has an effect.
    pub fn set_reload(&self, reload: Reload) {
        let _ = self.shared.reload.set(reload);
    }

    /// Reads the settings again, and applies those that can change while the server runs.
    ///
    /// # Errors
    /// `Unsupported` if this program cannot reload; `Invalid` if a setting is invalid. Nothing is changed then.
    pub async fn reload(&self) -> Result<Reloaded, AdminError> {
        let reload = self.shared.reload.get().ok_or_else(|| {
            AdminError::Unsupported("This server cannot read its settings again: restart it instead".to_owned())
        })?;
        reload().await.map_err(AdminError::Invalid)
    }
}

/// Returns the settings of a configuration by their full names.
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
    let mut value = serde_json::to_value(config).map_err(|error| AdminError::Failed(error.to_string().into()))?;
    url_text::mask_value(&mut value);
    let mut found = BTreeMap::new();
    flatten("", value, &mut found);
    // A serialized configuration has no secrets. This adds whether there is one.
    for (name, secret) in
        [("storage.master_key", &config.storage.master_key), ("store.password", &config.store.password)]
    {
        if !secret.expose().is_empty() {
            found.insert(name.to_owned(), "***".into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn settings_have_full_names_and_no_secrets() {
        let mut config = Config::default();
        config.storage.master_key = Secret::new("hush".to_owned());
        config.store.password = Secret::new("hush".to_owned());
        config.store.url = "postgres://tide:hush@db.example.com/tide".parse().unwrap();
        let shown = settings(&config).unwrap();
        assert_eq!((&shown["storage.master_key"], &shown["store.password"]), (&"***".into(), &"***".into()));
        assert_eq!(shown["store.url"], "postgres://tide:***@db.example.com/tide");
        assert_eq!(shown["api.request_timeout_s"], config.api.request_timeout_s);
        assert!(!serde_json::to_string(&shown).unwrap().contains("hush"));
    }
}
