//! The process that serves: what the management API tells and asks of it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::config::SettingChange;

/// What a reload of the settings has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that are in force now.
    pub taken: Vec<SettingChange>,
    /// Settings that need a restart.
    pub needs_restart: Vec<SettingChange>,
}

/// Reads the settings again, for the caller of that name. Fails with the reason, and changes nothing then.
pub type Reload = Box<dyn Fn(&'static str) -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync>;

/// The process that serves.
pub struct Process {
    started: Instant,
    database: PathBuf,
    reload: OnceLock<Reload>,
}

impl Process {
    /// Returns the process that has just opened `database`.
    #[must_use]
    pub fn new(database: PathBuf) -> Self {
        Self { started: Instant::now(), database, reload: OnceLock::new() }
    }

    /// Sets how settings are read again. Only the first call has an effect.
    pub fn set_reload(&self, reload: Reload) {
        let _ = self.reload.set(reload);
    }

    /// Reads the settings again; returns nothing in a process that cannot.
    pub async fn reload(&self, asked_by: &'static str) -> Option<Result<Reloaded, String>> {
        Some(self.reload.get()?(asked_by).await)
    }

    /// The file of the database.
    pub(crate) fn database(&self) -> &std::path::Path {
        &self.database
    }

    /// How long the process has served.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
