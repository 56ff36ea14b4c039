//! Why a manifest list or a manifest is not available.

use std::sync::Arc;

use crate::metadata::ReadError;
use crate::storage::StorageError;

/// Why a manifest list or a manifest was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ManifestError {
    /// There is no such file.
    #[error("is missing")]
    Missing,
    /// Its content is not that of such a file, or it is too large.
    #[error(transparent)]
    Unreadable(Arc<dyn std::error::Error + Send + Sync>),
    /// The parsed files of running scans take as much memory as they may.
    #[error("cannot be held at the moment: the manifests in use take more than {most_bytes} bytes of memory")]
    Busy {
        /// The most memory, in bytes.
        most_bytes: u64,
    },
    /// Storage did not answer, or no memory was free. It may be read another time.
    #[error(transparent)]
    Unavailable(ReadError),
}

impl ManifestError {
    /// Creates the error of a file with an unreadable content.
    pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unreadable(Arc::new(error))
    }

    /// Returns the name of its kind, for traces.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "not-found",
            Self::Unreadable(_) => "unreadable",
            Self::Busy { .. } => "busy",
            Self::Unavailable(_) => "failed",
        }
    }
}

impl From<ReadError> for ManifestError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(StorageError::NotFound(_)) => Self::Missing,
            error @ ReadError::TooLarge { .. } => Self::unreadable(error),
            error => Self::Unavailable(error),
        }
    }
}
