//! The table metadata document (table specification, format v1 to v3). Keeps all of its contents.
//!
//! A typed view accompanies the JSON text: rules read the view, the writer copies the text. Parts that no rule needs
//! (unknown fields, column types, transforms, the contents of a snapshot) are never parsed, so they cannot be lost or
//! changed. A rule that changes a nested object replaces single keys of its text.

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

/// The newest supported format version.
pub const MAX_FORMAT_VERSION: u8 = 3;

/// The format version of a new table that does not ask for one.
pub const DEFAULT_FORMAT_VERSION: u8 = 2;

/// Why a text is not a valid document, or part of one. The message is for the author of the text.
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
