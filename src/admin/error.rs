//! Errors of administration.

use std::sync::Arc;

use tidewater_core::access::LabelError;

use crate::auth::{AuthError, IssueError};
use crate::catalog::CatalogError;
use crate::store::StoreError;
use crate::warehouse::InvalidSettings;

/// Why a use case changed nothing. The texts name the object and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The request is invalid.
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
    /// The object's state does not allow the action.
    #[error("{0}")]
    Conflict(String),
    /// The administrator has no permission.
    #[error("{0}")]
    Forbidden(String),
    /// The limit of objects is reached.
    #[error("{0}")]
    TooMany(String),
    /// The server's setup does not support the action.
    #[error("{0}")]
    Unsupported(String),
    /// The system returned no random bytes.
    #[error("cannot create a key: {0}")]
    NoEntropy(getrandom::Error),
    /// Keys that sign tokens cannot be changed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The catalog has no such namespace, table or view, or cannot read it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store failed or refused the change.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another part failed. The text is for the log.
    #[error("{0}")]
    Failed(Arc<str>),
}

impl AdminError {
    /// Returns the error for an organisation that does not exist. `named` is its name or id.
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

impl From<InvalidSettings> for AdminError {
    fn from(error: InvalidSettings) -> Self {
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
