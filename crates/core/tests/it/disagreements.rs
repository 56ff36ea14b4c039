//! Differences between the oracle and this crate. Each test shows both results, and says which one is right and why. "Java"
//! is the reference implementation, whose rule applies where the specification leaves a question open.

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

/// Applies updates that only our side accepts. Returns our document and the oracle's reason.
fn only_we_accept(base: &TableMetadata, updates: &[Value]) -> (TableMetadata, String) {
    (after(base, updates), oracle(base, updates).unwrap_err())
}

/// Applies updates that only the oracle accepts. Returns our reason.
fn only_the_oracle_accepts(base: &TableMetadata, updates: &[Value]) -> String {
    oracle(base, updates).unwrap();
    ours(base, updates).unwrap_err()
}

#[test]
fn current_snapshot_can_be_removed() {
    // As in Java, this removes the main branch. The oracle compares the log with the removed branch.
    let base = after(&start(2), &[snapshot(1, None, 1), set_main(1)]);
    let (table, reason) = only_we_accept(&base, &[json!({"action": "remove-snapshots", "snapshot-ids": [1]})]);
    assert_eq!((table.current_snapshot_id(), table.refs().len(), table.snapshot_log().len()), (None, 0, 0));
    assert!(reason.contains("latest entry is not the current snapshot"));
}

#[test]
fn removed_snapshot_loses_its_statistics() {
    // As in Java: without the snapshot nobody could use them.
    let statistics = json!({"action": "set-statistics", "statistics": {"snapshot-id": 1, "statistics-path": "s3://b/s",
        "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}});
    let base = after(&start(2), &[snapshot(1, None, 1), statistics]);
    let remove = [json!({"action": "remove-snapshots", "snapshot-ids": [1]})];
    assert_eq!(after(&base, &remove).statistics().len(), 0);
    assert_eq!(oracle(&base, &remove).unwrap()["statistics"].as_array().unwrap().len(), 1);
}

#[test]
fn snapshot_without_a_parent_does_not_lower_the_last_sequence_number() {
    // Specification: it is the highest number ever assigned. Java and the oracle use the last snapshot's number, and then
    // refuse the document because of the snapshot before it.
    let base = after(&start(2), &[snapshot(1, None, 7)]);
    let orphan = [snapshot(2, None, 3)];
    let (table, reason) = only_we_accept(&base, &orphan);
    assert_eq!(table.last_sequence_number(), 7);
    assert!(reason.contains("greater than last sequence number 3"));
}

#[test]
fn row_ids_are_not_assigned_twice() {
    // Specification: the next row id is higher than all assigned ones. Java and the oracle add to the table's number, which
    // is too low if the snapshot starts above it.
    let mut update = snapshot(1, None, 1);
    update["snapshot"]["first-row-id"] = 100.into();
    update["snapshot"]["added-rows"] = 10.into();
    assert_eq!(after(&start(3), &[update.clone()]).next_row_id(), 110);
    assert_eq!(oracle(&start(3), &[update]).unwrap()["next-row-id"], 10);
}

#[test]
fn uuid_of_a_table_cannot_be_replaced() {
    // Specification: replacing it is unsafe. Java and the oracle allow it; clients that have loaded the table then fail.
    let other = [json!({"action": "assign-uuid", "uuid": "11111111-2222-7333-8444-555555555555"})];
    assert!(only_the_oracle_accepts(&start(2), &other).contains("Cannot reassign table UUID"));
}

#[test]
fn main_branch_cannot_be_a_tag() {
    // As in Java: commits could not move a tag.
    let tag = [snapshot(1, None, 1), set_ref("main", "tag", 1)];
    assert!(only_the_oracle_accepts(&start(2), &tag).contains("it must be a branch"));
}

#[test]
fn branch_that_keeps_no_snapshots_is_refused() {
    // As in Java. Specification: a positive number.
    let mut branch = set_ref("b", "branch", 1);
    branch["min-snapshots-to-keep"] = 0.into();
    let reason = only_the_oracle_accepts(&start(2), &[snapshot(1, None, 1), branch]);
    assert_eq!(reason, "Min snapshots to keep must be greater than 0");
}

#[test]
fn branches_are_kept_in_v1() {
    // As in Java, which writes refs in every version. The oracle keeps only main.
    let branch = [snapshot(1, None, 0), set_ref("b", "branch", 1)];
    let table = after(&start(1), &branch);
    assert!(table.refs().contains_key("b"));
    assert!(oracle(&start(1), &branch).unwrap().get("refs").is_none_or(|refs| refs.get("b").is_none()));
}

#[test]
fn retention_of_a_branch_is_kept_in_v1() {
    // As in Java. In v1, the oracle derives the main branch from the current snapshot whenever it reads a document. So it
    // sees no change in a branch without retention, and writes one log entry instead of two.
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
fn dropped_partition_field_may_outlive_its_column() {
    // As in Java: void is always null, whatever its source.
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
    // As in Java. The oracle continues counting, and then refuses its own ids.
    let field = |name: &str, source: i32| json!([{"name": name, "transform": "identity", "source-id": source}]);
    let base = after(&start(1), &spec(&field("a", 1)));
    let (table, reason) = only_we_accept(&base, &spec(&field("b", 2)));
    assert_eq!(table.partition_spec(2).unwrap().fields()[0].field_id, 1000);
    assert!(reason.contains("non-sequential field ids"));
}

#[test]
fn column_may_have_two_time_partitions() {
    // As in Java, where only the builder of engines refuses it. The oracle cannot bind such a spec again.
    let fields = json!([{"name": "day", "transform": "day", "source-id": 3}, {"name": "year", "transform": "year", "source-id": 3}]);
    let (table, reason) = only_we_accept(&start(2), &spec(&fields));
    assert_eq!(table.partition_spec(1).unwrap().fields().len(), 2);
    assert!(reason.contains("redundant partition"));
}

#[test]
fn schema_that_is_not_current_may_have_a_column_named_like_a_partition_field() {
    // As in Java: only the current schema is compared with specs, and this one is not current yet.
    let base = after(&start(2), &spec(&json!([{"name": "shard", "transform": "bucket[4]", "source-id": 1}])));
    let columns = [column(1, "a", "long"), column(7, "shard", "int")];
    let mut fields = schema(&columns);
    fields["schema-id"] = 0.into();
    let (table, reason) = only_we_accept(&base, &[json!({"action": "add-schema", "schema": fields})]);
    assert_eq!(table.last_column_id(), 7);
    assert!(reason.contains("shard"));
}

#[test]
fn document_that_the_oracle_cannot_read_is_kept() {
    // Specification v3: geometry, variant, transforms of several columns; and anything after v3.
    let (_, text) = DOCUMENTS.iter().find(|(name, _)| *name == "v3").unwrap();
    assert!(serde_json::from_str::<iceberg::spec::TableMetadata>(text).is_err());
    let table = TableMetadata::parse(text.as_bytes()).unwrap();
    assert_eq!(table.partition_spec(0).unwrap().fields()[0].source_ids, [11, 12]);
}
