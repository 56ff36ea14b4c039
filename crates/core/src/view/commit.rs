//! Requests that commit to a view or register an existing metadata document.

use super::{ViewMetadata, ViewUpdate};
use crate::commit::{CommitError, Counts, utf8};
use crate::document::json::{Object, array, excerpt};

/// A condition on a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRequirement {
    /// `assert-view-uuid`
    ViewUuid(String),
}

impl ViewRequirement {
    fn parse(text: &str) -> Result<Self, CommitError> {
        let object = Object::parse("requirement", text)?;
        let kind = object.string("type")?.to_ascii_lowercase();
        match kind.as_str() {
            "assert-view-uuid" => Ok(Self::ViewUuid(object.string("uuid")?)),
            _ => Err(CommitError::bad(format!("Unknown view requirement: {}", excerpt(&kind)))),
        }
    }
}

/// A request to change a view.
#[derive(Debug, Clone)]
pub struct ViewCommit {
    /// The conditions on the view.
    pub requirements: Vec<ViewRequirement>,
    /// The changes, in order.
    pub updates: Vec<ViewUpdate>,
    /// The length of the request body, in bytes.
    pub body_bytes: u64,
    /// The counts of its updates and requirements, for the summary.
    counts: Counts,
}

impl ViewCommit {
    /// Returns a short summary of the commit, like [`crate::commit::summary`] for tables.
    #[must_use]
    pub fn summary(&self) -> serde_json::Map<String, serde_json::Value> {
        self.counts.as_json()
    }

    /// Parses the body of a request (REST specification, `CommitViewRequest`). Ignores its `identifier`: the path names the
    /// view.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or contains an unknown requirement or update.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("commit", utf8(body)?)?;
        let parts = |key: &str| Ok::<_, CommitError>(object.get(key).map(array).transpose()?.unwrap_or_default());
        let requirements: Vec<_> =
            parts("requirements")?.into_iter().map(ViewRequirement::parse).collect::<Result<_, _>>()?;
        let updates: Vec<_> = parts("updates")?.into_iter().map(ViewUpdate::parse).collect::<Result<_, _>>()?;
        let required = requirements.iter().map(|ViewRequirement::ViewUuid(_)| "assert-view-uuid");
        let counts = Counts::from_kinds(updates.iter().map(ViewUpdate::action), required);
        Ok(Self { requirements, updates, body_bytes: body.len() as u64, counts })
    }
}

/// Checks all requirements against the view.
///
/// # Errors
/// [`CommitError::Conflict`] for the first one that fails.
pub fn check_view_requirements(requirements: &[ViewRequirement], base: &ViewMetadata) -> Result<(), CommitError> {
    for ViewRequirement::ViewUuid(uuid) in requirements {
        if !base.uuid().eq_ignore_ascii_case(uuid) {
            return Err(CommitError::Conflict(format!(
                "Requirement failed: view UUID does not match: expected {} != {}",
                base.uuid(),
                excerpt(uuid)
            )));
        }
    }
    Ok(())
}

/// A request to register a view from an existing metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterView {
    /// Its name.
    pub name: String,
    /// The location of its metadata document.
    pub metadata_location: String,
}

impl RegisterView {
    /// Parses the body of a request (REST specification, `RegisterViewRequest`).
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or lacks the name or the location.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("register view request", utf8(body)?)?;
        Ok(Self { name: object.string("name")?, metadata_location: object.string("metadata-location")? })
    }
}
