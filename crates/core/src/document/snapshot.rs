//! Snapshots: the fields that rules need, and the specification's rules for new ones. The rest is never parsed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Edits, Object, view, without_nulls};
use super::{DocumentError, Properties};

/// The operations of a snapshot (specification, "Snapshots"). Some readers refuse the whole table for any other.
const OPERATIONS: [&str; 4] = ["append", "replace", "overwrite", "delete"];

/// The optional fields of a snapshot.
const OPTIONAL: [&str; 9] = [
    "parent-snapshot-id",
    "sequence-number",
    "summary",
    "manifest-list",
    "manifests",
    "schema-id",
    "first-row-id",
    "added-rows",
    "key-id",
];

/// The id that older writers use for "no current snapshot". No snapshot has it.
pub const NO_SNAPSHOT_ID: i64 = -1;

/// The fields of a snapshot that rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: i64,
    /// The id of the snapshot before it.
    pub parent_id: Option<i64>,
    /// Its position in the order of the table's changes; 0 in format v1.
    pub sequence_number: i64,
    /// The time of its creation, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The id of the schema that was current then.
    pub schema_id: Option<i32>,
    /// The row id of its first added row (v3).
    pub first_row_id: Option<i64>,
    /// The number of rows to which it assigns ids (v3).
    pub added_rows: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct View<'a> {
    snapshot_id: i64,
    parent_snapshot_id: Option<i64>,
    sequence_number: Option<i64>,
    timestamp_ms: i64,
    schema_id: Option<i32>,
    first_row_id: Option<i64>,
    added_rows: Option<i64>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    manifest_list: Option<&'a RawValue>,
    #[serde(borrow)]
    manifests: Option<&'a RawValue>,
}

