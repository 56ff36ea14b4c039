//! Snapshots: what rules need of them. The rest of a snapshot is never read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::DocumentError;
use super::json::{Object, view};

/// What older writers give as the current snapshot's id where there is none; no snapshot's own.
pub const NO_SNAPSHOT_ID: i64 = -1;

/// What rules need of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: i64,
    /// The snapshot that it was made from.
    pub parent_id: Option<i64>,
    /// Its place in the order of the table's changes; 0 in format v1.
    pub sequence_number: i64,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The schema that was current then.
    pub schema_id: Option<i32>,
    /// The row id of its first added row (v3).
    pub first_row_id: Option<i64>,
    /// How many rows it assigns ids to (v3).
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
    /// Reads a snapshot.
    ///
    /// # Errors
    /// When it lacks its id, time or manifests, or a number is negative that cannot be.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
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
        Ok(Self {
            id,
            parent_id: view.parent_snapshot_id,
            sequence_number: view.sequence_number.unwrap_or(0),
            timestamp_ms: view.timestamp_ms,
            schema_id: view.schema_id,
            first_row_id: view.first_row_id,
            added_rows: view.added_rows,
        })
    }

    /// The JSON of a new snapshot as it is kept: without a `parent-snapshot-id` of null, which the reference
    /// implementation cannot read.
    pub(crate) fn json_to_keep(text: &str) -> Result<String, DocumentError> {
        let object = Object::parse("snapshot", text)?;
        match object.raw("parent-snapshot-id") {
            Some("null") => Ok(object.rewrite(&[("parent-snapshot-id", None)])),
            _ => Ok(text.to_owned()),
        }
    }
}
