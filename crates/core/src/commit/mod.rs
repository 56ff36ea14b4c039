//! Commits to a table: what a client requires, what it changes, and what becomes of the document.
//!
//! The rules are those of the REST specification's `TableRequirement` and `TableUpdate`; where it leaves something open,
//! those of the reference implementation (Java). Where we differ from it, the function says so, and a test of that name
//! holds it.

mod apply;
mod create;
mod definitions;
mod keyed;
mod orders;
mod properties;
mod requirement;
mod schemas;
mod snapshots;
mod specs;
mod statistics;
mod summary;
mod update;

use uuid::Uuid;

pub use apply::{Outcome, apply_updates, create_from_updates};
pub use create::{CreateTable, RegisterTable, create_table};
pub use definitions::MAX_ADDED_DEFINITIONS;
pub use requirement::{TableRequirement, check_requirements};
pub(crate) use summary::Counts;
pub use summary::summary;
pub use update::TableUpdate;
pub(crate) use update::{properties_to_remove, properties_to_set, uuid_to_assign};

use crate::document::DocumentError;
use crate::document::json::Object;
use crate::stop::{Stop, Stopped};

/// Why a commit is refused. The text is the `error.message` that the client reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The request is malformed or breaks a rule: repeating it cannot help. HTTP 400, `BadRequestException`.
    #[error("{0}")]
    BadRequest(String),
    /// The request can be read, but what it asks for breaks a rule of views. The Java client gives it to its caller as the
    /// same exception as its own checks. HTTP 400, `IllegalArgumentException`.
    #[error("{0}")]
    IllegalArgument(String),
    /// The table is not as the client believes: it must load it again. HTTP 409, `CommitFailedException`.
    #[error("{0}")]
    Conflict(String),
    /// The caller stopped the work.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl CommitError {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::BadRequest(message.into())
    }

    /// The values in the request are older than the table, as the reference implementation words it.
    pub(crate) fn stale(message: &str) -> Self {
        Self::Conflict(format!("Validation failed, please retry: {message}"))
    }
}

impl From<DocumentError> for CommitError {
    fn from(error: DocumentError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// What a commit needs besides the request and the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// The id of a new table, or of an old one that has none.
    pub table_uuid: Uuid,
    /// Where the document is that the commit replaces; it enters the metadata log.
    pub previous_metadata_location: Option<&'a str>,
    /// Whether the commit is still wanted.
    pub stop: Stop<'a>,
}

/// The table that a commit in a transaction is meant for, as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct CommitIdentifier {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
}

/// A request to commit to one table.
#[derive(Debug, Clone)]
pub struct TableCommit {
    /// What must hold of the table.
    pub requirements: Vec<TableRequirement>,
    /// What is to change, in order.
    pub updates: Vec<TableUpdate>,
    /// The table, which in a transaction only the request names.
    pub identifier: Option<CommitIdentifier>,
    /// How long the JSON was that it was read from, in bytes.
    pub body_bytes: u64,
    /// What it holds, counted where it was read: that looks at each update.
    pub(crate) counts: Counts,
}

impl TableCommit {
    /// Reads the body of a commit to one table.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or holds an unknown requirement or update.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        Self::parse_until(body, Stop::NEVER)
    }

    /// Reads the body of a commit to one table, as long as that is wanted.
    ///
    /// # Errors
    /// As [`TableCommit::parse`]; [`CommitError::Stopped`].
    pub fn parse_until(body: &[u8], stop: Stop<'_>) -> Result<Self, CommitError> {
        Self::read(utf8(body)?, stop)
    }

    /// Reads the body of a transaction: commits to several tables, each with its identifier.
    ///
    /// # Errors
    /// As [`TableCommit::parse`], and when there is no commit, or one does not name its table.
    pub fn parse_transaction(body: &[u8]) -> Result<Vec<Self>, CommitError> {
        Self::parse_transaction_until(body, Stop::NEVER)
    }

    /// Reads the body of a transaction, as long as that is wanted.
    ///
    /// # Errors
    /// As [`TableCommit::parse_transaction`]; [`CommitError::Stopped`].
    pub fn parse_transaction_until(body: &[u8], stop: Stop<'_>) -> Result<Vec<Self>, CommitError> {
        let object = Object::parse("transaction", utf8(body)?)?;
        let changes = object.array("table-changes")?.into_iter();
        let commits = changes.map(|change| Self::read(change, stop)).collect::<Result<Vec<Self>, CommitError>>()?;
        if commits.is_empty() {
            return Err(CommitError::bad("Invalid transaction: its table-changes are empty"));
        }
        if commits.iter().any(|commit| commit.identifier.is_none()) {
            return Err(CommitError::bad("Invalid transaction: each of its table-changes needs an identifier"));
        }
        Ok(commits)
    }

    /// Whether it creates the table, which must not exist (the last step of a staged create).
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.requirements.contains(&TableRequirement::TableDoesNotExist)
    }

    fn read(text: &str, stop: Stop<'_>) -> Result<Self, CommitError> {
        let object = Object::parse("commit", text)?;
        // Absent or null counts as empty, as in the reference implementation.
        let parts = |key: &str| object.optional_array(key).map(Option::unwrap_or_default);
        let requirements =
            parts("requirements")?.into_iter().map(TableRequirement::parse).collect::<Result<Vec<_>, _>>()?;
        let update = |text| {
            stop.check()?;
            TableUpdate::parse(text)
        };
        let updates = parts("updates")?.into_iter().map(update).collect::<Result<Vec<_>, CommitError>>()?;
        let identifier = object.optional_read("identifier", "an object with namespace and name")?;
        let (body_bytes, counts) = (text.len() as u64, Counts::of(&requirements, &updates));
        let commit = Self { requirements, updates, identifier, body_bytes, counts };
        if commit.is_create() && commit.requirements.iter().any(|one| *one != TableRequirement::TableDoesNotExist) {
            return Err(CommitError::bad(
                "Invalid create requirements: assert-create cannot stand with another requirement",
            ));
        }
        Ok(commit)
    }
}

pub(crate) fn utf8(body: &[u8]) -> Result<&str, CommitError> {
    std::str::from_utf8(body).map_err(|error| CommitError::bad(format!("Malformed request: not UTF-8: {error}")))
}
