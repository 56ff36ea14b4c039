//! The changes that a commit makes to a table.

use uuid::Uuid;

use super::CommitError;
use crate::document::json::{Object, excerpt};
use crate::document::{
    EncryptionKey, PartitionSpec, PartitionStatistics, Properties, Schema, Snapshot, SnapshotRef, SortOrder, Statistics,
};

/// One change to a table. `json` fields hold the object as text, in the specification's spelling.
#[derive(Debug, Clone)]
pub enum TableUpdate {
    /// `assign-uuid`
    AssignUuid(Uuid),
    /// `upgrade-format-version`
    UpgradeFormatVersion(i32),
    /// `add-schema`. Its deprecated `last-column-id` is ignored and computed.
    AddSchema(Box<Schema>),
    /// `set-current-schema`; -1 means the schema added last.
    SetCurrentSchema(i32),
    /// `add-spec`
    AddSpec(PartitionSpec),
    /// `set-default-spec`; -1 means the spec added last.
    SetDefaultSpec(i32),
    /// `add-sort-order`
    AddSortOrder(SortOrder),
    /// `set-default-sort-order`; -1 means the order added last.
    SetDefaultSortOrder(i32),
    /// `add-snapshot`
    AddSnapshot {
        /// The fields that rules need.
        snapshot: Box<Snapshot>,
        /// The complete object.
        json: String,
    },
    /// `set-snapshot-ref`
    SetSnapshotRef {
        /// The branch or tag.
        name: String,
        /// Its new value.
        reference: Box<SnapshotRef>,
    },
    /// `remove-snapshots`
    RemoveSnapshots(Vec<i64>),
    /// `remove-snapshot-ref`
    RemoveSnapshotRef(String),
    /// `set-location`
    SetLocation(String),
    /// `set-properties`
    SetProperties(Properties),
    /// `remove-properties`
    RemoveProperties(Vec<String>),
    /// `set-statistics`
    SetStatistics {
        /// The fields that rules need.
        statistics: Statistics,
        /// The complete object.
        json: String,
    },
    /// `remove-statistics`, by snapshot id.
    RemoveStatistics(i64),
    /// `set-partition-statistics`
    SetPartitionStatistics {
        /// The fields that rules need.
        statistics: PartitionStatistics,
        /// The complete object.
        json: String,
    },
    /// `remove-partition-statistics`, by snapshot id.
    RemovePartitionStatistics(i64),
    /// `remove-partition-specs`
    RemovePartitionSpecs(Vec<i32>),
    /// `remove-schemas`
    RemoveSchemas(Vec<i32>),
    /// `add-encryption-key`
    AddEncryptionKey {
        /// The fields that rules need.
        key: EncryptionKey,
        /// The complete object.
        json: String,
    },
    /// `remove-encryption-key`
    RemoveEncryptionKey(String),
}

impl TableUpdate {
    /// Returns the update's `action`.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::AssignUuid(..) => "assign-uuid",
            Self::UpgradeFormatVersion(..) => "upgrade-format-version",
            Self::AddSchema(..) => "add-schema",
            Self::SetCurrentSchema(..) => "set-current-schema",
            Self::AddSpec(..) => "add-spec",
            Self::SetDefaultSpec(..) => "set-default-spec",
            Self::AddSortOrder(..) => "add-sort-order",
            Self::SetDefaultSortOrder(..) => "set-default-sort-order",
            Self::AddSnapshot { .. } => "add-snapshot",
            Self::SetSnapshotRef { .. } => "set-snapshot-ref",
            Self::RemoveSnapshots(..) => "remove-snapshots",
            Self::RemoveSnapshotRef(..) => "remove-snapshot-ref",
            Self::SetLocation(..) => "set-location",
            Self::SetProperties(..) => "set-properties",
            Self::RemoveProperties(..) => "remove-properties",
            Self::SetStatistics { .. } => "set-statistics",
            Self::RemoveStatistics(..) => "remove-statistics",
            Self::SetPartitionStatistics { .. } => "set-partition-statistics",
            Self::RemovePartitionStatistics(..) => "remove-partition-statistics",
            Self::RemovePartitionSpecs(..) => "remove-partition-specs",
            Self::RemoveSchemas(..) => "remove-schemas",
            Self::AddEncryptionKey { .. } => "add-encryption-key",
            Self::RemoveEncryptionKey(..) => "remove-encryption-key",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, CommitError> {
        let object = Object::parse("update", text)?;
        let action = object.string("action")?.to_ascii_lowercase();
        Self::read(&action, &object)?
            .ok_or_else(|| CommitError::bad(format!("Unknown table update: {}", excerpt(&action))))
    }

