//! The sample table: hourly tide readings at six harbours near tidewater glaciers, so that a newcomer's first query
//! returns rows from a table with partitions, snapshots, refs and statistics.
//!
//! The readings are computed, not measured: harmonic tides plus made-up weather, the same on every machine.
//! They are in the repository as Parquet files. This module writes them below the table's location, with manifests for that
//! location. It never writes table metadata: it returns the bodies of the requests that create the table and commit to it. So
//! the catalog handles the sample like any client's table. The order is [`create_request`], then [`append`] for each of
//! [`BATCHES`], then [`finish`].
//!
//! Snapshot ids and file names follow from the table's uuid and the batch. A step that was written but never committed
//! writes the same files when it runs again, so no unused files remain.

mod assets;
mod manifests;
mod statistics;
mod table;
#[cfg(test)]
mod tests;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use assets::{MONTHS, Month, STATIONS};
use table::{Table, write};

/// The namespace that holds the sample table.
pub const NAMESPACE: &str = "demo";

/// The sample table's name in [`NAMESPACE`].
pub const TABLE: &str = "tides";

/// How many appends fill the table: one month of readings, and one snapshot, each.
pub const BATCHES: usize = MONTHS.len();

/// The tag that [`finish`] sets on the snapshot after the third month.
pub const TAG: &str = "first-quarter";

/// The branch that [`finish`] starts at the newest snapshot.
pub const BRANCH: &str = "corrections";

const MAIN_BRANCH: &str = "main";

/// Returns the body of `POST /v1/namespaces/{namespace}/tables` that creates the sample table.
#[must_use]
pub fn create_request() -> Value {
    let column = |id: i32, name: &str, kind: Value, required: bool, doc: &str| json!({"id": id, "name": name, "type": kind, "required": required, "doc": doc});
    let alerts = json!({"type": "list", "element-id": 11, "element": "string", "element-required": true});
    json!({
        "name": TABLE,
        "schema": {
            "type": "struct",
            "schema-id": 0,
            "fields": [
                column(1, "reading_id", json!("long"), true, "Counts the readings from 1"),
                column(2, "station", json!("string"), true, "The harbour"),
                column(3, "observed_at", json!("timestamptz"), true, "When, on the hour"),
                column(4, "observed_on", json!("date"), true, "The day in UTC"),
                column(5, "level_m", json!("decimal(6, 3)"), true, "Water level above mean sea level, in metres"),
                column(6, "tide_m", json!("double"), true, "The predicted tide, in metres; level_m - tide_m is the surge"),
                column(7, "high_water", json!("boolean"), true, "The predicted tide is higher than an hour before and after"),
                column(8, "icebergs", json!("int"), true, "Icebergs in sight of the harbour"),
                column(9, "water_c", json!("float"), false, "Water temperature in degrees Celsius; empty when the sensor fails"),
                column(10, "alerts", alerts, true, "Any of: surge, ice, low water"),
            ],
        },
        "partition-spec": {
            "spec-id": 0,
            "fields": [
                {"source-id": 3, "field-id": 1000, "name": "observed_at_month", "transform": "month"},
                {"source-id": 2, "field-id": 1001, "name": "station", "transform": "identity"},
            ],
        },
        "properties": {
            "format-version": "2",
            "comment": "Sample data: computed hourly tides at six harbours near tidewater glaciers. Not for navigation.",
            "write.parquet.compression-codec": "zstd",
        },
    })
}

