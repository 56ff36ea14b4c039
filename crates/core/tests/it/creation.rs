//! Creation of tables, in one step and staged.

use serde_json::{Value, json};
use tidewater_core::commit::{CommitError, create_from_updates};

use crate::support::{
    NOW_MS, UUID, add_snapshot, column, context, create, document, schema, set_main, try_create, updates, value,
};

fn refused(request: &Value) -> String {
    match try_create(request) {
        Err(CommitError::BadRequest(message)) => message,
        other => panic!("expected a bad request, got {other:?}"),
    }
}

#[test]
fn new_table_gets_ids_level_by_level_and_references_follow() {
    let request = json!({
        "name": "t",
        "schema": {"type": "struct", "schema-id": 7, "identifier-field-ids": [40], "fields": [
            {"id": 10, "name": "where", "required": true, "note": 1.50, "type": {"type": "struct", "fields": [
                {"id": 20, "name": "city", "required": false, "type": "string"},
                {"id": 40, "name": "zip", "required": true, "type": "int"}]}},
            {"id": 5, "name": "tags", "required": false, "type": {"type": "map", "key-id": 50, "key": "string",
                "value-id": 60, "value-required": false, "value": {"type": "list", "element-id": 70,
                "element-required": true, "element": "long"}}},
            {"id": 6, "name": "at", "required": false, "type": "timestamp"}]},
        "partition-spec": {"spec-id": 9, "fields": [
            {"name": "at_day", "transform": "day", "source-id": 6, "field-id": 2000},
            {"name": "city", "transform": "identity", "source-id": 20, "field-id": 1500}]},
        "write-order": {"order-id": 4, "fields": [
            {"transform": "identity", "source-id": 40, "direction": "asc", "null-order": "nulls-last"}]},
        "properties": {"owner": "me", "format-version": "2"},
    });
    let table = value(&create(&request));
    assert_eq!(
        table["schemas"],
        json!([{"type": "struct", "schema-id": 0, "identifier-field-ids": [5], "fields": [
        {"id": 1, "name": "where", "required": true, "note": 1.50, "type": {"type": "struct", "fields": [
            {"id": 4, "name": "city", "required": false, "type": "string"},
            {"id": 5, "name": "zip", "required": true, "type": "int"}]}},
        {"id": 2, "name": "tags", "required": false, "type": {"type": "map", "key-id": 6, "key": "string",
            "value-id": 7, "value-required": false, "value": {"type": "list", "element-id": 8,
            "element-required": true, "element": "long"}}},
        {"id": 3, "name": "at", "required": false, "type": "timestamp"}]}])
    );
    assert_eq!(
        table["partition-specs"],
        json!([{"spec-id": 0, "fields": [
        {"name": "at_day", "transform": "day", "source-id": 3, "field-id": 1000},
        {"name": "city", "transform": "identity", "source-id": 4, "field-id": 1001}]}])
    );
    assert_eq!(table["sort-orders"][0]["order-id"], 1);
    assert_eq!(table["sort-orders"][0]["fields"][0]["source-id"], 5);
    assert_eq!((&table["last-column-id"], &table["last-partition-id"]), (&json!(8), &json!(1001)));
    assert_eq!(
        (&table["current-schema-id"], &table["default-spec-id"], &table["default-sort-order-id"]),
        (&json!(0), &json!(0), &json!(1))
    );
    assert_eq!(table["properties"], json!({"owner": "me", "write.parquet.compression-codec": "zstd"}));
    assert_eq!((&table["table-uuid"], &table["last-updated-ms"]), (&json!(UUID.to_string()), &json!(NOW_MS)));
    assert_eq!(table["metadata-log"], json!([]));
}

#[test]
fn new_table_is_written_in_the_form_of_its_format_version() {
    for (version, no_snapshot) in [(1, json!(-1)), (2, json!(-1)), (3, json!(null))] {
        let table = value(&create(&json!({"name": "t", "schema": schema(&[column(1, "x", "long")]),
            "properties": {"format-version": version.to_string()}})));
        assert_eq!(table["format-version"], version);
        assert_eq!(table["current-snapshot-id"], no_snapshot);
        assert_eq!(table.get("schema").is_some(), version == 1);
        assert_eq!(table.get("partition-spec").is_some(), version == 1);
        assert_eq!(table.get("last-sequence-number").is_some(), version > 1);
        assert_eq!(table.get("next-row-id").is_some(), version == 3);
        assert_eq!(table["last-partition-id"], 999);
        assert_eq!(table["sort-orders"], json!([{"order-id": 0, "fields": []}]));
    }
}

