//! Conversions between PostgreSQL's values and errors and the store's.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::store::{Result, StoreError};

/// The primary key of events. Its violation means that two events got the same id.
const EVENT_KEY: &str = "event_pkey";

/// Why a transaction did not come to its commit, or a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The change is refused: nothing is wrong with the database.
    Refused(StoreError),
    /// The database failed, and surely changed nothing.
    Database(tokio_postgres::Error),
    /// The statement took too long, and was cancelled. Its transaction is undone.
    TimedOut(Duration),
    /// The database failed, or did not answer, and may have made the change. The text says why.
    Unknown(String),
}

impl Failure {
    /// Returns the name of its kind, for metrics.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Database(_) | Self::TimedOut(_) => "not-made",
            Self::Unknown(_) => "unavailable",
        }
    }
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

/// When something that surely was not made is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// At once: another change was in its way.
    AtOnce,
    /// After a pause, over another connection.
    Later,
}

impl Failure {
    /// Returns the error of a read.
    pub(super) fn into_unavailable(self) -> StoreError {
        match self.into_not_made() {
            StoreError::NotMade(cause) | StoreError::Full(cause) => StoreError::Unavailable(cause),
            error => error,
        }
    }

    /// Returns the error of a change.
    pub(super) fn into_not_made(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => not_made(&error),
            Self::TimedOut(limit) => StoreError::NotMade(too_slow(limit).into()),
            Self::Unknown(why) => StoreError::Unavailable(why.into()),
        }
    }

    /// Tells apart, after a commit or a change in one statement, whether it may have been made.
    pub(super) fn of_change(self) -> Self {
        match self {
            Self::Database(error) if error.as_db_error().is_none_or(ends_connection) => Self::Unknown(message(&error)),
            Self::TimedOut(limit) => Self::Unknown(too_slow(limit)),
            failure => failure,
        }
    }

    /// Returns when to try again. `None` if that is of no use, or the change may have been made.
    pub(super) fn again(&self) -> Option<Again> {
        let Self::Database(error) = self else { return None };
        let Some(refusal) = error.as_db_error() else {
            // Errors of parameters and columns have a cause too. They come again.
            let is_lost = error.is_closed() || cause_of_io(error).is_some();
            return is_lost.then_some(Again::Later);
        };
        match refusal.code() {
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Some(Again::AtOnce),
            // Two events got the same id.
            &SqlState::UNIQUE_VIOLATION if refusal.constraint() == Some(EVENT_KEY) => Some(Again::AtOnce),
            &SqlState::READ_ONLY_SQL_TRANSACTION => Some(Again::Later),
            _ if is_unprepared(error) => Some(Again::AtOnce),
            _ if ends_connection(refusal) => Some(Again::Later),
            _ => None,
        }
    }
}

fn too_slow(limit: Duration) -> String {
    format!("a statement took longer than {} s, and was cancelled", limit.as_secs_f32())
}

/// Returns the error of a change that the database surely did not make.
fn not_made(error: &tokio_postgres::Error) -> StoreError {
    let cause = message(error);
    match error.code().map(SqlState::code) {
        Some("53100") => StoreError::Full(cause.into()),
        Some("22021" | "22P05") => StoreError::NotStorable("it has a character that no text can have, such as U+0000"),
        Some("22001" | "54000") => StoreError::NotStorable("it is too long"),
        // A fault of the statement: repeating it is of no use.
        Some(code) if code.starts_with("22") || code.starts_with("54") => StoreError::Corrupt(cause),
        _ => StoreError::NotMade(cause.into()),
    }
}

/// Returns whether the connection ends with this error. Then a change that was being made may have been committed: a proxy answers
/// so too when its own connection to the database breaks.
pub(super) fn ends_connection(error: &DbError) -> bool {
    error.code().code().starts_with("08") || !matches!(error.parsed_severity(), Some(Severity::Error))
}

/// Returns whether the server is a standby, on which nothing can be changed.
pub(super) fn is_read_only(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Returns whether a prepared statement is no longer known or valid, so that the connection's statements have to be prepared anew.
pub(super) fn is_unprepared(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT) => true,
        Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            error.as_db_error().is_some_and(|error| error.message().contains("cached plan"))
        }
        _ => false,
    }
}

/// Returns whether another attempt to connect may succeed without a person's help.
pub(super) fn may_connect_later(error: &tokio_postgres::Error) -> bool {
    match error.code().map(SqlState::code) {
        // The database starts, stops, or has too many connections; or a proxy has none to it.
        Some(code) => ["57", "53", "08"].iter().any(|class| code.starts_with(class)),
        // A certificate that is refused is an error of TLS within one of I/O.
        None => error.is_closed() || cause_of_io(error).is_some_and(|cause| !is_of_tls(cause)),
    }
}

fn cause_of_io(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref::<io::Error>())
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

/// Formats an error with the database's code and its causes.
pub(super) fn message(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} {}: {}", refusal.severity(), refusal.code().code(), refusal.message());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Returns the constraint that a statement violated, by kind.
pub(super) fn violation(failure: &Failure) -> Option<Violation> {
    let Failure::Database(error) = failure else { return None };
    match *error.code()? {
        SqlState::UNIQUE_VIOLATION => Some(Violation::Unique),
        SqlState::FOREIGN_KEY_VIOLATION => Some(Violation::ForeignKey),
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
    row.try_get(column).map_err(|error| StoreError::Corrupt(message(&error)))
}
