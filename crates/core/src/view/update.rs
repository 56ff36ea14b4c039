//! The changes that a commit makes to a view.

use uuid::Uuid;

use super::ViewVersion;
use crate::commit::{CommitError, properties_to_remove, properties_to_set, uuid_to_assign};
use crate::document::json::{Object, excerpt};
use crate::document::{Properties, Schema};

/// One change to a view.
#[derive(Debug, Clone)]
pub enum ViewUpdate {
    /// `assign-uuid`
    AssignUuid(Uuid),
    /// `upgrade-format-version`
    UpgradeFormatVersion(i32),
    /// `add-schema`; its own id is ignored.
    AddSchema(Box<Schema>),
    /// `set-location`
    SetLocation(String),
    /// `set-properties`
    SetProperties(Properties),
    /// `remove-properties`
    RemoveProperties(Vec<String>),
    /// `add-view-version`; schema -1 means the schema added last.
    AddViewVersion(Box<ViewVersion>),
    /// `set-current-view-version`; -1 means the version added last.
    SetCurrentViewVersion(i32),
}

impl ViewUpdate {
    /// Returns the update's `action`.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::AssignUuid(..) => "assign-uuid",
            Self::UpgradeFormatVersion(..) => "upgrade-format-version",
            Self::AddSchema(..) => "add-schema",
            Self::SetLocation(..) => "set-location",
            Self::SetProperties(..) => "set-properties",
            Self::RemoveProperties(..) => "remove-properties",
            Self::AddViewVersion(..) => "add-view-version",
            Self::SetCurrentViewVersion(..) => "set-current-view-version",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, CommitError> {
        let object = Object::parse("update", text)?;
        let action = object.string("action")?.to_ascii_lowercase();
        Ok(match action.as_str() {
            "assign-uuid" => Self::AssignUuid(uuid_to_assign(&object)?),
            "upgrade-format-version" => Self::UpgradeFormatVersion(object.i32("format-version")?),
            "add-schema" => Self::AddSchema(Box::new(Schema::parse(object.required("schema")?)?)),
            "set-location" => Self::SetLocation(object.string("location")?),
            "set-properties" => Self::SetProperties(properties_to_set(&object)?),
            "remove-properties" => Self::RemoveProperties(properties_to_remove(&object)?),
            "add-view-version" => Self::AddViewVersion(Box::new(ViewVersion::parse(object.required("view-version")?)?)),
            "set-current-view-version" => Self::SetCurrentViewVersion(object.i32("view-version-id")?),
            _ => return Err(CommitError::bad(format!("Unknown view update: {}", excerpt(&action)))),
        })
    }
}
