//! Why something was not administered.

use std::sync::Arc;

use tidewater_core::access::LabelError;

use crate::auth::{AuthError, IssueError};
use crate::catalog::CatalogError;
use crate::store::StoreError;

/// Why a use case did nothing. The texts name the object and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The request cannot be carried out as it stands.
    #[error("{0}")]
    Invalid(String),
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// There is no such warehouse.
    #[error("{0}")]
    NoSuchWarehouse(String),
    /// The name is taken.
    #[error("{0}")]
    Exists(String),
    /// The object is not in a state in which this can be done.
    #[error("{0}")]
    Conflict(String),
    /// The administrator may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// There are too many already.
    #[error("{0}")]
    TooMany(String),
    /// The server cannot do it as it is set up.
    #[error("{0}")]
    Unsupported(String),
    /// The system gave no random bytes.
    #[error("cannot make a key: {0}")]
    NoEntropy(getrandom::Error),
    /// Keys that sign tokens cannot be changed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The catalog has no such namespace, table or view, or cannot read it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another part has failed; the text is for the log.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl AdminError {
    /// Says that there is no organisation of that name or id.
    #[must_use]
    pub fn no_such_organisation(named: &str) -> Self {
        let named: String = named.chars().take(100).collect();
        Self::NotFound(format!("There is no organisation '{named}'"))
    }
}

impl From<LabelError> for AdminError {
    fn from(error: LabelError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<getrandom::Error> for AdminError {
    fn from(error: getrandom::Error) -> Self {
        Self::NoEntropy(error)
    }
}

impl From<IssueError> for AdminError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Name(error) => error.into(),
            IssueError::ExpiresInThePast => Self::Invalid(error.to_string()),
            IssueError::Store(error) => Self::Store(error),
        }
    }
}
