//! Maintenance of tables: which snapshots expire, which files are orphans, what a policy says, and how healthy a table is.
//!
//! Values in, values out: the time is an argument, and nothing here reads storage.

mod distribution;
mod expire;
mod health;
mod orphans;
mod policy;

pub use distribution::{
    LARGEST_PARTITIONS, PartitionCounts, PartitionFigures, PartitionSummary, SIZE_BOUNDS, SizeClass, SizeHistogram,
    partition_texts,
};
pub use expire::{ExpireRules, Expired, ExpiredRef, ExpiredSnapshot, MAX_EXPIRED, SnapshotReason, expire};
pub use health::{
    FileFigures, Finding, FindingKind, HealthCounts, HealthFigures, HealthSummary, findings, small_bytes,
    target_file_bytes,
};
pub use orphans::{FileNames, FilePaths, KnownFiles, Stays, file_stays};
pub use policy::{
    ExpirePolicy, MaintenanceOperation, MaintenancePolicy, OrphanPolicy, PolicyError, Schedule,
    UnknownMaintenanceOperation,
};
