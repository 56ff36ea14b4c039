//! Manifests and manifest lists as they are written.

mod avro;
mod list;
mod record;
mod schema;
mod writer;

pub(crate) use list::{ListOf, write_list};
pub(crate) use record::text;
pub(crate) use record::{FileRecord, Metrics, NewEntry};
pub(crate) use writer::{Layout, ManifestWriter, current_schema};
