//! Where the oracle and this crate differ: each test shows both, and says who is right and why. "Java" is the reference
//! implementation, which decides where the specification leaves a thing open.

use serde_json::{Value, json};
use tidewater_core::document::TableMetadata;

use crate::differential::{oracle, ours};
use crate::generated::{THEN_MS, start};
use crate::support::{DOCUMENTS, add_snapshot, column, schema, set_main, set_ref};

fn snapshot(id: i64, parent: Option<i64>, sequence_number: i64) -> Value {
    let mut update = add_snapshot(id, parent, sequence_number);
    update["snapshot"]["timestamp-ms"] = THEN_MS.into();
    update
}

fn after(base: &TableMetadata, updates: &[Value]) -> TableMetadata {
    ours(base, updates).unwrap().expect("the commit changes something")
}

/// What both make of the updates, of which only ours accepts them; gives ours and the oracle's reason.
fn only_we_accept(base: &TableMetadata, updates: &[Value]) -> (TableMetadata, String) {
    (after(base, updates), oracle(base, updates).unwrap_err())
}

/// What both make of the updates, of which only the oracle accepts them; gives our reason.
fn only_the_oracle_accepts(base: &TableMetadata, updates: &[Value]) -> String {
    oracle(base, updates).unwrap();
    ours(base, updates).unwrap_err()
}

#[test]
fn the_current_snapshot_can_be_removed() {
    // As in Java: the main branch goes with it. The oracle compares the log with a branch that is gone.
    let base = after(&start(2), &[snapshot(1, None, 1), set_main(1)]);
    let (table, reason) = only_we_accept(&base, &[json!({"action": "remove-snapshots", "snapshot-ids": [1]})]);
    assert_eq!((table.current_snapshot_id(), table.refs().len(), table.snapshot_log().len()), (None, 0, 0));
    assert!(reason.contains("latest entry is not the current snapshot"));
}

