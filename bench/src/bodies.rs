//! The request bodies: tables, snapshots and commits as an engine would write them.
//!
//! The snapshots have no data: their manifest lists are names below the table's location that nobody reads. Sizes are those
//! of real tables: a table with one snapshot has about 2.4 KB of metadata, a table with 1,000 about 770 KB.

use bytes::Bytes;
use serde_json::{Value, json};

/// Snapshot ids start here and step by a prime, so that they have the 19 digits of an engine's random ids.
const FIRST_SNAPSHOT_ID: u64 = 3_051_729_675_574_597_004;
const SNAPSHOT_ID_STEP: u64 = 7_919;

/// The facts about a table that its commits need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// The table's UUID.
    pub uuid: String,
    /// The table's location, without a trailing slash.
    pub location: String,
}

/// Returns the id of the snapshot with this sequence number.
#[must_use]
pub fn snapshot_id(sequence_number: u64) -> u64 {
    FIRST_SNAPSHOT_ID + sequence_number * SNAPSHOT_ID_STEP
}

/// Returns a request that creates a partitioned table of eight columns, format version 2.
#[must_use]
pub fn create_table(name: &str) -> Value {
    let columns = [
        ("event_id", "long", true),
        ("event_time", "timestamptz", true),
        ("user_id", "long", true),
        ("session_id", "uuid", false),
        ("country", "string", false),
        ("page_url", "string", false),
        ("duration_ms", "int", false),
        ("revenue", "decimal(18, 2)", false),
    ];
    let fields: Vec<Value> = (1..)
        .zip(columns)
        .map(|(id, (name, kind, required))| json!({"id": id, "name": name, "required": required, "type": kind}))
        .collect();
    json!({
        "name": name,
        "schema": {"type": "struct", "schema-id": 0, "fields": fields},
        "partition-spec": {
            "spec-id": 0,
            "fields": [{"source-id": 2, "field-id": 1000, "name": "event_time_day", "transform": "day"}],
        },
        "write-order": {"order-id": 0, "fields": []},
        "stage-create": false,
        "properties": {
            "format-version": "2",
            "owner": "benchmark",
            "write.format.default": "parquet",
            "write.parquet.compression-codec": "zstd",
        },
    })
}

/// Returns the snapshot of an engine's append.
#[must_use]
pub fn snapshot(table: &TableFacts, sequence_number: u64, timestamp_ms: u64) -> Value {
    let id = snapshot_id(sequence_number);
    let records = 48_211;
    let mut snapshot = json!({
        "sequence-number": sequence_number,
        "snapshot-id": id,
        "timestamp-ms": timestamp_ms,
        "summary": {
            "operation": "append",
            "spark.app.id": "application_1787301234567_0042",
            "added-data-files": "4",
            "added-records": records.to_string(),
            "added-files-size": "7340032",
            "changed-partition-count": "1",
            "total-records": (records * sequence_number).to_string(),
            "total-files-size": (7_340_032 * sequence_number).to_string(),
            "total-data-files": (4 * sequence_number).to_string(),
            "total-delete-files": "0",
            "total-position-deletes": "0",
            "total-equality-deletes": "0",
            "engine-version": "4.0.1",
            "engine-name": "spark",
            "iceberg-version": "Apache Iceberg 1.10.0",
        },
        "manifest-list": format!("{}/metadata/snap-{id}-1-{}.avro", table.location, table.uuid),
        "schema-id": 0,
    });
    if sequence_number > 1 {
        snapshot["parent-snapshot-id"] = json!(snapshot_id(sequence_number - 1));
    }
    snapshot
}

fn add_snapshot(table: &TableFacts, sequence_number: u64, timestamp_ms: u64) -> Value {
    json!({"action": "add-snapshot", "snapshot": snapshot(table, sequence_number, timestamp_ms)})
}

fn set_main(sequence_number: u64) -> Value {
    json!({
        "action": "set-snapshot-ref",
        "ref-name": "main",
        "type": "branch",
        "snapshot-id": snapshot_id(sequence_number),
    })
}

fn assert_uuid(table: &TableFacts) -> Value {
    json!({"type": "assert-table-uuid", "uuid": table.uuid})
}

/// Returns one commit that adds the snapshots `first..=last` and makes the last one current. The last snapshot has the time
/// `now_ms`; each earlier one is one millisecond older.
#[must_use]
pub fn add_snapshots(table: &TableFacts, first: u64, last: u64, now_ms: u64) -> Value {
    let mut updates: Vec<Value> =
        (first..=last).map(|number| add_snapshot(table, number, now_ms.saturating_sub(last - number))).collect();
    updates.push(set_main(last));
    json!({"requirements": [assert_uuid(table)], "updates": updates})
}

