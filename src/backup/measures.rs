//! Measurements of scheduled backups, for the server's metrics.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A gauge with a fraction.
type Seconds = Gauge<f64, AtomicU64>;

/// The step of a backup that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The copy of the database, its check and its compression.
    Copy,
    /// Writing, reading or listing backups in their folder or bucket.
    Storage,
    /// The check of the written backup, and of the master key.
    Verification,
    /// The removal of older backups.
    Removal,
}

impl Step {
    const ALL: [Self; 4] = [Self::Copy, Self::Storage, Self::Verification, Self::Removal];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Storage => "storage",
            Self::Verification => "verification",
            Self::Removal => "removal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    step: &'static str,
}

/// What scheduled backups measure. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct BackupMeasures {
    last_success: Seconds,
    duration: Seconds,
    interval: Seconds,
    size_bytes: Gauge,
    count: Gauge,
    failures: Family<Labels, Counter>,
}

impl BackupMeasures {
    pub(super) fn new(interval: Duration) -> Self {
        let measures = Self::default();
        measures.interval.set(interval.as_secs_f64());
        // An alert needs the series before the first failure.
        for step in Step::ALL {
            drop(measures.failures.get_or_create(&Labels { step: step.as_str() }));
        }
        measures
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "When the newest verified backup began, in seconds since 1970; 0 if there is none";
        registry.register("tidewater_backup_last_success_timestamp_seconds", help, self.last_success.clone());
        let help = "The time from one scheduled backup to the next";
        registry.register("tidewater_backup_interval_seconds", help, self.interval.clone());
        let help = "How long the last scheduled backup took, with its verification";
        registry.register("tidewater_backup_duration_seconds", help, self.duration.clone());
        registry.register("tidewater_backup_size_bytes", "Size of the newest backup", self.size_bytes.clone());
        registry.register("tidewater_backups", "Kept backups of this catalog", self.count.clone());
        let help = "Scheduled backups that failed, by the step that failed";
        registry.register("tidewater_backup_failures", help, self.failures.clone());
    }

    pub(super) fn failed(&self, step: Step) {
        self.failures.get_or_create(&Labels { step: step.as_str() }).inc();
    }

    pub(super) fn took(&self, time: Duration) {
        self.duration.set(time.as_secs_f64());
    }

    /// Records the newest backup.
    pub(super) fn newest(&self, taken_s: i64, size_bytes: u64) {
        self.last_success.set(taken_s as f64);
        self.size_bytes.set(i64::try_from(size_bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn kept(&self, count: usize) {
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