#[test]
fn the_statistics_of_a_removed_snapshot_go_with_it() {
    // As in Java: nobody could find what they describe.
    let statistics = json!({"action": "set-statistics", "statistics": {"snapshot-id": 1, "statistics-path": "s3://b/s",
        "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}});
    let base = after(&start(2), &[snapshot(1, None, 1), statistics]);
    let remove = [json!({"action": "remove-snapshots", "snapshot-ids": [1]})];
    assert_eq!(after(&base, &remove).statistics().len(), 0);
    assert_eq!(oracle(&base, &remove).unwrap()["statistics"].as_array().unwrap().len(), 1);
}

#[test]
fn the_last_sequence_number_does_not_fall_with_a_snapshot_that_has_no_parent() {
    // Specification: it is the highest ever assigned. Java and the oracle take the number of the last snapshot,
    // and then refuse the document for the one before.
    let base = after(&start(2), &[snapshot(1, None, 7)]);
    let orphan = [snapshot(2, None, 3)];
    let (table, reason) = only_we_accept(&base, &orphan);
    assert_eq!(table.last_sequence_number(), 7);
    assert!(reason.contains("greater than last sequence number 3"));
}

#[test]
fn row_ids_that_a_snapshot_took_are_not_given_again() {
    // Specification: the next row id is higher than all assigned. Java and the oracle add to the table's number, which is
    // too low when the snapshot starts above it.
    let mut update = snapshot(1, None, 1);
    update["snapshot"]["first-row-id"] = 100.into();
    update["snapshot"]["added-rows"] = 10.into();
    assert_eq!(after(&start(3), &[update.clone()]).next_row_id(), 110);
    assert_eq!(oracle(&start(3), &[update]).unwrap()["next-row-id"], 10);
}

#[test]
fn a_table_keeps_its_uuid() {
    // Specification: not safe to assign again. Java and the oracle do, and every client that holds the table then fails.
    let other = [json!({"action": "assign-uuid", "uuid": "11111111-2222-7333-8444-555555555555"})];
    assert!(only_the_oracle_accepts(&start(2), &other).contains("Cannot reassign table UUID"));
}

#[test]
fn the_main_branch_is_no_tag() {
    // As in Java; commits could not move it.
    let tag = [snapshot(1, None, 1), set_ref("main", "tag", 1)];
    assert!(only_the_oracle_accepts(&start(2), &tag).contains("it must be a branch"));
}

#[test]
fn a_branch_keeps_at_least_one_snapshot() {
    // As in Java, and in the specification: a positive number.
    let mut branch = set_ref("b", "branch", 1);
    branch["min-snapshots-to-keep"] = 0.into();
    let reason = only_the_oracle_accepts(&start(2), &[snapshot(1, None, 1), branch]);
    assert_eq!(reason, "Min snapshots to keep must be greater than 0");
}

#[test]
fn branches_of_v1_are_kept() {
    // As in Java, which writes refs in every version; the oracle loses all but main.
    let branch = [snapshot(1, None, 0), set_ref("b", "branch", 1)];
    let table = after(&start(1), &branch);
    assert!(table.refs().contains_key("b"));
    assert!(oracle(&start(1), &branch).unwrap().get("refs").is_none_or(|refs| refs.get("b").is_none()));
}

#[test]
fn what_a_branch_of_v1_keeps_is_kept() {
    // As in Java. The oracle makes the main branch of v1 anew from the current snapshot each time it reads a document, and so
    // takes one that keeps less for no change: it has one entry in the log where there are two.
    let mut keeping = set_main(1);
    keeping["min-snapshots-to-keep"] = 3.into();
    let base = after(&start(1), &[snapshot(1, None, 0), keeping]);
    assert_eq!(base.refs()["main"].min_snapshots_to_keep, Some(3));
    let table = after(&base, &[set_main(1)]);
    assert_eq!((table.refs()["main"].min_snapshots_to_keep, table.snapshot_log().len()), (None, 2));
    assert_eq!(oracle(&base, &[set_main(1)]).unwrap()["snapshot-log"].as_array().unwrap().len(), 1);
}

fn spec(fields: &Value) -> [Value; 2] {
    [
        json!({"action": "add-spec", "spec": {"spec-id": 0, "fields": fields}}),
        json!({"action": "set-default-spec", "spec-id": -1}),
    ]
}

#[test]
fn a_dropped_partition_field_may_outlive_its_column() {
    // As in Java: void is always null, of whatever it was.
    let void = json!([{"name": "a_void", "transform": "void", "source-id": 1, "field-id": 1000}]);
    let base = after(&start(2), &spec(&void));
    let without = [
        json!({"action": "add-schema", "schema": {"type": "struct", "schema-id": 0, "fields": [column(2, "b", "string")]}}),
        json!({"action": "set-current-schema", "schema-id": -1}),
    ];
    let (table, reason) = only_we_accept(&base, &without);
    assert_eq!(table.current_schema_id(), 1);
    assert!(reason.contains("Cannot find partition source field"));
}

#[test]
fn partition_fields_of_v1_without_ids_count_from_1000() {
    // As in Java; the oracle goes on counting, and then refuses the ids that it gave.
    let field = |name: &str, source: i32| json!([{"name": name, "transform": "identity", "source-id": source}]);
    let base = after(&start(1), &spec(&field("a", 1)));
    let (table, reason) = only_we_accept(&base, &spec(&field("b", 2)));
    assert_eq!(table.partition_spec(2).unwrap().fields()[0].field_id, 1000);
    assert!(reason.contains("non-sequential field ids"));
}

#[test]
fn one_column_may_be_partitioned_by_two_times() {
    // As in Java, which discourages it only in the builder that engines use; the oracle cannot bind such a spec again.
    let fields = json!([{"name": "day", "transform": "day", "source-id": 3}, {"name": "year", "transform": "year", "source-id": 3}]);
    let (table, reason) = only_we_accept(&start(2), &spec(&fields));
    assert_eq!(table.partition_spec(1).unwrap().fields().len(), 2);
    assert!(reason.contains("redundant partition"));
}

#[test]
fn schema_that_is_not_current_may_have_a_column_named_like_a_partition_field() {
    // As in Java: specs are compared with the current schema only, and this one is not current yet.
    let base = after(&start(2), &spec(&json!([{"name": "shard", "transform": "bucket[4]", "source-id": 1}])));
    let columns = [column(1, "a", "long"), column(7, "shard", "int")];
    let mut fields = schema(&columns);
    fields["schema-id"] = 0.into();
    let (table, reason) = only_we_accept(&base, &[json!({"action": "add-schema", "schema": fields})]);
    assert_eq!(table.last_column_id(), 7);
    assert!(reason.contains("shard"));
}

#[test]
fn what_the_oracle_cannot_read_is_kept() {
    // Specification v3: geometry, variant, transforms of several columns; and whatever comes after it.
    let (_, text) = DOCUMENTS.iter().find(|(name, _)| *name == "v3").unwrap();
    assert!(serde_json::from_str::<iceberg::spec::TableMetadata>(text).is_err());
    let table = TableMetadata::parse(text.as_bytes()).unwrap();
    assert_eq!(table.partition_spec(0).unwrap().fields()[0].source_ids, [11, 12]);
}
