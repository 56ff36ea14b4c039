//! How the settings of a running server are read again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::SettingChange;

/// What reading the settings again came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is different from now on.
    pub taken: Vec<SettingChange>,
    /// What holds only after a restart.
    pub needs_restart: Vec<SettingChange>,
}

/// Reads the settings again, or says why they cannot be used.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send>> + Send + Sync>;
