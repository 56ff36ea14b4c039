//! Errors of a store: few kinds, each of which tells the caller what to do.

use std::fmt;

use tidewater_core::labels::InvalidLabels;
use tidewater_core::request_limits::LimitExceeded;

/// The result of every method of a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A kind of object in a store.
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
    /// A subscription.
    Subscription,
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
            Self::Subscription => "subscription",
        })
    }
}

/// Why a store did not make a change or a read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object, or its parent, does not exist. Nothing was changed.
    #[error("{0} does not exist")]
    NotFound(Resource),
    /// An object of this kind has the name already. Nothing was changed.
    #[error("{0} exists already")]
    AlreadyExists(Resource),
    /// The object is not empty. Nothing was changed.
    #[error("{0} is not empty")]
    NotEmpty(Resource),
    /// The pointer has moved since the caller read it: read it again and apply the change again. Nothing was changed.
    #[error("the table's pointer has moved")]
    PointerMoved,
    /// The requested location overlaps that of another table or view, or another warehouse. Nothing was changed.
    #[error("location {0} overlaps another table, view or warehouse")]
    LocationTaken(String),
    /// The requested location overlaps that of a dropped table or view, which is still reserved. Nothing was changed.
    #[error("location {0} overlaps that of a dropped table")]
    LocationHeld(String),
    /// The document at this location is no longer in its table's log, and a server is removing its file. Nothing was changed.
    #[error("the document {0} is being removed")]
    BeingRemoved(String),
    /// Its restore time is over, a purge has begun, or another table has its location: the text says which. Nothing was
    /// changed.
    #[error("it can no longer be restored: {0}")]
    NotRestorable(String),
    /// The request's idempotency key was used before. Its receipt has the answer. Nothing was changed.
    #[error("the idempotency key was used before")]
    Repeated,
    /// One change of a transaction cannot be made. Nothing was changed.
    #[error("change {at} of the transaction: {error}")]
    InTransaction {
        /// The index of the change, from 0.
        at: usize,
        /// Why.
        #[source]
        error: Box<StoreError>,
    },
    /// The organisation has as many as its tier allows. Nothing was changed.
    #[error("the limit of {limit} is reached")]
    LimitReached {
        /// The limit.
        limit: u64,
    },
    /// The object would exceed a limit from the settings. Nothing was changed.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// The object would have labels that are not allowed. Nothing was changed.
    #[error(transparent)]
    Labels(#[from] InvalidLabels),
    /// Too many changes wait to be written, in total or of this organisation. Nothing was changed.
    #[error("too many changes wait to be written")]
    Busy,
    /// Too many reads of many rows wait, in total or of this organisation, or the turn of this one did not come in time. Nothing was read.
    #[error("too many lists wait to be read from the database")]
    TooManyReads,
    /// The database has no room for the change: its disk, or a limit of its size, is full. Nothing was changed.
    #[error("the database has no space left: {0}")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database cannot store a value of the request, which is therefore of no use to repeat. Nothing was changed.
    #[error("the database cannot store a value of the request: {0}")]
    NotStorable(&'static str),
    /// The database refused the change, or failed before the commit: it is locked, read-only, or its disk fails. Nothing was
    /// changed.
    #[error("the database did not make the change: {0}")]
    NotMade(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database cannot be reached, or did not answer. A write may have happened.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value in the database cannot be read. A person has to look. A write may have happened.
    #[error("the database has an unreadable value: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Returns the name of its kind, for metrics. Refusals share one name: nothing is wrong with the database.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::PointerMoved => "conflict",
            Self::Busy | Self::TooManyReads => "busy",
            Self::Full(_) => "full",
            Self::NotMade(_) => "not-made",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            _ => "refused",
        }
    }

    /// Returns whether a change that failed with this error may have happened. With every other error nothing was changed.
    #[must_use]
    pub const fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Corrupt(_))
    }
}
