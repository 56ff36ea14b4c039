//! Updates to schemas, partition specs and sort orders.

use serde_json::{Value, json};

use crate::support::{column, commit, create, document, refused, schema, table, try_commit, value};

fn add_schema(columns: &[Value]) -> Value {
    json!({"action": "add-schema", "schema": schema(columns)})
}

fn set_schema(id: i32) -> Value {
    json!({"action": "set-current-schema", "schema-id": id})
}

fn add_spec(fields: Value) -> Value {
    json!({"action": "add-spec", "spec": {"spec-id": 0, "fields": fields}})
}

fn set_spec(id: i32) -> Value {
    json!({"action": "set-default-spec", "spec-id": id})
}

fn add_order(source: i32, direction: &str) -> Value {
    json!({"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
        {"transform": "identity", "source-id": source, "direction": direction, "null-order": "nulls-first"}]}})
}

fn partition(name: &str, transform: &str, source: i32) -> Value {
    json!({"name": name, "transform": transform, "source-id": source})
}

fn three() -> Vec<Value> {
    vec![column(1, "x", "long"), column(2, "y", "string"), column(3, "z", "date")]
}

#[test]
fn new_schema_gets_the_next_id_and_raises_the_last_column_id() {
    let after = commit(&table(2), &json!([add_schema(&three()), set_schema(-1)]));
    assert_eq!((after.current_schema_id(), after.last_column_id(), after.schemas().len()), (1, 3, 2));
    let dropped = commit(&after, &json!([add_schema(&three()[..1]), set_schema(-1)]));
    assert_eq!(
        (dropped.current_schema_id(), dropped.last_column_id()),
        (2, 3),
        "the id of a dropped column is not reused"
    );
}

#[test]
fn equal_schema_is_reused() {
    let after = commit(&table(2), &json!([add_schema(&three()), set_schema(-1)]));
    let spelt = json!([{"action": "add-schema", "last-column-id": 99,
        "schema": {"fields": schema(&three())["fields"], "schema-id": 5, "type": "struct"}}]);
    assert!(try_commit(&after, &spelt).unwrap().is_none(), "the commit changes nothing");
    let back = commit(&after, &json!([add_schema(&three()[..2]), set_schema(-1)]));
    assert_eq!((back.current_schema_id(), back.schemas().len()), (0, 2));
}

#[test]
fn minus_one_means_the_last_added_object_even_if_it_existed() {
    // The reference implementation refuses -1 after the addition of an existing schema; its clients never send that.
    let after = commit(&table(2), &json!([add_schema(&three())]));
    assert_eq!(after.current_schema_id(), 0, "the schema is added, but not current");
    assert_eq!(commit(&after, &json!([add_schema(&three()), set_schema(-1)])).current_schema_id(), 1);
    for (update, what) in [
        (set_schema(-1), "schema"),
        (set_spec(-1), "spec"),
        (json!({"action": "set-default-sort-order", "sort-order-id": -1}), "sort order"),
    ] {
        let expected = format!("Cannot set last added {what}: no {what} has been added");
        assert_eq!(refused(&after, &json!([update])), expected);
    }
}

#[test]
fn schemas_with_any_different_field_are_not_equal() {
    for change in [
        json!({"doc": "text"}),
        json!({"required": true}),
        json!({"type": "int"}),
        json!({"name": "w"}),
        json!({"x-mask": "sha"}),
    ] {
        let mut changed = column(1, "x", "long");
        for (key, value) in change.as_object().unwrap() {
            changed[key] = value.clone();
        }
        let after = commit(&table(2), &json!([add_schema(&[changed, column(2, "y", "string")])]));
        assert_eq!(after.schemas().len(), 2, "{change}");
    }
    let mut same = column(1, "x", "LONG");
    same["doc"] = json!(null);
    let again = json!([add_schema(&[same, column(2, "y", "string")])]);
    assert!(try_commit(&table(2), &again).unwrap().is_none(), "case and null do not matter");
}

#[test]
fn current_schema_spec_and_order_cannot_be_removed_or_unknown() {
    let base = commit(&table(2), &json!([add_schema(&three()), set_schema(-1)]));
    assert_eq!(
        refused(&base, &json!([{"action": "remove-schemas", "schema-ids": [1]}])),
        "Cannot remove the current schema"
    );
    let after = commit(&base, &json!([{"action": "remove-schemas", "schema-ids": [0]}]));
    assert_eq!(after.schemas().map(tidewater_core::document::Schema::id).collect::<Vec<_>>(), [1]);
    assert_eq!(
        refused(&base, &json!([{"action": "remove-partition-specs", "spec-ids": [0]}])),
        "Cannot remove the default partition spec"
    );
    assert!(refused(&base, &json!([set_schema(7)])).contains("unknown schema: 7"));
    assert!(refused(&base, &json!([set_spec(7)])).contains("unknown spec: 7"));
    let order = json!([{"action": "set-default-sort-order", "sort-order-id": 7}]);
    assert!(refused(&base, &order).contains("unknown sort order: 7"));
    let nothing =
        json!([{"action": "remove-schemas", "schema-ids": []}, {"action": "remove-partition-specs", "spec-ids": []}]);
    assert!(try_commit(&base, &nothing).unwrap().is_none());
}