impl Snapshot {
    /// Parses a snapshot. Removes optional fields that are null, which the reference implementation cannot read.
    ///
    /// # Errors
    /// Fails if it lacks its id, time or manifests, or has a negative number where none is allowed.
    pub(crate) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let view: View<'_> = view("snapshot", text)?;
        let id = view.snapshot_id;
        let refuse = |why: &str| Err(DocumentError::invalid(format!("Invalid snapshot {id}: {why}")));
        if view.summary.is_some_and(|summary| !summary.get().starts_with('{')) {
            return refuse("its summary is not an object");
        }
        match (view.manifest_list, view.manifests) {
            (Some(list), _) if list.get().starts_with('"') => {}
            (None, Some(list)) if list.get().starts_with('[') => {}
            _ => return refuse("it needs a 'manifest-list' (or, in v1, 'manifests')"),
        }
        if view.first_row_id.is_some_and(|row| row < 0) {
            return refuse("Invalid first-row-id (cannot be negative)");
        }
        if view.added_rows.is_some_and(|rows| rows < 0) {
            return refuse("Invalid added-rows (cannot be negative)");
        }
        if view.first_row_id.is_some() && view.added_rows.is_none() {
            return refuse("Invalid added-rows (required when first-row-id is set)");
        }
        let snapshot = Self {
            id,
            parent_id: view.parent_snapshot_id,
            sequence_number: view.sequence_number.unwrap_or(0),
            timestamp_ms: view.timestamp_ms,
            schema_id: view.schema_id,
            first_row_id: view.first_row_id,
            added_rows: view.added_rows,
        };
        Ok((snapshot, without_nulls("snapshot", text, &OPTIONAL)?))
    }

    /// Returns the JSON of a new snapshot to store: without nulls, and with a known operation in lower case.
    pub(crate) fn json_to_keep(text: &str) -> Result<String, DocumentError> {
        let object = Object::parse("snapshot", text)?;
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &OPTIONAL);
        if let Some(text) = object.get("summary") {
            let summary = Object::parse("snapshot summary", text)?;
            let nulls: Vec<&str> = summary.iter().filter(|(_, value)| *value == "null").map(|(key, _)| key).collect();
            let mut changes = Edits::default();
            changes.drop_nulls(&summary, &nulls);
            if let Ok(Some(operation)) = summary.optional_string("operation") {
                let lower = operation.trim().to_ascii_lowercase();
                if OPERATIONS.contains(&lower.as_str()) {
                    changes.correct_string("operation", &operation, &lower);
                }
            }
            edits.correct(&object, "summary", changes.apply(&summary, text));
        }
        Ok(edits.apply(&object, text).into_owned())
    }

    /// Returns the text of a v1 snapshot for v2 and later, if it must change. Adds the sequence number 0 and a summary;
    /// readers assume the operation `overwrite` if there is none.
    ///
    /// # Errors
    /// Fails if it lists its manifests itself, which only v1 allows.
    pub(crate) fn upgraded(text: &str) -> Result<Option<String>, DocumentError> {
        let object = Object::parse("snapshot", text)?;
        if object.get("manifest-list").is_none() {
            let id = object.i64("snapshot-id")?;
            return Err(DocumentError::invalid(format!(
                "snapshot {id} names its manifests itself, which only v1 allows: write to the table, and expire that snapshot"
            )));
        }
        let mut edits = Edits::default();
        if object.get("sequence-number").is_none() {
            edits.set("sequence-number", "0".to_owned());
        }
        if object.get("summary").is_none() {
            edits.set("summary", r#"{"operation":"overwrite"}"#.to_owned());
        }
        Ok(match edits.apply(&object, text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(upgraded) => Some(upgraded),
        })
    }

    /// Returns why a table of this format version cannot have the snapshot in `text` (specification, "Snapshots").
    ///
    /// A snapshot from before an upgrade may lack fields that only later versions require; for these, `is_new` is `false`.
    pub(crate) fn problem(text: &str, format_version: u8, is_new: bool) -> Option<String> {
        Self::check(text, format_version, is_new).err().map(|error| error.to_string())
    }

    fn check(text: &str, format_version: u8, is_new: bool) -> Result<(), DocumentError> {
        let object = Object::parse("snapshot", text)?;
        let id = object.i64("snapshot-id")?;
        let refuse = |why: &str| Err(DocumentError::invalid(format!("Invalid snapshot {id}: {why}")));
        if id == NO_SNAPSHOT_ID {
            return refuse("this id means that there is no snapshot");
        }
        if object.optional_i64("parent-snapshot-id")? == Some(id) {
            return refuse("it is its own parent");
        }
        object.optional_string("key-id")?;
        let manifests = object.optional_read::<Vec<String>>("manifests", "an array of strings")?;
        match object.optional_string("manifest-list")? {
            Some(_) if manifests.is_some() => return refuse("it has both a manifest-list and manifests"),
            Some(list) if list.is_empty() => return refuse("its manifest-list is empty"),
            Some(_) => {}
            None if format_version > 1 => return refuse("it needs a 'manifest-list' from v2 on"),
            None => {}
        }
        if format_version > 1 {
            object.required("summary")?;
        }
        if is_new && format_version > 1 {
            object.i64("sequence-number")?;
        }
        let Some(summary) = object.get("summary") else { return Ok(()) };
        Object::parse("snapshot summary", summary)?;
        let Ok(summary) = serde_json::from_str::<Properties>(summary) else {
            return refuse("its summary is not a map of strings");
        };
        match summary.get("operation").map(String::as_str) {
            Some(operation) if OPERATIONS.contains(&operation) => Ok(()),
            Some(operation) => refuse(&format!(
                "its operation '{}' is not one of {}",
                super::json::excerpt(operation),
                OPERATIONS.join(", ")
            )),
            None if is_new => refuse("its summary has no operation"),
            // `tolerated` reports it.
            None => Ok(()),
        }
    }

    /// Returns the broken rule of the snapshot in `text` that Java, PyIceberg and Go accept on purpose: old writers omitted
    /// the operation.
    pub(crate) fn tolerated(text: &str) -> Option<String> {
        let object = Object::parse("snapshot", text).ok()?;
        let summary = Object::parse("snapshot summary", object.get("summary")?).ok()?;
        let id = object.i64("snapshot-id").ok()?;
        summary
            .get("operation")
            .is_none()
            .then(|| format!("Snapshot {id}: its summary has no operation, for which readers take 'overwrite'"))
    }
}
