//! Commits to a table: requirements, updates, and the new document.
//!
//! The rules are those of the REST specification's `TableRequirement` and `TableUpdate`. Where it leaves a question open,
//! the rule of the reference implementation (Java) applies. Each function documents its differences, and a test covers
//! them.

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

/// Why a commit is refused. The text is the `error.message` of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The request is malformed or breaks a rule. A retry does not help. HTTP 400, `BadRequestException`.
    #[error("{0}")]
    BadRequest(String),
    /// The request is well-formed but breaks a rule of views. The Java client throws the same exception as its own checks do.
    /// HTTP 400, `IllegalArgumentException`.
    #[error("{0}")]
    IllegalArgument(String),
    /// The table differs from the client's copy, which must load it again. HTTP 409, `CommitFailedException`.
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

    /// Creates the error for values older than the table's, in the words of the reference implementation.
    pub(crate) fn stale(message: &str) -> Self {
        Self::Conflict(format!("Validation failed, please retry: {message}"))
    }
}

impl From<DocumentError> for CommitError {
    fn from(error: DocumentError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// The facts that a commit needs besides the request and the document.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// The id of a new table, or of an existing table without one.
    pub table_uuid: Uuid,
    /// The location of the replaced document, which enters the metadata log.
    pub previous_metadata_location: Option<&'a str>,
    /// Stops the commit early.
    pub stop: Stop<'a>,
}

/// The table of a commit in a transaction, as the client wrote it.
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
    /// The conditions on the table.
    pub requirements: Vec<TableRequirement>,
    /// The changes, in order.
    pub updates: Vec<TableUpdate>,
    /// The table. Only the parts of a transaction name it; otherwise the path does.
    pub identifier: Option<CommitIdentifier>,
    /// The length of the commit's JSON, in bytes.
    pub body_bytes: u64,
    /// The counts of its updates and requirements, for the summary.
    pub(crate) counts: Counts,
}

impl TableCommit {
    /// Parses the body of a commit to one table.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or contains an unknown requirement or update.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        Self::parse_until(body, Stop::NEVER)
    }

    /// Parses the body of a commit to one table, until `stop` ends the work.
    ///
    /// # Errors
    /// Same as [`TableCommit::parse`]; [`CommitError::Stopped`].
    pub fn parse_until(body: &[u8], stop: Stop<'_>) -> Result<Self, CommitError> {
        Self::read(utf8(body)?, stop)
    }

    /// Parses the body of a transaction: commits to several tables, each with its identifier.
    ///
    /// # Errors
    /// Same as [`TableCommit::parse`], and if there is no commit, or a commit does not name its table.
    pub fn parse_transaction(body: &[u8]) -> Result<Vec<Self>, CommitError> {
        Self::parse_transaction_until(body, Stop::NEVER)
    }

    /// Parses the body of a transaction, until `stop` ends the work.
    ///
    /// # Errors
    /// Same as [`TableCommit::parse_transaction`]; [`CommitError::Stopped`].
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

    /// Creates a commit that the catalog makes by itself. `body_bytes` is about the length that its JSON would have.
    #[must_use]
    pub fn from_updates(requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>, body_bytes: u64) -> Self {
        let counts = Counts::from_commit(&requirements, &updates);
        Self { requirements, updates, identifier: None, body_bytes, counts }
    }

    /// Returns whether the commit creates the table (the last step of a staged create).
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.requirements.contains(&TableRequirement::TableDoesNotExist)
    }

    fn read(text: &str, stop: Stop<'_>) -> Result<Self, CommitError> {
        let object = Object::parse("commit", text)?;
        // Absent and null mean empty, as in the reference implementation.
        let parts = |key: &str| object.optional_array(key).map(Option::unwrap_or_default);
        let requirements =
            parts("requirements")?.into_iter().map(TableRequirement::parse).collect::<Result<Vec<_>, _>>()?;
        let update = |text| {
            stop.check()?;
            TableUpdate::parse(text)
        };
        let updates = parts("updates")?.into_iter().map(update).collect::<Result<Vec<_>, CommitError>>()?;
        let identifier = object.optional_read("identifier", "an object with namespace and name")?;
        let (body_bytes, counts) = (text.len() as u64, Counts::from_commit(&requirements, &updates));
        let commit = Self { requirements, updates, identifier, body_bytes, counts };
        if commit.is_create() && commit.requirements.iter().any(|one| *one != TableRequirement::TableDoesNotExist) {
            return Err(CommitError::bad(
                "Invalid create requirements: assert-create cannot be combined with another requirement",
            ));
        }
        Ok(commit)
    }
}

pub(crate) fn utf8(body: &[u8]) -> Result<&str, CommitError> {
    std::str::from_utf8(body).map_err(|error| CommitError::bad(format!("Malformed request: not UTF-8: {error}")))
}