#[test]
fn schema_without_a_column_of_the_default_spec_or_order_is_refused() {
    let base = commit(&table(2), &json!([add_spec(json!([partition("y", "identity", 2)])), set_spec(-1)]));
    let without_y = json!([add_schema(&[column(1, "x", "long")]), set_schema(-1)]);
    assert!(refused(&base, &without_y).contains("Cannot find source column for partition field: y"));
    let order = json!([add_order(2, "asc"), {"action": "set-default-sort-order", "sort-order-id": -1}]);
    let sorted = commit(&table(2), &order);
    assert!(refused(&sorted, &without_y).contains("Cannot find source column for sort field"));
}

#[test]
fn new_partition_fields_get_the_next_ids_and_equal_ones_keep_theirs() {
    let first = commit(&table(2), &json!([add_spec(json!([partition("y", "identity", 2)])), set_spec(-1)]));
    assert_eq!((first.default_spec_id(), first.last_partition_id()), (1, 1000));
    let both = json!([partition("x_bucket", "bucket[8]", 1), partition("y_renamed", "identity", 2)]);
    let second = commit(&first, &json!([add_spec(both), set_spec(-1)]));
    let ids: Vec<i32> = second.partition_spec(2).unwrap().fields().iter().map(|field| field.field_id).collect();
    assert_eq!(ids, [1001, 1000]);
    assert_eq!(value(&second)["partition-specs"][2]["fields"][0]["field-id"], 1001);
    let removed = commit(&second, &json!([{"action": "remove-partition-specs", "spec-ids": [0, 1]}, set_spec(2)]));
    assert_eq!((removed.partition_specs().len(), removed.last_partition_id()), (1, 1001));
}

#[test]
fn spec_with_the_same_partitioning_is_reused() {
    let base = commit(&table(2), &json!([add_spec(json!([partition("y", "identity", 2)])), set_spec(-1)]));
    let again = json!([
        add_spec(json!([{"name": "y", "transform": "IDENTITY", "source-id": 2, "field-id": 1777}])),
        set_spec(-1)
    ]);
    assert!(try_commit(&base, &again).unwrap().is_none());
    let unpartitioned = commit(&base, &json!([add_spec(json!([])), set_spec(-1)]));
    assert_eq!((unpartitioned.default_spec_id(), unpartitioned.partition_specs().len()), (0, 2));
}

#[test]
fn v1_requires_sequential_partition_ids_with_void_for_dropped_fields() {
    let base = commit(&table(1), &json!([add_spec(json!([partition("y", "identity", 2)])), set_spec(-1)]));
    let skipping = json!([{"name": "x", "transform": "identity", "source-id": 1, "field-id": 1001}]);
    assert_eq!(
        refused(&base, &json!([add_spec(skipping)])),
        "Spec does not use sequential IDs that are required in v1"
    );
    let dropped = json!([{"name": "y", "transform": "void", "source-id": 2, "field-id": 1000},
        {"name": "x", "transform": "identity", "source-id": 1, "field-id": 1001}]);
    let after = commit(&base, &json!([add_spec(dropped), set_spec(-1)]));
    let without_y = commit(&after, &json!([add_schema(&[column(1, "x", "long")]), set_schema(-1)]));
    assert_eq!(value(&without_y)["partition-spec"], value(&without_y)["partition-specs"][2]["fields"]);
}

