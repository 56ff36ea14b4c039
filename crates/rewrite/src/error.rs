//! Why a rewrite ended without a commit.

use tidewater_core::stop::Stopped;
use tidewater_manifests::ManifestError;

/// Why an object was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FilesError(pub String);

/// Why a rewrite ended without a commit.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Storage did not read or write an object. Another try may succeed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A manifest list or manifest cannot be read.
    #[error("the manifest {location} cannot be read: {source}")]
    Manifest {
        /// Its location.
        location: String,
        /// The reader's error.
        source: ManifestError,
    },
    /// The table or a file has something that cannot be rewritten without loss. It is left alone.
    #[error("left alone: {0}")]
    Unsupported(String),
    /// Another commit changed the rewritten files. The table must be read again.
    #[error("another commit came first: {0}")]
    Conflict(String),
    /// The work was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl RewriteError {
    /// Creates the error of a thing that is left alone.
    pub(crate) fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported(why.into())
    }
}
