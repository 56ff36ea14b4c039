//! Conversions between PostgreSQL's values and errors and the store's.

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::events::KEY_CONSTRAINT;
use crate::store::{Result, StoreError};

/// Why a transaction did not come to its commit.
#[derive(Debug)]
pub(super) enum Failure {
    /// The change is refused: nothing is wrong with the database.
    Refused(StoreError),
    /// The database failed, and surely changed nothing.
    Database(tokio_postgres::Error),
    /// The database failed, and may have made the change.
    Unknown(tokio_postgres::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// Returns the error of a read.
    pub(super) fn into_unavailable(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) | Self::Unknown(error) => StoreError::Unavailable(Box::new(error)),
        }
    }

    /// Returns the error of a change.
    pub(super) fn into_not_made(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) if error.code() == Some(&SqlState::DISK_FULL) => StoreError::Full(Box::new(error)),
            Self::Database(error) => StoreError::NotMade(Box::new(error)),
            Self::Unknown(error) => StoreError::Unavailable(Box::new(error)),
        }
    }

    /// Tells apart, after a change in one statement without a transaction, whether it may have been made.
    pub(super) fn of_change(self) -> Self {
        match self {
            Self::Database(error) if error.as_db_error().is_none_or(ends_connection) => Self::Unknown(error),
            failure => failure,
        }
    }
}

/// Returns whether the connection ends with this error. Then the change that was being made may have been committed: a proxy answers
/// so too when its own connection to the database breaks.
fn ends_connection(error: &DbError) -> bool {
    error.code().code().starts_with("08") || !matches!(error.parsed_severity(), Some(Severity::Error))
}

/// Returns whether a transaction that failed with this error before its commit may succeed when it is repeated.
pub(super) fn is_worth_repeating(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => error.as_db_error().and_then(DbError::constraint) == Some(KEY_CONSTRAINT),
        Some(code) => {
            [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED, &SqlState::ADMIN_SHUTDOWN]
                .contains(&code)
        }
        None => error.is_closed(),
    }
}

/// Returns the error of a change whose commit failed.
pub(super) fn commit_failed(error: tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full(Box::new(error)),
        // The database answered that it did not commit.
        Some(code) if code.code().starts_with("23") || code.code().starts_with("40") => {
            StoreError::NotMade(Box::new(error))
        }
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Returns the constraint that a statement violated, by kind.
pub(super) fn violation(failure: &Failure) -> Option<Violation> {
    let Failure::Database(error) = failure else { return None };
    match error.code()? {
        &SqlState::UNIQUE_VIOLATION => Some(Violation::Unique),
        &SqlState::FOREIGN_KEY_VIOLATION => Some(Violation::ForeignKey),
        _ => None,
    }
}

/// A violated constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    /// A unique key is taken.
    Unique,
    /// A row refers to a missing row, or a removed row has others that refer to it.
    ForeignKey,
}

/// Returns a number of the store from a column, which is never negative.
pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Returns a number as a column has it. Larger numbers than the column can have become the largest.
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a column of a row.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a tokio_postgres::Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(|error| StoreError::Corrupt(error.to_string()))
}
