//! The requirements of a commit: conditions that must hold before a table changes.

use super::CommitError;
use crate::document::TableMetadata;
use crate::document::json::{Object, excerpt};

/// A condition on the table. Clients match the texts of its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableRequirement {
    /// `assert-create`
    TableDoesNotExist,
    /// `assert-table-uuid`
    TableUuid(String),
    /// `assert-ref-snapshot-id`; `None` means that the ref must not exist.
    RefSnapshotId {
        /// The branch or tag.
        name: String,
        /// The snapshot that the ref must point to.
        snapshot_id: Option<i64>,
    },
    /// `assert-last-assigned-field-id`
    LastAssignedFieldId(i32),
    /// `assert-current-schema-id`
    CurrentSchemaId(i32),
    /// `assert-last-assigned-partition-id`
    LastAssignedPartitionId(i32),
    /// `assert-default-spec-id`
    DefaultSpecId(i32),
    /// `assert-default-sort-order-id`
    DefaultSortOrderId(i32),
}

impl TableRequirement {
    /// Returns the requirement's `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TableDoesNotExist => "assert-create",
            Self::TableUuid(..) => "assert-table-uuid",
            Self::RefSnapshotId { .. } => "assert-ref-snapshot-id",
            Self::LastAssignedFieldId(..) => "assert-last-assigned-field-id",
            Self::CurrentSchemaId(..) => "assert-current-schema-id",
            Self::LastAssignedPartitionId(..) => "assert-last-assigned-partition-id",
            Self::DefaultSpecId(..) => "assert-default-spec-id",
            Self::DefaultSortOrderId(..) => "assert-default-sort-order-id",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, CommitError> {
        let object = Object::parse("requirement", text)?;
        let kind = object.string("type")?.to_ascii_lowercase();
        Ok(match kind.as_str() {
            "assert-create" => Self::TableDoesNotExist,
            "assert-table-uuid" => Self::TableUuid(object.string("uuid")?),
            "assert-ref-snapshot-id" => {
                Self::RefSnapshotId { name: object.string("ref")?, snapshot_id: object.optional_i64("snapshot-id")? }
            }
            "assert-last-assigned-field-id" => Self::LastAssignedFieldId(object.i32("last-assigned-field-id")?),
            "assert-current-schema-id" => Self::CurrentSchemaId(object.i32("current-schema-id")?),
            "assert-last-assigned-partition-id" => {
                Self::LastAssignedPartitionId(object.i32("last-assigned-partition-id")?)
            }
            "assert-default-spec-id" => Self::DefaultSpecId(object.i32("default-spec-id")?),
            "assert-default-sort-order-id" => Self::DefaultSortOrderId(object.i32("default-sort-order-id")?),
            _ => return Err(CommitError::bad(format!("Unknown table requirement: {}", excerpt(&kind)))),
        })
    }

    fn check(&self, base: &TableMetadata) -> Result<(), String> {
        let same = |what: &str, expected: i32, found: i32| {
            if expected == found { Ok(()) } else { Err(format!("{what} changed: expected id {expected} != {found}")) }
        };
        match self {
            Self::TableDoesNotExist => Err("table already exists".to_owned()),
            Self::TableUuid(uuid) => match base.uuid() {
                Some(found) if found.eq_ignore_ascii_case(uuid) => Ok(()),
                found => Err(format!("UUID does not match: expected {} != {}", found.unwrap_or("none"), excerpt(uuid))),
            },
            Self::RefSnapshotId { name, snapshot_id } => match (base.refs().get(name), snapshot_id) {
                (None, None) => Ok(()),
                (None, Some(id)) => Err(format!("branch or tag {name} is missing, expected {id}")),
                (Some(found), None) => Err(format!("{} {name} was created concurrently", found.kind)),
                (Some(found), Some(id)) if found.snapshot_id == *id => Ok(()),
                (Some(found), Some(id)) => {
                    Err(format!("{} {name} has changed: expected id {id} != {}", found.kind, found.snapshot_id))
                }
            },
            Self::LastAssignedFieldId(id) => same("last assigned field id", *id, base.last_column_id()),
            Self::CurrentSchemaId(id) => same("current schema", *id, base.current_schema_id()),
            Self::LastAssignedPartitionId(id) => same("last assigned partition id", *id, base.last_partition_id()),
            Self::DefaultSpecId(id) => same("default partition spec", *id, base.default_spec_id()),
            Self::DefaultSortOrderId(id) => same("default sort order", *id, base.default_sort_order_id()),
        }
    }
}

/// Checks all requirements against the table, or against `None` for a table that does not exist.
///
/// # Errors
/// [`CommitError::Conflict`] for the first one that fails.
pub fn check_requirements(requirements: &[TableRequirement], base: Option<&TableMetadata>) -> Result<(), CommitError> {
    for requirement in requirements {
        let checked = match (base, requirement) {
            (Some(base), _) => requirement.check(base),
            (None, TableRequirement::TableDoesNotExist) => Ok(()),
            (None, _) => Err("table does not exist".to_owned()),
        };
        checked.map_err(|why| CommitError::Conflict(format!("Requirement failed: {why}")))?;
    }
    Ok(())
}
