//! Conversions between SQLite's values and errors and the store's.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::ffi;
use rusqlite::{Error, ErrorCode};
use tidewater_core::access::Role;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::PlanningMode;
use tidewater_core::storage::StorageProfile;
use uuid::Uuid;

use crate::store::{Properties, Resource, Result, StoreError, TableKind};

/// Converts an error without a more specific meaning: the database is damaged, or not available (locked for too long by another
/// process, full, read-only, failing).
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if is_damage(&error) { Self::Corrupt(error.to_string()) } else { Self::Unavailable(Box::new(error)) }
    }
}

/// Returns the error of a change that was certainly not made because of `error`. Several changes may share the error.
pub(super) fn not_made(error: &Arc<Error>) -> StoreError {
    let cause = Box::new(Arc::clone(error));
    match error.sqlite_error_code() {
        _ if is_damage(error) => StoreError::Corrupt(error.to_string()),
        Some(ErrorCode::DiskFull) => StoreError::Full(cause),
        _ => StoreError::NotMade(cause),
    }
}

/// Returns the error of a change whose commit failed with `error`.
///
/// A full disk, a lock, a read-only file and a constraint stop a commit before its last frame is written to the log, and SQLite
/// then undoes it. After a failed write, sync or growth of the shared memory, the log may contain the whole commit, and a
/// recovery may find it.
pub(super) fn commit_failed(error: &Arc<Error>) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::ConstraintViolation,
        ) => not_made(error),
        _ if is_damage(error) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(Box::new(Arc::clone(error))),
    }
}

/// Returns the error of a change whose own statements failed with `error` and were undone.
pub(super) fn undone(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(cause) => match cause.downcast::<Error>() {
            Ok(error) => not_made(&Arc::from(error)),
            Err(cause) => StoreError::NotMade(cause),
        },
        other => other,
    }
}

fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// A violated constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    /// A key is taken.
    Unique,
    /// The target of a reference is missing, or a row to be deleted is the target of a reference.
    ForeignKey,
}

/// Returns the constraint that a statement violated, if the caller's request can cause this violation.
pub(super) fn violation(error: &Error) -> Option<Violation> {
    let Error::SqliteFailure(failure, _) = error else { return None };
    match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => Some(Violation::Unique),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Violation::ForeignKey),
        _ => None,
    }
}

/// Returns [`StoreError::Unavailable`] with a cause outside SQLite.
pub(super) fn unavailable(cause: &'static str) -> StoreError {
    StoreError::Unavailable(cause.into())
}

/// Reads an id of any kind from its column.
pub(super) fn id<T>(kind: fn(Uuid) -> T, bytes: [u8; 16]) -> T {
    kind(Uuid::from_bytes(bytes))
}

/// Reads a count from its column, which is never negative.
pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Converts a count for its column. Larger counts become the column's maximum.
pub(super) fn bounded(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Parses a role from its column.
pub(super) fn role(text: &str) -> Result<Role> {
    Role::from_str(text).map_err(|error| StoreError::Corrupt(format!("api_key.role: {error}")))
}

/// Formats a storage profile for its column, as JSON.
pub(super) fn profile_text(profile: &StorageProfile) -> Result<String> {
    serde_json::to_string(profile).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

/// Parses a storage profile from its column.
pub(super) fn profile(text: &str) -> Result<StorageProfile> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("warehouse.profile: {error}")))
}

/// Parses a time of purges from its column.
pub(super) fn purge_time(text: &str) -> Result<PurgeTime> {
    PurgeTime::from_str(text).map_err(|error| StoreError::Corrupt(format!("warehouse.purge: {error}")))
}

pub(super) fn planning_mode(text: &str) -> Result<PlanningMode> {
    PlanningMode::from_str(text).map_err(|error| StoreError::Corrupt(format!("warehouse.scan_planning: {error}")))
}

/// Returns the text of a kind in its column.
pub(super) const fn kind_text(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
    }
}

/// Parses a kind from its column.
pub(super) fn kind(text: &str) -> Result<TableKind> {
    match text {
        "table" => Ok(TableKind::Table),
        "view" => Ok(TableKind::View),
        other => Err(StoreError::Corrupt(format!("tabular.kind: '{other}' is neither table nor view"))),
    }
}

/// Parses a namespace from its column.
pub(super) fn namespace(key: &str) -> Result<NamespaceIdent> {
    NamespaceIdent::from_key(key).map_err(|error| StoreError::Corrupt(format!("namespace.key: {error}")))
}

/// Formats properties for their column, as a JSON object.
pub(super) fn properties_text(properties: &Properties) -> Result<String> {
    serde_json::to_string(properties).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

/// Parses properties from their column.
pub(super) fn properties(text: &str) -> Result<Properties> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("namespace.properties: {error}")))
}

/// Returns the error of a failed insert: the key is taken, or the organisation does not exist.
pub(super) fn not_inserted(error: Error, what: Resource) -> StoreError {
    match violation(&error) {
        Some(Violation::Unique) => StoreError::AlreadyExists(what),
        Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Organisation),
        None => error.into(),
    }
}
