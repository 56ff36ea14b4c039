//! The table metadata document (table specification, format v1 to v3), kept whole.
//!
//! A typed view stands beside the JSON text that it was read from: rules look at the view, the writer copies the text. What
//! no rule needs (unknown fields, column types, transforms, the contents of a snapshot) is never taken apart, so it cannot
//! be lost or changed. Where a rule changes a nested object it replaces single keys of its text.

mod check;
mod default_value;
mod fresh_ids;
pub(crate) mod json;
mod list;
mod logs;
mod partition;
mod read;
mod refs;
mod schema;
mod snapshot;
mod sort;
mod spelling;
mod statistics;
mod table;
mod transform;
mod type_name;
mod types;
mod write;

pub(crate) use fresh_ids::FreshIds;
pub use list::{Element, List};
pub use logs::{MetadataLogEntry, SnapshotLogEntry};
pub(crate) use partition::FIRST_PARTITION_FIELD_ID;
pub use partition::{PartitionField, PartitionSpec};
pub use refs::{MAIN_BRANCH, RefKind, SnapshotRef};
pub use schema::{Column, Schema, SchemaIndex};
pub use snapshot::{NO_SNAPSHOT_ID, Snapshot};
pub use sort::{Direction, NullOrder, SortField, SortOrder, UNSORTED_ORDER_ID};
pub(crate) use spelling::corrections;
pub use statistics::{EncryptionKey, PartitionStatistics, Statistics};
pub(crate) use table::{Present, strip_trailing_slash};
pub use table::{Properties, TableMetadata};
pub use transform::Transform;
pub use types::{Field, ListType, MapType, Primitive, StructType, Type};
pub(crate) use write::Writer;

/// The newest format version that can be read and written.
pub const MAX_FORMAT_VERSION: u8 = 3;

/// The format version of a new table that asks for none.
pub const DEFAULT_FORMAT_VERSION: u8 = 2;

/// Why a text is not a valid document, or part of one. The message is meant for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is not JSON.
    #[error("Malformed JSON: {0}")]
    Syntax(String),
    /// The text is JSON, but breaks a rule of the specification.
    #[error("{0}")]
    Invalid(String),
    /// The document is of a format version that this catalog does not know.
    #[error("Cannot read unsupported version {0} (supported: 1 to {MAX_FORMAT_VERSION})")]
    UnsupportedVersion(i32),
}

impl DocumentError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
