//! Scan planning: which files a scan must read, and what each file proves about the scan's filter (Iceberg specification,
//! "Scan Planning"; REST specification, `planTableScan`).
//!
//! A filter is parsed ([`expression`]), bound to a schema ([`bound`]), projected onto each partition spec, and compared with
//! the partitions and statistics of manifests and files. An unsure comparison keeps the file.

pub mod bound;
pub mod statistics;
pub mod value;
