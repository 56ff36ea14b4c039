//! Scan planning: which files a scan must read, and what each file proves about the scan's filter (Iceberg specification,
//! "Scan Planning"; REST specification, `planTableScan`).
//!
//! A filter is parsed ([`expression`]), bound to a schema ([`bound`]), projected onto each partition spec ([`project`]), and
//! compared with the partitions ([`partition`]) and statistics ([`metrics`]) of manifests and files. An unsure comparison keeps
//! the file. What is left of the filter for a file is its residual ([`residual`]); its delete files are found by [`deletes`].

pub mod answer;
pub mod apply;
pub mod bound;
pub mod calendar;
pub mod columns;
pub mod deletes;
mod equality;
pub mod error;
mod evaluate;
pub mod expression;
mod facts;
mod json;
pub mod literal;
pub mod metrics;
pub mod mode;
pub mod partition;
mod partition_key;
pub mod project;
pub mod range;
pub mod request;
pub mod residual;
pub mod single_value;
pub mod statistics;
pub mod value;

pub use error::FilterError;
