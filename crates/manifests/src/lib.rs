//! Manifest lists and manifests: bytes in, compact columns out (Iceberg specification, "Manifests" and "Manifest Lists").
//!
//! Nothing here reads storage or knows the table of a manifest. Sizes and nesting have bounds, since tenants write these files.
//! A [`Manifest`] depends only on its bytes, so it can be cached by its location. [`Manifest::entries`] adds what entries inherit
//! from the manifest list.

mod avro;
mod blobs;
mod build;
mod columns;
mod entry;
mod error;
mod list;
mod lists;
mod manifest;
mod names;
mod numbers;
mod partition;
mod partition_type;
mod paths;
mod plan;
mod presence;
mod statistics;

pub use avro::AvroError;
pub use entry::{Entries, Entry, FileContent, RowIds, Status};
pub use error::{Limits, ManifestError};
pub use list::{ManifestContent, ManifestFile, ManifestList};
pub use lists::NumberList;
pub use manifest::Manifest;
pub use names::{UnreadableError, files_of_manifest, manifests_of_list};
pub use partition_type::PartitionColumn;
pub use paths::FilePath;
pub use statistics::ColumnStatistics;
