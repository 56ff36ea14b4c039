//! Rewrites of whole tables, with the `iceberg` crate as the reader.

mod compaction;
mod manifests;
mod preview;
mod statistics;
mod table;
