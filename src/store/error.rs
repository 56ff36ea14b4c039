//! What can go wrong in a store: few kinds, each of which says what the caller can do.

use std::fmt;

use tidewater_core::request_limits::LimitExceeded;

/// What every method of a store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A kind of thing that a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// An organisation.
    Organisation,
    /// An API key.
    Key,
    /// An operator.
    Operator,
    /// A principal.
    Principal,
    /// A principal role.
    PrincipalRole,
    /// A catalog role.
    CatalogRole,
    /// A warehouse.
    Warehouse,
    /// A namespace.
    Namespace,
    /// A table.
    Table,
    /// A view.
    View,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Organisation => "organisation",
            Self::Key => "API key",
            Self::Operator => "operator",
            Self::Principal => "principal",
            Self::PrincipalRole => "principal role",
            Self::CatalogRole => "catalog role",
            Self::Warehouse => "warehouse",
            Self::Namespace => "namespace",
            Self::Table => "table",
            Self::View => "view",
        })
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The named thing, or what would hold it, does not exist. Nothing was changed.
    #[error("{0} does not exist")]
    NotFound(Resource),
    /// The name is taken, by a thing of this kind. Nothing was changed.
    #[error("{0} exists already")]
    AlreadyExists(Resource),
    /// It still holds something. Nothing was changed.
    #[error("{0} is not empty")]
    NotEmpty(Resource),
    /// The pointer is not where the caller last saw it: read again, apply again. Nothing was changed.
    #[error("the table's pointer has moved")]
    PointerMoved,
    /// Another table's or view's location, or another warehouse, is there, inside it, or around it. The location is the one
    /// that was asked for. Nothing was changed.
    #[error("the location {0} overlaps another's")]
    LocationTaken(String),
    /// A location of a dropped table or view is there, inside it, or around it, and is kept still. Nothing was changed.
    #[error("the location {0} overlaps that of a dropped table")]
    LocationHeld(String),
    /// The document at this location left a table's log, and its file is being removed. Nothing was changed.
    #[error("the document {0} is being removed")]
    BeingRemoved(String),
    /// It was dropped too long ago, its files are being removed, or its place is taken: the text says which. Nothing was
    /// changed.
    #[error("it can no longer be restored: {0}")]
    NotRestorable(String),
    /// The request's idempotency key was used before: its receipt tells what was answered. Nothing was changed.
    #[error("the idempotency key was used before")]
    Repeated,
    /// One of the changes of a transaction cannot be made. Nothing was changed.
    #[error("change {at} of the transaction: {error}")]
    InTransaction {
        /// Which one, from 0.
        at: usize,
        /// Why.
        #[source]
        error: Box<StoreError>,
    },
    /// The organisation's tier allows no more. Nothing was changed.
    #[error("the limit of {limit} is reached")]
    LimitReached {
        /// The limit.
        limit: u64,
    },
    /// It would hold more than a setting allows. Nothing was changed.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// Too many changes wait to be written, of all or of this organisation. Nothing was changed.
    #[error("too many changes wait to be written")]
    Busy,
    /// The database has no room for the change: its disk, or a limit of its size, is full. Nothing was changed.
    #[error("the database has no space left: {0}")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database refused the change, or failed before it was committed: it is locked, can only be read, or its disk
    /// fails. Nothing was changed.
    #[error("the database did not make the change: {0}")]
    NotMade(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database cannot be reached, or did not answer. A write may have happened.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database holds something that cannot be read. A person has to look. A write may have happened.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Returns whether a change that gave this error may have happened. With every other error nothing was changed.
    #[must_use]
    pub const fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Corrupt(_))
    }
}
