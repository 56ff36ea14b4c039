//! The sample table: hourly tide readings at six harbours near tidewater glaciers, so that a newcomer's first query
//! returns rows from a table with partitions, snapshots, refs and statistics.
//!
//! The readings are computed, not measured: harmonic tides plus made-up weather, the same on every machine.
//! This module writes data and manifests below the table's location. It never writes table metadata: it returns the
//! bodies of the requests that create the table and commit to it, so that the sample takes the same way as any
//! client's table. The order is [`create_request`], then [`append`] for each of [`BATCHES`], then [`finish`].
//!
//! Snapshot ids and file names follow from the table's uuid and the batch. A step that was written but never committed
//! writes the same files when it runs again, and leaves nothing behind.

mod files;
mod statistics;
#[cfg(test)]
mod tests;
mod tides;

use anyhow::{Context, Result, ensure};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, FormatVersion, MAIN_BRANCH, Operation, Snapshot, SnapshotReference, SnapshotRetention,
    SnapshotSummaryCollector, Summary, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};
use serde::Serialize;
use serde_json::{Value, json};

/// The namespace that holds the sample table.
pub const NAMESPACE: &str = "demo";

/// The sample table's name in [`NAMESPACE`].
pub const TABLE: &str = "tides";

/// How many appends fill the table: one month of readings, and one snapshot, each.
pub const BATCHES: usize = tides::MONTHS.len();

/// How many rows the table has once every batch is committed.
pub const ROWS: usize = tides::STATIONS.len() * tides::HOURS;

/// The tag that [`finish`] sets on the snapshot after the third month.
pub const TAG: &str = "first-quarter";

/// The branch that [`finish`] starts at the newest snapshot.
pub const BRANCH: &str = "corrections";

/// The body of `POST /v1/namespaces/{namespace}/tables` that creates the sample table.
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
/// When the metadata is not that of a sample table which awaits this batch, or a file cannot be written.
pub async fn append(metadata_json: &[u8], batch: usize, now_ms: i64) -> Result<Vec<u8>> {
    let metadata = read(metadata_json)?;
    ensure!(batch < BATCHES, "the sample has {BATCHES} batches, there is no batch {batch}");
    let parent = metadata.current_snapshot();
    let awaited = batch.checked_sub(1).map(|before| snapshot_id(&metadata, before));
    ensure!(parent.map(|p| p.snapshot_id()) == awaited, "the table does not stand where batch {batch} follows");

    let io = FileIO::new_with_fs();
    let id = snapshot_id(&metadata, batch);
    let data_files = files::write_data(&io, &metadata, id, batch).await?;
    let summary = summary(&metadata, parent.map(|p| p.summary()), &data_files);
    let manifest_list = files::write_manifests(&io, &metadata, id, data_files).await?;
    // Two snapshots of one millisecond could not be told apart by a query that travels in time.
    let timestamp_ms = parent.map_or(now_ms, |p| now_ms.max(p.timestamp_ms() + 1)).max(metadata.last_updated_ms());
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(awaited)
        .with_sequence_number(metadata.next_sequence_number())
        .with_timestamp_ms(timestamp_ms)
        .with_manifest_list(manifest_list)
        .with_summary(summary)
        .with_schema_id(metadata.current_schema_id())
        .build();
    let updates = vec![TableUpdate::AddSnapshot { snapshot }, set_ref(MAIN_BRANCH, id, branch())];
    commit(&metadata, updates)
}

/// Writes the statistics of the finished table.
///
/// Returns the body of the commit that registers them, tags the end of the first quarter ([`TAG`]) and starts a branch
/// ([`BRANCH`]).
///
/// # Errors
/// When the metadata is not that of a sample table with all its batches, or the file cannot be written.
pub async fn finish(metadata_json: &[u8]) -> Result<Vec<u8>> {
    let metadata = read(metadata_json)?;
    let last = snapshot_id(&metadata, BATCHES - 1);
    ensure!(metadata.current_snapshot_id() == Some(last), "the table has not all its batches");
    let statistics = statistics::write(&FileIO::new_with_fs(), &metadata, last).await?;
    let updates = vec![
        TableUpdate::SetStatistics { statistics },
        set_ref(TAG, snapshot_id(&metadata, 2), SnapshotRetention::Tag { max_ref_age_ms: None }),
        set_ref(BRANCH, last, branch()),
    ];
    commit(&metadata, updates)
}

fn read(metadata_json: &[u8]) -> Result<TableMetadata> {
    let metadata: TableMetadata = serde_json::from_slice(metadata_json).context("the sample table's metadata")?;
    ensure!(metadata.format_version() == FormatVersion::V2, "the sample table has format version 2");
    ensure!(metadata.location().starts_with("file:"), "the sample table is written to local disk only");
    Ok(metadata)
}

/// Positive, and different for each batch of a table.
fn snapshot_id(metadata: &TableMetadata, batch: usize) -> i64 {
    let (high, low) = metadata.uuid().as_u64_pair();
    ((high ^ low).wrapping_add(batch as u64) & i64::MAX as u64) as i64
}

/// The counts that engines show for a snapshot: what it added, and what the table has with it.
fn summary(metadata: &TableMetadata, parent: Option<&Summary>, data_files: &[DataFile]) -> Summary {
    let mut added = SnapshotSummaryCollector::default();
    for file in data_files {
        added.add_file(file, metadata.current_schema().clone(), metadata.default_partition_spec().clone());
    }
    let mut properties = added.build();
    let totals = [
        ("total-records", data_files.iter().map(DataFile::record_count).sum::<u64>()),
        ("total-data-files", data_files.len() as u64),
        ("total-files-size", data_files.iter().map(DataFile::file_size_in_bytes).sum()),
        ("total-delete-files", 0),
        ("total-position-deletes", 0),
        ("total-equality-deletes", 0),
    ];
    for (name, value) in totals {
        let before = parent.and_then(|p| p.additional_properties.get(name)?.parse::<u64>().ok()).unwrap_or(0);
        properties.insert(name.to_owned(), (before + value).to_string());
    }
    Summary { operation: Operation::Append, additional_properties: properties }
}

fn branch() -> SnapshotRetention {
    SnapshotRetention::branch(None, None, None)
}

fn set_ref(name: &str, snapshot_id: i64, retention: SnapshotRetention) -> TableUpdate {
    TableUpdate::SetSnapshotRef { ref_name: name.to_owned(), reference: SnapshotReference::new(snapshot_id, retention) }
}

/// The body of a commit that holds only while the table is as `metadata` says.
fn commit(metadata: &TableMetadata, updates: Vec<TableUpdate>) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body {
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    }
    let requirements = vec![
        TableRequirement::UuidMatch { uuid: metadata.uuid() },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.to_owned(),
            snapshot_id: metadata.current_snapshot_id(),
        },
    ];
    Ok(serde_json::to_vec(&Body { requirements, updates })?)
}
