//! Data files: which are compacted, and how their rows are read and written.

mod columns;
mod deletes;
mod keys;
mod metrics;
mod parquet_file;
mod ranges;
mod rule;
mod write;

pub(crate) use columns::{Target, field_id, fit_struct};
pub(crate) use deletes::{Deletes, FileDeletes};
pub(crate) use parquet_file::ParquetFile;
pub use rule::{Candidate, CompactionRule};
pub(crate) use write::{Format, Output};
