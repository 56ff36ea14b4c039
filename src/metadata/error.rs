//! Why a document cannot be had.

use std::sync::Arc;

use tidewater_core::document::DocumentError;
use tidewater_core::location::LocationError;

use crate::heavy::HeavyError;
use crate::storage::StorageError;

/// Why a document cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// The pointer leads to nothing: somebody removed the file.
    #[error("Failed to open input stream for file: {0}")]
    Missing(String),
    /// What is there is not metadata of the kind that was looked for.
    #[error("Cannot read metadata file {location}: {source}")]
    Unreadable {
        /// Where it is.
        location: String,
        /// What is wrong with it.
        source: UnreadableError,
    },
    /// Its location is not one.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// It could not be compressed.
    #[error("cannot compress a metadata file: {0}")]
    Compress(Arc<std::io::Error>),
    /// It is larger than is read.
    #[error("Metadata file {location} has {size_bytes} bytes, of {limit_bytes} allowed. {RAISE_LIMIT}")]
    TooLarge {
        /// Where it is.
        location: String,
        /// How large it is.
        size_bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// Unpacked, it is larger than is read.
    #[error("Metadata file {location} unpacks to more than {limit_bytes} bytes, the most that is read. {RAISE_LIMIT}")]
    UnpacksTooLarge {
        /// Where it is.
        location: String,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// It would be larger than is read again. Nothing was written.
    #[error(
        "The metadata would have {size_bytes} bytes, of {limit_bytes} allowed: expire snapshots, or remove properties or schemas. {RAISE_LIMIT}"
    )]
    TooLargeToWrite {
        /// How large it would be.
        size_bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// There was no worker or no memory for it in time. Nothing was written.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
    /// Storage did not do it.
    #[error(transparent)]
    Storage(StorageError),
}

/// What to do about a document that is too large.
const RAISE_LIMIT: &str = "An administrator can raise the limit with the setting 'limits.document_bytes'";

/// What is wrong with a document.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnreadableError {
    /// It is not valid gzip.
    #[error(transparent)]
    Gzip(Arc<std::io::Error>),
    /// It is not valid metadata.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl From<std::io::Error> for UnreadableError {
    fn from(error: std::io::Error) -> Self {
        Self::Gzip(Arc::new(error))
    }
}
