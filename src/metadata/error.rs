//! The errors of reading and writing documents.

use std::sync::Arc;

use tidewater_core::document::DocumentError;
use tidewater_core::location::LocationError;

use crate::heavy::HeavyError;
use crate::storage::StorageError;

/// Why a document cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// The file does not exist: somebody removed it.
    #[error("Failed to open input stream for file: {0}")]
    Missing(String),
    /// The file has no valid metadata of the expected kind.
    #[error("Cannot read metadata file {location}: {source}")]
    Unreadable {
        /// The file's location.
        location: String,
        /// The fault.
        source: UnreadableError,
    },
    /// The location is not valid.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The document could not be compressed.
    #[error("cannot compress a metadata file: {0}")]
    Compress(Arc<std::io::Error>),
    /// The file is larger than the limit.
    #[error("Metadata file {location} has {size_bytes} bytes, of {limit_bytes} allowed. {RAISE_LIMIT}")]
    TooLarge {
        /// The file's location.
        location: String,
        /// The file's size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The unpacked document is larger than the limit.
    #[error("Metadata file {location} unpacks to more than {limit_bytes} bytes, the most that is read. {RAISE_LIMIT}")]
    UnpacksTooLarge {
        /// The file's location.
        location: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The new document would be larger than the limit for reading. Nothing was written.
    #[error(
        "The metadata would have {size_bytes} bytes, of {limit_bytes} allowed: expire snapshots, or remove properties or schemas. {RAISE_LIMIT}"
    )]
    TooLargeToWrite {
        /// The document's size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// No worker or memory became free in time. Nothing was written.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
    /// The storage failed.
    #[error(transparent)]
    Storage(StorageError),
}

impl MetadataError {
    /// Returns the name of its kind, for traces.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "not-found",
            Self::Unreadable { .. } | Self::Location(_) => "unreadable",
            Self::TooLarge { .. } | Self::UnpacksTooLarge { .. } | Self::TooLargeToWrite { .. } => "too-large",
            Self::Compress(_) | Self::Heavy(_) | Self::Storage(_) => "failed",
        }
    }
}

/// The advice for a document that is too large.
const RAISE_LIMIT: &str = "An administrator can raise the limit with the setting 'limits.document_bytes'";

/// Why a document is not readable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnreadableError {
    /// The file is not valid gzip.
    #[error(transparent)]
    Gzip(Arc<std::io::Error>),
    /// The JSON is not valid metadata.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl From<std::io::Error> for UnreadableError {
    fn from(error: std::io::Error) -> Self {
        Self::Gzip(Arc::new(error))
    }
}
