//! The function that reloads the settings of a running server, and its outcome.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::SettingChange;

/// The outcome of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The changes in force from now on.
    pub taken: Vec<SettingChange>,
    /// The changes that take effect only after a restart.
    pub needs_restart: Vec<SettingChange>,
}

/// Reads the settings again and applies them. Returns the reason if they are invalid.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send>> + Send + Sync>;