    fn read(action: &str, object: &Object<'_>) -> Result<Option<Self>, CommitError> {
        Ok(Some(match action {
            "assign-uuid" => Self::AssignUuid(uuid_to_assign(object)?),
            "upgrade-format-version" => Self::UpgradeFormatVersion(object.i32("format-version")?),
            "add-schema" => Self::AddSchema(Box::new(Schema::parse(object.required("schema")?)?)),
            "set-current-schema" => Self::SetCurrentSchema(object.i32("schema-id")?),
            "add-spec" => Self::AddSpec(PartitionSpec::parse(object.required("spec")?)?),
            "set-default-spec" => Self::SetDefaultSpec(object.i32("spec-id")?),
            "add-sort-order" => Self::AddSortOrder(SortOrder::parse(object.required("sort-order")?)?),
            "set-default-sort-order" => Self::SetDefaultSortOrder(object.i32("sort-order-id")?),
            "set-location" => Self::SetLocation(object.string("location")?),
            "set-properties" => Self::SetProperties(properties_to_set(object)?),
            "remove-properties" => Self::RemoveProperties(properties_to_remove(object)?),
            "remove-partition-specs" => Self::RemovePartitionSpecs(object.read("spec-ids", "an array of ids")?),
            "remove-schemas" => Self::RemoveSchemas(object.read("schema-ids", "an array of ids")?),
            _ => return Self::read_of_snapshots(action, object),
        }))
    }

    fn read_of_snapshots(action: &str, object: &Object<'_>) -> Result<Option<Self>, CommitError> {
        Ok(Some(match action {
            "add-snapshot" => {
                let text = object.required("snapshot")?;
                let (snapshot, _) = Snapshot::parse(text)?;
                Self::AddSnapshot { snapshot: Box::new(snapshot), json: Snapshot::json_to_keep(text)? }
            }
            "set-snapshot-ref" => Self::SetSnapshotRef {
                name: object.string("ref-name")?,
                reference: Box::new(SnapshotRef::from_update(object)?),
            },
            "remove-snapshots" => Self::RemoveSnapshots(object.read("snapshot-ids", "an array of snapshot ids")?),
            "remove-snapshot-ref" => Self::RemoveSnapshotRef(object.string("ref-name")?),
            "set-statistics" => {
                let json = object.required("statistics")?;
                let (statistics, json) = Statistics::parse(json)?;
                Self::SetStatistics { statistics, json: json.into_owned() }
            }
            "remove-statistics" => Self::RemoveStatistics(object.i64("snapshot-id")?),
            "set-partition-statistics" => {
                let json = object.required("partition-statistics")?;
                let (statistics, json) = PartitionStatistics::parse(json)?;
                Self::SetPartitionStatistics { statistics, json: json.into_owned() }
            }
            "remove-partition-statistics" => Self::RemovePartitionStatistics(object.i64("snapshot-id")?),
            "add-encryption-key" => {
                let json = object.required("encryption-key")?;
                let (key, json) = EncryptionKey::parse(json)?;
                Self::AddEncryptionKey { key, json: json.into_owned() }
            }
            "remove-encryption-key" => Self::RemoveEncryptionKey(object.string("key-id")?),
            _ => return Ok(None),
        }))
    }
}

/// Reads the UUID of `assign-uuid`.
pub(crate) fn uuid_to_assign(object: &Object<'_>) -> Result<Uuid, CommitError> {
    let uuid = object.string("uuid")?;
    Uuid::parse_str(&uuid).map_err(|_| CommitError::bad(format!("Invalid UUID: {}", excerpt(&uuid))))
}

/// Reads the properties of `set-properties`. Clients before 1.0 of the specification call the field `updated`.
pub(crate) fn properties_to_set(object: &Object<'_>) -> Result<Properties, CommitError> {
    let legacy = object.raw("updates").is_none() && object.raw("updated").is_some();
    Ok(object.read(if legacy { "updated" } else { "updates" }, "a map of strings")?)
}

/// Reads the keys of `remove-properties`. Clients before 1.0 of the specification call the field `removed`.
pub(crate) fn properties_to_remove(object: &Object<'_>) -> Result<Vec<String>, CommitError> {
    let legacy = object.raw("removals").is_none() && object.raw("removed").is_some();
    Ok(object.read(if legacy { "removed" } else { "removals" }, "an array of strings")?)
}