/// Writes one month of readings below the table's location.
///
/// `metadata_json` is the table's current metadata, `batch` counts from 0, and `now_ms` (since the epoch) becomes the
/// snapshot's time. Returns the body of `POST /v1/namespaces/{namespace}/tables/{table}` that commits the batch.
///
/// # Errors
/// Fails if the metadata is not of a sample table whose next batch is `batch`, or a file cannot be written.
pub async fn append(metadata_json: &[u8], batch: usize, now_ms: i64) -> Result<Vec<u8>> {
    let table = Table::parse(metadata_json)?;
    ensure!(batch < BATCHES, "the sample has {BATCHES} batches: batch {batch} does not exist");
    let parent_id = batch.checked_sub(1).map(|before| table.snapshot_id(before));
    ensure!(
        table.metadata.current_snapshot_id() == parent_id
            && table.metadata.last_sequence_number() + 1 == manifests::sequence_number(batch),
        "batch {batch} is not the table's next batch"
    );
    for (station, (_, content)) in MONTHS[batch].data.iter().enumerate() {
        write(&table.data_file(batch, station), content).await?;
    }
    write(&table.manifest(batch), &manifests::manifest(&table, batch)?).await?;
    write(&table.manifest_list(batch), &manifests::manifest_list(&table, batch)?).await?;

    // A time-travel query could not tell two snapshots of the same millisecond apart.
    let parent = table.metadata.current_snapshot();
    let timestamp_ms = parent.map_or(now_ms, |p| now_ms.max(p.timestamp_ms + 1)).max(table.metadata.last_updated_ms());
    let id = table.snapshot_id(batch);
    let mut snapshot = json!({
        "snapshot-id": id,
        "sequence-number": manifests::sequence_number(batch),
        "timestamp-ms": timestamp_ms,
        "manifest-list": table.manifest_list(batch),
        "summary": summary(batch),
        "schema-id": table.metadata.current_schema_id(),
    });
    if let Some(parent_id) = parent_id {
        snapshot["parent-snapshot-id"] = json!(parent_id);
    }
    commit(&table, &[json!({"action": "add-snapshot", "snapshot": snapshot}), set_ref(MAIN_BRANCH, "branch", id)])
}

/// Writes the statistics of the finished table.
///
/// Returns the body of the commit that registers them, tags the end of the first quarter ([`TAG`]) and starts a branch
/// ([`BRANCH`]).
///
/// # Errors
/// Fails if the metadata is not of a sample table with all its batches, or the file cannot be written.
pub async fn finish(metadata_json: &[u8]) -> Result<Vec<u8>> {
    let table = Table::parse(metadata_json)?;
    let last = table.snapshot_id(BATCHES - 1);
    ensure!(table.metadata.current_snapshot_id() == Some(last), "the table does not have all its batches yet");
    let file = statistics::statistics(last, manifests::sequence_number(BATCHES - 1))?;
    write(&table.statistics(), &file.content).await?;
    let statistics = json!({
        "snapshot-id": last,
        "statistics-path": table.statistics(),
        "file-size-in-bytes": file.content.len(),
        "file-footer-size-in-bytes": file.footer_size_bytes,
        "blob-metadata": file.blob_metadata,
    });
    commit(
        &table,
        &[
            json!({"action": "set-statistics", "snapshot-id": last, "statistics": statistics}),
            set_ref(TAG, "tag", table.snapshot_id(2)),
            set_ref(BRANCH, "branch", last),
        ],
    )
}

/// Returns the counts that engines show for a snapshot: added files and rows, and the table's totals.
fn summary(batch: usize) -> Value {
    let rows = |month: &Month| month.days * 24 * STATIONS;
    let size_bytes = |month: &Month| month.data.iter().map(|(_, content)| content.len()).sum::<usize>();
    let added = &MONTHS[batch];
    let all = &MONTHS[..=batch];
    json!({
        "operation": "append",
        "added-data-files": STATIONS.to_string(),
        "added-records": rows(added).to_string(),
        "added-files-size": size_bytes(added).to_string(),
        "changed-partition-count": STATIONS.to_string(),
        "total-data-files": (all.len() * STATIONS).to_string(),
        "total-records": all.iter().map(rows).sum::<usize>().to_string(),
        "total-files-size": all.iter().map(size_bytes).sum::<usize>().to_string(),
        "total-delete-files": "0",
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    })
}

fn set_ref(name: &str, kind: &str, snapshot_id: i64) -> Value {
    json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": snapshot_id})
}

/// Returns the body of a commit that requires the table to be unchanged.
fn commit(table: &Table, updates: &[Value]) -> Result<Vec<u8>> {
    let current = table.metadata.current_snapshot_id();
    Ok(serde_json::to_vec(&json!({
        "requirements": [
            {"type": "assert-table-uuid", "uuid": table.uuid},
            {"type": "assert-ref-snapshot-id", "ref": MAIN_BRANCH, "snapshot-id": current},
        ],
        "updates": updates,
    }))?)
}
