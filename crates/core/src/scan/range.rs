//! Which snapshots and which schema a scan reads.

use std::collections::HashMap;

use super::request::SnapshotRange;
use crate::document::json::Object;
use crate::document::{Element, Schema, Snapshot, TableMetadata};

/// Why a table has no such scan. The message is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The table has no such snapshot.
    #[error("Cannot find snapshot with ID {0}")]
    UnknownSnapshot(i64),
    /// The snapshot before the first is not before the last.
    #[error("Starting snapshot (exclusive) {after} is not a parent ancestor of end snapshot {until}")]
    NotAnAncestor {
        /// The id of the snapshot before the first.
        after: i64,
        /// The id of the last snapshot.
        until: i64,
    },
    /// The document has no current schema.
    #[error("The table has no schema with ID {0}")]
    UnknownSchema(i32),
}

/// What a scan reads.
#[derive(Debug)]
pub struct ScanSource<'a> {
    /// The snapshots.
    pub snapshots: SourceSnapshots<'a>,
    /// The schema that names of columns belong to.
    pub schema: &'a Schema,
}

/// The snapshots that a scan reads.
#[derive(Debug)]
pub enum SourceSnapshots<'a> {
    /// None: the table has no current snapshot.
    Empty,
    /// The files of one snapshot, and its deletes.
    At(Element<'a, Snapshot>),
    /// The data files that these snapshots added, the newest first; without deletes. These are the entries with status `added`
    /// and one of these snapshot ids, in the manifests that one of these snapshots added.
    Appended(Vec<Element<'a, Snapshot>>),
}

/// Finds the snapshots and the schema of a scan.
///
/// # Errors
/// Fails if the table does not have the snapshots, or not in this order.
pub fn resolve(
    range: SnapshotRange,
    use_snapshot_schema: bool,
    table: &TableMetadata,
) -> Result<ScanSource<'_>, RangeError> {
    let find = |id| table.snapshot(id).ok_or(RangeError::UnknownSnapshot(id));
    let (last, snapshots) = match range {
        SnapshotRange::Current => match table.current_snapshot_id() {
            None => (None, SourceSnapshots::Empty),
            Some(id) => (Some(find(id)?), SourceSnapshots::At(find(id)?)),
        },
        SnapshotRange::At(id) => (Some(find(id)?), SourceSnapshots::At(find(id)?)),
        SnapshotRange::Appended { after, until } => {
            (Some(find(until)?), SourceSnapshots::Appended(appends(after, find(until)?, table)?))
        }
    };
    let named = last.filter(|_| use_snapshot_schema).and_then(|snapshot| snapshot.schema_id);
    let schema = named.and_then(|id| table.schema(id)).or_else(|| table.schema(table.current_schema_id()));
    let schema = schema.ok_or(RangeError::UnknownSchema(table.current_schema_id()))?;
    Ok(ScanSource { snapshots, schema })
}

/// Returns the append snapshots from `last` back to the one whose parent is `after`, which may have expired.
fn appends<'a>(
    after: i64,
    last: Element<'a, Snapshot>,
    table: &'a TableMetadata,
) -> Result<Vec<Element<'a, Snapshot>>, RangeError> {
    let by_id: HashMap<i64, Element<'a, Snapshot>> =
        table.snapshots().iter().map(|snapshot| (snapshot.id, snapshot)).collect();
    let mut appends = Vec::new();
    let mut next = Some(last);
    // A chain of parents that is longer than the list has a cycle.
    for _ in 0..by_id.len() {
        let Some(snapshot) = next else { break };
        if is_append(snapshot) {
            appends.push(snapshot);
        }
        if snapshot.parent_id == Some(after) {
            return Ok(appends);
        }
        next = snapshot.parent_id.and_then(|id| by_id.get(&id).copied());
    }
    Err(RangeError::NotAnAncestor { after, until: last.id })
}

/// Returns whether a snapshot only added data files. Readers take a missing operation for `overwrite`.
fn is_append(snapshot: Element<'_, Snapshot>) -> bool {
    let operation = || {
        let object = Object::parse("snapshot", snapshot.json).ok()?;
        Object::parse("snapshot summary", object.get("summary")?).ok()?.optional_string("operation").ok()?
    };
    operation().is_some_and(|operation| operation.trim().eq_ignore_ascii_case("append"))
}
