//! Scan planning: which files a scan must read, and what each file proves about the scan's filter (Iceberg specification,
//! "Scan Planning"; REST specification, `planTableScan`).
//!
//! A filter is parsed ([`expression`]), bound to a schema ([`bound`]), projected onto each partition spec, and compared with
//! the partitions and statistics of manifests and files. An unsure comparison keeps the file.

pub mod apply;
pub mod bound;
pub mod calendar;
pub mod columns;
pub mod error;
pub mod expression;
mod json;
pub mod literal;
pub mod statistics;
pub mod value;

pub use error::FilterError;
