//! Requests about views that exist, or whose metadata does.

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
    /// What must hold of the view.
    pub requirements: Vec<ViewRequirement>,
    /// What is to change, in order.
    pub updates: Vec<ViewUpdate>,
    /// How long the body of the request was, in bytes.
    pub body_bytes: u64,
    /// What it holds, counted where it was read.
    counts: Counts,
}

impl ViewCommit {
    /// What the commit asks for, in a few words, as [`crate::commit::summary`] gives it for tables.
    #[must_use]
    pub fn summary(&self) -> serde_json::Map<String, serde_json::Value> {
        self.counts.as_json()
    }

    /// Reads the body of a request (REST specification, `CommitViewRequest`). Its `identifier` is not read: the path says
    /// which view is meant.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or holds an unknown requirement or update.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("commit", utf8(body)?)?;
        let parts = |key: &str| Ok::<_, CommitError>(object.get(key).map(array).transpose()?.unwrap_or_default());
        let requirements: Vec<_> =
            parts("requirements")?.into_iter().map(ViewRequirement::parse).collect::<Result<_, _>>()?;
        let updates: Vec<_> = parts("updates")?.into_iter().map(ViewUpdate::parse).collect::<Result<_, _>>()?;
        let required = requirements.iter().map(|ViewRequirement::ViewUuid(_)| "assert-view-uuid");
        let counts = Counts::of_kinds(updates.iter().map(ViewUpdate::action), required);
        Ok(Self { requirements, updates, body_bytes: body.len() as u64, counts })
    }
}

/// Whether all requirements hold of the view.
///
/// # Errors
/// [`CommitError::Conflict`] for the first that does not.
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

/// A request to add a view whose metadata exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterView {
    /// Its name.
    pub name: String,
    /// Where its metadata is.
    pub metadata_location: String,
}

impl RegisterView {
    /// Reads the body of a request (REST specification, `RegisterViewRequest`).
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or lacks one of the two.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("register view request", utf8(body)?)?;
        Ok(Self { name: object.string("name")?, metadata_location: object.string("metadata-location")? })
    }
}
