//! Rewrites the manifests and data files of Iceberg tables: files in, new files and a commit out.
//!
//! Nothing here knows HTTP, SQL or a kind of storage. [`Files`] gives objects by their location. All work blocks its thread, has
//! a bound on its memory, and stops early when it is told to.

mod compact;
mod data;
mod error;
mod files;
mod job;
mod manifest;
mod preview;
mod reading;
mod rewrite_manifests;
mod rows;
mod snapshot;
mod state;
mod statistics;
#[cfg(test)]
mod tests;

pub use compact::{Compaction, CompactionReport, compact, preview_compaction};
pub use data::{Candidate, CompactionRule};
pub use error::{FilesError, RewriteError};
pub use files::{Files, NewObject};
pub use job::{Job, JobLimits};
pub use preview::{Preview, PreviewColumn, PreviewLimits, preview};
pub use rewrite_manifests::{ManifestRule, ManifestsReport, preview_manifests, rewrite_manifests};
pub use snapshot::Proposal;
pub use state::LeftAlone;
pub use statistics::{StatisticsReport, compute_statistics, preview_statistics};
