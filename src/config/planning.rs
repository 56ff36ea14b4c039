//! The settings of scan planning for clients.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of scan planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanningConfig {
    /// The most bytes of cached manifest lists and manifests; 0 caches none.
    pub cache_bytes: u64,
    /// The most files in the answer to a plan. The others come in plan tasks.
    pub inline_files: u64,
    /// About how many files a plan task has.
    pub task_files: u64,
    /// The most manifests of a snapshot that is planned.
    pub max_manifests: u64,
    /// The most data files in the manifests of a snapshot that is planned.
    pub max_files: u64,
    /// The most delete files in the manifests of a snapshot that is planned.
    pub max_delete_files: u64,
    /// The most bytes of manifests that one request reads.
    pub max_bytes: u64,
    /// For how many seconds an answer may be sent.
    pub timeout_s: u64,
    /// For how many seconds a plan task can be fetched.
    pub task_lifetime_s: u64,
}

impl Default for PlanningConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            inline_files: 2_000,
            task_files: 10_000,
            max_manifests: 100_000,
            max_files: 50_000_000,
            max_delete_files: 1_000_000,
            max_bytes: 4 << 30,
            timeout_s: 300,
            task_lifetime_s: 3_600,
        }
    }
}

impl PlanningConfig {
    /// Returns [`PlanningConfig::timeout_s`] as a duration.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// Returns the settings that must be at least 1, with their values.
    pub(super) const fn at_least_one(&self) -> [(&'static str, u64); 7] {
        [
            ("planning.task_files", self.task_files),
            ("planning.max_manifests", self.max_manifests),
            ("planning.max_files", self.max_files),
            ("planning.max_delete_files", self.max_delete_files),
            ("planning.max_bytes", self.max_bytes),
            ("planning.timeout_s", self.timeout_s),
            ("planning.task_lifetime_s", self.task_lifetime_s),
        ]
    }
}
