//! The settings of the maintenance of tables.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the maintenance of tables. Policies decide which tables get which maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// Whether this server does what policies ask for. Manual runs do not depend on it.
    pub enabled: bool,
    /// How often the server looks for tables that are due, in seconds.
    pub look_interval_s: u64,
    /// How many expiries and removals of orphan files that policies ask for run at the same time, of all organisations.
    pub tables_at_once: usize,
    /// How long a run may take, in seconds. The next run continues.
    pub run_s: u64,
    /// The most files of a table. The names of all its files are in memory while unneeded ones are searched: 10 bytes each.
    pub files_per_table: usize,
    /// The smallest age of a file that is removed as an orphan, in seconds. Policies can set longer ones.
    pub min_orphan_age_s: u64,
    /// The most memory of a rewrite of files, in bytes, by estimate. A server does one at a time.
    pub rewrite_memory_bytes: u64,
    /// The most bytes of data files that one run reads. The next run continues with a compaction.
    pub rewrite_run_bytes: u64,
    /// For how many seconds the record of a run is kept.
    pub run_retention_s: u64,
    /// The most policies of an organisation.
    pub policies_per_organisation: u32,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            look_interval_s: 60,
            tables_at_once: 2,
            run_s: 3_600,
            files_per_table: 10_000_000,
            min_orphan_age_s: 86_400,
            rewrite_memory_bytes: 256 << 20,
            rewrite_run_bytes: 10 << 30,
            run_retention_s: 30 * 86_400,
            policies_per_organisation: 10_000,
        }
    }
}

impl MaintenanceConfig {
    /// Returns [`Self::look_interval_s`] as a duration.
    #[must_use]
    pub const fn look_interval(&self) -> Duration {
        Duration::from_secs(self.look_interval_s)
    }

    /// Returns [`Self::run_s`] as a duration.
    #[must_use]
    pub const fn run_time(&self) -> Duration {
        Duration::from_secs(self.run_s)
    }

    /// Returns [`Self::min_orphan_age_s`] in milliseconds.
    #[must_use]
    pub fn min_orphan_age_ms(&self) -> i64 {
        i64::try_from(self.min_orphan_age_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Returns [`Self::run_retention_s`] in milliseconds.
    #[must_use]
    pub fn run_retention_ms(&self) -> i64 {
        i64::try_from(self.run_retention_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Returns how long a server holds its queued runs, in milliseconds: a look, after which it holds them again, may take long.
    #[must_use]
    pub fn queued_hold_ms(&self) -> i64 {
        let looks_s = self.look_interval_s.saturating_mul(3).saturating_add(120);
        i64::try_from(looks_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Returns why the settings cannot be used.
    pub(super) fn check(&self) -> Vec<String> {
        let numbers = [
            ("look_interval_s", self.look_interval_s, 1..=86_400),
            ("tables_at_once", self.tables_at_once as u64, 1..=64),
            ("run_s", self.run_s, 10..=86_400),
            ("files_per_table", self.files_per_table as u64, 1_000..=1_000_000_000),
            ("min_orphan_age_s", self.min_orphan_age_s, 0..=315_360_000),
            ("rewrite_memory_bytes", self.rewrite_memory_bytes, 64 << 20..=1 << 40),
            ("rewrite_run_bytes", self.rewrite_run_bytes, 1 << 20..=1 << 50),
            ("run_retention_s", self.run_retention_s, 3_600..=315_360_000),
            ("policies_per_organisation", self.policies_per_organisation.into(), 1..=1_000_000),
        ];
        let wrong = numbers.into_iter().filter(|(_, value, allowed)| !allowed.contains(value));
        wrong
            .map(|(key, _, allowed)| {
                format!("`maintenance.{key}` must be from {} to {}", allowed.start(), allowed.end())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_their_bounds_are_refused_by_name() {
        assert!(MaintenanceConfig::default().check().is_empty());
        let wrong = MaintenanceConfig { tables_at_once: 0, run_s: u64::MAX, ..MaintenanceConfig::default() };
        let text = wrong.check().join("\n");
        assert!(text.contains("`maintenance.tables_at_once` must be from 1 to 64"), "{text}");
        assert!(text.contains("maintenance.run_s") && !text.contains("retention"), "{text}");
    }
}