#[test]
fn creation_that_breaks_a_rule_is_refused() {
    let plain = || schema(&[column(1, "x", "long"), column(2, "s", "string")]);
    let with = |key: &str, value: Value| {
        let mut request = json!({"name": "t", "schema": plain()});
        request[key] = value;
        request
    };
    let spec = |fields: Value| with("partition-spec", json!({"fields": fields}));
    let field =
        |name: &str, transform: &str, source: i32| json!({"name": name, "transform": transform, "source-id": source});
    let cases = [
        (json!({"schema": plain()}), "missing field 'name'"),
        (json!({"name": "t"}), "missing field 'schema'"),
        (json!({"name": "t", "schema": {"type": "list"}}), "not a struct type"),
        (
            json!({"name": "t", "schema": schema(&[column(1, "x", "long"), column(1, "y", "long")])}),
            "multiple fields for id 1",
        ),
        (
            json!({"name": "t", "schema": schema(&[column(1, "x", "variant")])}),
            "Invalid type for x: variant is not supported until v3",
        ),
        (
            json!({"name": "t", "schema": schema(&[column(1, "x", "strnig")])}),
            "Invalid type for x: the specification has no type strnig",
        ),
        (
            json!({"name": "t", "schema": schema(&[json!({"id": 1, "name": "x", "required": false, "type": "int", "initial-default": 5})])}),
            "Invalid initial default for x: non-null default (5) is not supported until v3",
        ),
        (with("properties", json!({"format-version": "4"})), "Unsupported format version: v4"),
        (with("properties", json!({"format-version": "two"})), "Invalid format-version: two"),
        (with("properties", json!({"commit.retry.num-retries": "-1"})), "must have non negative integer value"),
        (with("properties", json!({"encryption.key-id": "k"})), "Invalid properties for v2: [encryption.key-id]"),
        (spec(json!([field("p", "identity", 9)])), "Cannot find source column"),
        (spec(json!([field("p", "day", 2)])), "Invalid source type string for transform: day"),
        (spec(json!([field("p", "bucket[0]", 1)])), "Invalid transform: bucket[0]"),
        (spec(json!([field("s", "identity", 1)])), "sourced from different field in schema: s"),
        (spec(json!([field("p", "identity", 1), field("p", "identity", 2)])), "partition name more than once: p"),
        (spec(json!([field("", "identity", 1)])), "empty partition name"),
        (
            with(
                "write-order",
                json!({"order-id": 0, "fields": [{"transform": "identity", "source-id": 1, "direction": "asc", "null-order": "nulls-first"}]}),
            ),
            "Sort order ID 0 is reserved",
        ),
        (
            with(
                "write-order",
                json!({"order-id": 1, "fields": [{"transform": "identity", "source-id": 8, "direction": "asc", "null-order": "nulls-first"}]}),
            ),
            "Cannot find source column for sort field",
        ),
    ];
    for (request, expected) in cases {
        let message = refused(&request);
        assert!(message.contains(expected), "expected '{expected}', got '{message}'");
    }
}

#[test]
fn unknown_transform_of_several_columns_is_kept_in_v3() {
    let table = value(&create(&json!({
        "name": "t",
        "schema": schema(&[column(3, "v", "variant"), column(4, "lat", "double"), column(5, "lon", "double")]),
        "partition-spec": {"fields": [{"name": "cell", "transform": "geohash[6]", "source-ids": [4, 5]}]},
        "properties": {"format-version": "3"},
    })));
    assert_eq!(
        table["partition-specs"][0]["fields"][0],
        json!({"name": "cell", "transform": "geohash[6]", "source-ids": [2, 3], "field-id": 1000})
    );
}

fn staged() -> Value {
    json!([
        {"action": "assign-uuid", "uuid": "11111111-2222-7333-8444-555555555555"},
        {"action": "upgrade-format-version", "format-version": 3},
        {"action": "add-schema", "schema": schema(&[column(1, "x", "long"), column(2, "y", "variant")])},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": [{"name": "x_bucket", "transform": "bucket[4]", "source-id": 1, "field-id": 1000}]}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": "s3://b/elsewhere/"},
        {"action": "set-properties", "updates": {"a": "b"}},
    ])
}

#[test]
fn staged_create_is_built_from_its_updates_alone() {
    let made = create_from_updates(&updates(&staged()).updates, "s3://b/default", &context()).unwrap();
    let table = value(&made);
    assert_eq!(table["table-uuid"], "11111111-2222-7333-8444-555555555555");
    assert_eq!(table["location"], "s3://b/elsewhere");
    assert_eq!((&table["format-version"], &table["next-row-id"]), (&json!(3), &json!(0)));
    assert_eq!(table["schemas"][0]["schema-id"], 0);
    assert_eq!(table["partition-specs"][0]["spec-id"], 0);
    assert_eq!(table["last-partition-id"], 1000);
    assert_eq!(table["metadata-log"], json!([]), "a new table has no history, whatever the context says");
    assert_eq!(table["properties"], json!({"a": "b"}));
}

#[test]
fn staged_create_may_include_its_first_snapshot() {
    let mut changes = staged();
    let mut first = add_snapshot(1, None, 1);
    first["snapshot"]["first-row-id"] = 0.into();
    first["snapshot"]["added-rows"] = 10.into();
    changes.as_array_mut().unwrap().extend([first, set_main(1)]);
    let made = create_from_updates(&updates(&changes).updates, "s3://b/default", &context()).unwrap();
    assert_eq!((made.current_snapshot_id(), made.next_row_id(), made.last_sequence_number()), (Some(1), 10, 1));
    assert_eq!(made.snapshot_log().len(), 1);
}

#[test]
fn staged_create_without_spec_and_order_is_unpartitioned_and_unsorted() {
    let changes = json!([{"action": "add-schema", "schema": schema(&[column(1, "x", "long")])}]);
    let table = value(&create_from_updates(&updates(&changes).updates, "s3://b/default", &context()).unwrap());
    assert_eq!(table["location"], "s3://b/default");
    assert_eq!(table["table-uuid"], UUID.to_string());
    assert_eq!(table["format-version"], 2);
    assert_eq!(table["partition-specs"], json!([{"spec-id": 0, "fields": []}]));
    assert_eq!(table["sort-orders"], json!([{"order-id": 0, "fields": []}]));
    let nothing = create_from_updates(&[], "s3://b/default", &context()).unwrap_err();
    assert_eq!(nothing, CommitError::BadRequest("Cannot create table: no schema was added".to_owned()));
}

/// Parsing returns the created document, so nothing depends on its origin.
#[test]
fn new_table_parses_to_itself() {
    let made = create(&json!({"name": "t", "schema": schema(&[column(1, "x", "long")])}));
    let read = tidewater_core::document::TableMetadata::parse(&made.to_json()).unwrap();
    assert_eq!(read.to_json(), made.to_json());
    assert_eq!(document("v2-minimal").properties().len(), 0);
}