/// Returns the commit of an append to a table that keeps its last `kept` snapshots. It removes the oldest snapshot, so that
/// the table's size stays constant. `sequence_number` is that of the new snapshot.
#[must_use]
pub fn append(table: &TableFacts, sequence_number: u64, kept: u64, now_ms: u64) -> Bytes {
    let mut updates = vec![add_snapshot(table, sequence_number, now_ms), set_main(sequence_number)];
    if sequence_number > kept {
        updates.push(json!({"action": "remove-snapshots", "snapshot-ids": [snapshot_id(sequence_number - kept)]}));
    }
    let parent = (sequence_number > 1).then(|| snapshot_id(sequence_number - 1));
    let body = json!({
        "requirements": [
            assert_uuid(table),
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": parent},
        ],
        "updates": updates,
    });
    Bytes::from(body.to_string())
}

/// Commits that set one property. All of the body except the value is built once.
#[derive(Clone, Debug)]
pub struct SetProperty {
    before: String,
}

const AFTER_VALUE: &str = "\"}}]}";

impl SetProperty {
    /// Creates commits to this table.
    #[must_use]
    pub fn new(table: &TableFacts) -> Self {
        let requirements = json!([assert_uuid(table)]);
        let before = format!(
            "{{\"requirements\":{requirements},\"updates\":[{{\"action\":\"set-properties\",\"updates\":{{\"bench.last-write\":\""
        );
        Self { before }
    }

    /// Returns the commit that sets the property to `value`, which must need no escapes in JSON.
    #[must_use]
    pub fn body(&self, value: &str) -> Bytes {
        let mut body = String::with_capacity(self.before.len() + value.len() + AFTER_VALUE.len());
        body.push_str(&self.before);
        body.push_str(value);
        body.push_str(AFTER_VALUE);
        Bytes::from(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn table() -> TableFacts {
        TableFacts {
            uuid: "9c12d441-03fe-4693-9a96-a0705ddf69c1".into(),
            location: "s3://warehouse/tidewater_bench_1/load_1".into(),
        }
    }

    #[test]
    fn batch_adds_consecutive_snapshots_and_sets_main_to_the_last() {
        let commit = add_snapshots(&table(), 251, 500, NOW_MS);
        let updates = commit["updates"].as_array().unwrap();
        assert_eq!(updates.len(), 251);
        for (update, number) in updates.iter().zip(251..=500) {
            let snapshot = &update["snapshot"];
            assert_eq!(update["action"], "add-snapshot");
            assert_eq!(snapshot["sequence-number"], number);
            assert_eq!(snapshot["parent-snapshot-id"], snapshot_id(number - 1));
            assert_eq!(snapshot["timestamp-ms"], NOW_MS - (500 - number));
        }
        assert_eq!(updates[250]["ref-name"], "main");
        assert_eq!(updates[250]["snapshot-id"], snapshot_id(500));
        assert_eq!(commit["requirements"][0]["uuid"], table().uuid);
    }

    #[test]
    fn first_snapshot_has_no_parent_and_its_manifest_list_is_below_the_table() {
        let first = snapshot(&table(), 1, NOW_MS);
        assert!(first.get("parent-snapshot-id").is_none());
        let list = first["manifest-list"].as_str().unwrap();
        assert!(list.starts_with(&format!("{}/metadata/snap-", table().location)));
        assert_eq!(snapshot_id(1).to_string().len(), 19);
    }

    #[test]
    fn thousand_snapshots_have_the_size_of_a_real_table() {
        let bytes: usize = (1..=1000).map(|number| snapshot(&table(), number, NOW_MS).to_string().len() + 1).sum();
        assert!((680_000..=800_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn append_asserts_its_parent_and_removes_the_oldest_snapshot() {
        let commit: Value = serde_json::from_slice(&append(&table(), 101, 100, NOW_MS)).unwrap();
        assert_eq!(commit["requirements"][1]["snapshot-id"], snapshot_id(100));
        let actions: Vec<_> = commit["updates"].as_array().unwrap().iter().map(|u| u["action"].clone()).collect();
        assert_eq!(actions, ["add-snapshot", "set-snapshot-ref", "remove-snapshots"]);
        assert_eq!(commit["updates"][2]["snapshot-ids"], json!([snapshot_id(1)]));
    }

    #[test]
    fn first_append_asserts_that_main_does_not_exist() {
        let commit: Value = serde_json::from_slice(&append(&table(), 1, 100, NOW_MS)).unwrap();
        assert_eq!(commit["requirements"][1]["snapshot-id"], Value::Null);
        assert_eq!(commit["updates"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn property_commit_is_well_formed() {
        let commit: Value = serde_json::from_slice(&SetProperty::new(&table()).body("r1-c2-n3")).unwrap();
        assert_eq!(
            commit,
            json!({
                "requirements": [{"type": "assert-table-uuid", "uuid": table().uuid}],
                "updates": [{"action": "set-properties", "updates": {"bench.last-write": "r1-c2-n3"}}],
            })
        );
    }

    #[test]
    fn created_table_numbers_its_columns_from_one() {
        let create = create_table("load_1");
        let ids: Vec<_> = create["schema"]["fields"].as_array().unwrap().iter().map(|f| f["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(create["name"], "load_1");
    }
}
