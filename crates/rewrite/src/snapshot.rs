//! The snapshot of a rewrite, and the commit that adds it.

use serde_json::{Map, Value, json};
use tidewater_core::document::{MAIN_BRANCH, Snapshot, TableMetadata};
use tidewater_manifests::{FileContent, ManifestFile};

use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::{FileRecord, ListOf, write_list};

/// A commit to a table that replaces files by others with the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The body of the commit, as the REST specification has it.
    pub body: Value,
    /// The id of the new snapshot.
    pub snapshot_id: i64,
}

/// The snapshot on which a rewrite is based.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) id: i64,
    pub(crate) sequence_number: i64,
    pub(crate) manifest_list: String,
    timestamp_ms: i64,
    summary: Map<String, Value>,
}

impl Base {
    /// Returns the current snapshot. None if the table has none.
    pub(crate) fn current(table: &TableMetadata) -> Result<Option<Self>, RewriteError> {
        let Some(snapshot) = table.current_snapshot() else { return Ok(None) };
        let json: Value = serde_json::from_str(snapshot.json).unwrap_or_default();
        let manifest_list = json.get("manifest-list").and_then(Value::as_str).ok_or_else(|| {
            RewriteError::unsupported("the current snapshot has no manifest list (format v1): write to the table once")
        })?;
        let Snapshot { id, sequence_number, timestamp_ms, .. } = *snapshot.value;
        Ok(Some(Self {
            id,
            sequence_number,
            manifest_list: manifest_list.to_owned(),
            timestamp_ms,
            summary: json.get("summary").and_then(Value::as_object).cloned().unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
impl Base {
    /// Returns the base of the first snapshot.
    pub(crate) fn none() -> Self {
        Self { id: 0, sequence_number: 0, manifest_list: String::new(), timestamp_ms: 0, summary: Map::new() }
    }
}

/// The changes of a rewrite: counts of files, rows and bytes, by their names in a snapshot's summary.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    counts: Map<String, Value>,
    totals: [i64; TOTALS.len()],
}

/// The totals in a summary.
const TOTALS: [&str; 6] = [
    "total-data-files",
    "total-records",
    "total-files-size",
    "total-delete-files",
    "total-position-deletes",
    "total-equality-deletes",
];

impl Changes {
    /// Sets a text of the summary.
    pub(crate) fn set(&mut self, key: &str, value: impl ToString) {
        self.counts.insert(key.to_owned(), value.to_string().into());
    }

    fn count(&mut self, key: &str, count: i64) {
        let before = self.counts.get(key).and_then(number).unwrap_or_default();
        self.set(key, before.saturating_add(count));
    }

    /// Counts a data file that was added.
    pub(crate) fn added_data(&mut self, file: &FileRecord) {
        self.count("added-data-files", 1);
        self.count("added-records", file.record_count);
        self.count("added-files-size", file.file_size_bytes);
        self.total([1, file.record_count, file.file_size_bytes, 0, 0, 0]);
    }

    /// Counts a data file that was removed.
    pub(crate) fn removed_data(&mut self, file: &FileRecord) {
        self.count("deleted-data-files", 1);
        self.count("deleted-records", file.record_count);
        self.count("removed-files-size", file.file_size_bytes);
        self.total([-1, -file.record_count, -file.file_size_bytes, 0, 0, 0]);
    }

    /// Counts a delete file that was removed.
    pub(crate) fn removed_deletes(&mut self, file: &FileRecord) {
        let (size, deletes) = (file.content_size_bytes.unwrap_or(file.file_size_bytes), file.record_count);
        self.count("removed-delete-files", 1);
        self.count("removed-files-size", size);
        let positions = file.content == FileContent::PositionDeletes;
        if positions {
            self.count(if file.format == "puffin" { "removed-dvs" } else { "removed-position-delete-files" }, 1);
            self.count("removed-position-deletes", deletes);
            self.total([0, 0, -size, -1, -deletes, 0]);
        } else {
            self.count("removed-equality-delete-files", 1);
            self.count("removed-equality-deletes", deletes);
            self.total([0, 0, -size, -1, 0, -deletes]);
        }
    }

    fn total(&mut self, changes: [i64; TOTALS.len()]) {
        for (total, change) in self.totals.iter_mut().zip(changes) {
            *total = total.saturating_add(change);
        }
    }

    /// Returns the summary of the new snapshot. As in the reference implementation, a total that is unknown stays so.
    fn summary(self, base: &Base) -> Map<String, Value> {
        let mut summary = Map::from_iter([("operation".to_owned(), Value::from("replace"))]);
        summary.extend(self.counts);
        for (key, change) in TOTALS.iter().zip(self.totals) {
            let before = base.summary.get(*key).and_then(number);
            if let Some(total) = before.and_then(|before| before.checked_add(change)).filter(|total| *total >= 0) {
                summary.insert((*key).to_owned(), total.to_string().into());
            }
        }
        summary
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_str()?.parse().ok()
}

/// Returns the sequence number of the new snapshot.
pub(crate) fn next_sequence_number(table: &TableMetadata) -> i64 {
    if table.format_version() == 1 { 0 } else { table.last_sequence_number() + 1 }
}

/// Writes the manifest list of the new snapshot, and returns the commit that makes it the current one. The commit fails if
/// another snapshot became current meanwhile.
pub(crate) fn propose(
    job: &mut Job<'_>,
    base: &Base,
    manifests: &[ManifestFile],
    changes: Changes,
) -> Result<Proposal, RewriteError> {
    let table = job.table();
    let snapshot_id = job.snapshot_id();
    let format_version = table.format_version();
    let list = ListOf {
        format_version,
        snapshot_id,
        parent_id: Some(base.id),
        sequence_number: next_sequence_number(table),
        next_row_id: table.next_row_id(),
    };
    let marker = job.next_marker();
    let (content, assigned_rows) = write_list(&list, manifests, marker)?;
    let location = job.metadata_location(&format!("snap-{snapshot_id}-{}-{}.avro", job.markers(), job.id()));
    job.write(&location, content)?;
    let mut snapshot = json!({
        "snapshot-id": snapshot_id,
        "parent-snapshot-id": base.id,
        "timestamp-ms": job.now_ms().max(base.timestamp_ms).max(table.last_updated_ms()),
        "summary": changes.summary(base),
        "manifest-list": location,
        "schema-id": table.current_schema_id(),
    });
    if format_version >= 2 {
        snapshot["sequence-number"] = list.sequence_number.into();
    }
    if format_version >= 3 {
        snapshot["first-row-id"] = list.next_row_id.into();
        snapshot["added-rows"] = assigned_rows.into();
    }
    let mut requirements =
        vec![json!({ "type": "assert-ref-snapshot-id", "ref": MAIN_BRANCH, "snapshot-id": base.id })];
    requirements.extend(table.uuid().map(|uuid| json!({ "type": "assert-table-uuid", "uuid": uuid })));
    let body = json!({
        "requirements": requirements,
        "updates": [{ "action": "add-snapshot", "snapshot": snapshot }, set_main(table, snapshot_id)],
    });
    Ok(Proposal { body, snapshot_id })
}

/// Returns the update that sets the branch `main` to a snapshot. Its retention settings stay.
fn set_main(table: &TableMetadata, snapshot_id: i64) -> Value {
    let settings = table.main_branch().and_then(|main| serde_json::from_str(main.json()).ok());
    let mut update = settings.unwrap_or_else(|| json!({ "type": "branch" }));
    update["action"] = "set-snapshot-ref".into();
    update["ref-name"] = MAIN_BRANCH.into();
    update["snapshot-id"] = snapshot_id.into();
    update
}
