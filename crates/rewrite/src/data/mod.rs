//! Data files: which are compacted, and how their rows are read and written.

mod columns;
mod deletes;
mod keys;
mod metrics;
mod parquet_file;
mod ranges;
mod rule;
mod structures;
mod thrift;
mod write;

pub(crate) use columns::{Target, field_id, field_ids, fit_struct, target_schema};
pub(crate) use deletes::Deletes;
pub(crate) use keys::single_value;
pub(crate) use parquet_file::ParquetFile;
pub use rule::{Candidate, CompactionRule};
pub(crate) use write::{Format, Output};