#[test]
fn invalid_partition_spec_is_refused() {
    let base = create(&json!({"name": "t", "properties": {"format-version": "3"}, "schema": schema(&[
        column(1, "x", "long"), column(2, "y", "string"), column(3, "v", "variant"), column(4, "g", "geometry"),
        json!({"id": 5, "name": "l", "required": false, "type": {"type": "list", "element-id": 6,
            "element-required": false, "element": "int"}}),
        column(7, "d", "double"), column(8, "day", "date")])}));
    let cases = [
        (partition("x", "identity", 2), "sourced from different field in schema: x"),
        (partition("p", "identity", 77), "Cannot find source column"),
        (partition("p", "identity", 3), "non-primitive source field: variant"),
        (partition("p", "identity", 4), "Invalid source type geometry for transform: identity"),
        (partition("p", "identity", 5), "non-primitive source field: list"),
        (partition("p", "identity", 8), "Invalid partition field parent: list"),
        (partition("p", "bucket[4]", 6), "Invalid source type double for transform: bucket[4]"),
        (partition("p", "hour", 7), "Invalid source type date for transform: hour"),
        (partition("p", "truncate[99999999999]", 1), "Invalid transform: truncate[99999999999]"),
    ];
    // Fresh ids: x 1, y 2, v 3, g 4, l 5, d 6, day 7, the element of l 8.
    for (field, expected) in cases {
        let message = refused(&base, &json!([add_spec(json!([field]))]));
        assert!(message.contains(expected), "expected '{expected}', got '{message}'");
    }
    let mixed = json!([{"name": "a", "transform": "identity", "source-id": 1, "field-id": 1000}, partition("b", "identity", 2)]);
    assert!(refused(&base, &json!([add_spec(mixed)])).contains("missing field IDs: 1 missing of 2"));
    let twice = json!([{"name": "a", "transform": "identity", "source-id": 1, "field-id": 1000},
        {"name": "b", "transform": "identity", "source-id": 2, "field-id": 1000}]);
    assert!(refused(&base, &json!([add_spec(twice)])).contains("partition field id more than once: 1000"));
}

#[test]
fn sort_orders_count_from_one_and_equal_ones_are_reused() {
    let default = |id: i32| json!({"action": "set-default-sort-order", "sort-order-id": id});
    let one = commit(&table(2), &json!([add_order(1, "asc"), default(-1)]));
    let two = commit(&one, &json!([add_order(1, "desc"), default(-1)]));
    assert_eq!((one.default_sort_order_id(), two.default_sort_order_id()), (1, 2));
    let back = commit(&two, &json!([add_order(1, "ASC"), default(-1)]));
    assert_eq!((back.default_sort_order_id(), back.sort_orders().len()), (1, 3));
    let unsorted = json!([{"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}}, default(-1)]);
    assert_eq!(commit(&back, &unsorted).default_sort_order_id(), 0);
    let wrong = json!([{"action": "add-sort-order", "sort-order": {"order-id": 5, "fields": []}}]);
    assert_eq!(refused(&back, &wrong), "Unsorted order ID must be 0");
    // A table may lack the unsorted order until an update adds it.
    let after = commit(&document("v2"), &unsorted);
    assert_eq!((after.default_sort_order_id(), after.sort_orders().len()), (0, 2));
}

#[test]
fn types_and_defaults_of_v3_are_refused_before_v3() {
    for kind in ["timestamp_ns", "timestamptz_ns", "unknown", "variant", "geometry", "geography(srid:4326)"] {
        let change = json!([add_schema(&[column(1, "x", "long"), column(2, "y", "string"), column(3, "n", kind)])]);
        let message = refused(&table(2), &change);
        assert!(message.contains(&format!("Invalid type for n: {kind} is not supported until v3")), "{message}");
        assert_eq!(commit(&table(3), &change).last_column_id(), 3);
    }
    let change = json!([add_schema(&[
        column(1, "x", "long"),
        json!({"id": 3, "name": "s", "required": false, "type": {
        "type": "struct", "fields": [{"id": 4, "name": "in", "required": false, "type": "int", "initial-default": 1}]}})
    ])]);
    assert!(refused(&table(2), &change).contains("Invalid initial default for s.in"));
    assert!(try_commit(&table(3), &change).is_ok());
    let upgraded = json!([{"action": "upgrade-format-version", "format-version": 3}, change[0]]);
    assert_eq!(commit(&table(2), &upgraded).format_version(), 3, "updates are applied in order");
    let required = json!([add_schema(&[json!({"id": 3, "name": "n", "required": true, "type": "unknown"})])]);
    assert!(
        refused(&table(3), &required).contains("Invalid type for n: Cannot create required field with unknown type")
    );
}

#[test]
fn addition_without_a_free_id_is_refused() {
    let mut text = value(&table(2));
    text["schemas"][0]["schema-id"] = i32::MAX.into();
    text["current-schema-id"] = i32::MAX.into();
    text["partition-specs"][0]["spec-id"] = i32::MAX.into();
    text["default-spec-id"] = i32::MAX.into();
    text["last-partition-id"] = i32::MAX.into();
    let base = tidewater_core::document::TableMetadata::parse(text.to_string().as_bytes()).unwrap();
    assert_eq!(refused(&base, &json!([add_schema(&three())])), "Cannot add schema: no id is left");
    let spec = json!([add_spec(json!([partition("y", "identity", 2)]))]);
    assert_eq!(refused(&base, &spec), "Cannot add partition spec: no id is left");
}
