//! Known fields are checked, and written in the specification's spelling. No accepted request makes a table or view that a
//! reader refuses.

use serde_json::{Value, json};
use tidewater_core::commit::CommitError;
use tidewater_core::document::TableMetadata;
use tidewater_core::view::ViewMetadata;

use crate::support::{
    LENIENT, add_snapshot, column, commit, create, document, refused, schema, set_main, set_ref, try_commit,
    try_create, value,
};

/// Returns a table `id long, ts timestamptz, s string` of this format version.
fn base(format_version: u8) -> TableMetadata {
    create(&json!({
        "name": "t",
        "schema": schema(&[column(1, "id", "long"), column(2, "ts", "timestamptz"), column(3, "s", "string")]),
        "properties": {"format-version": format_version.to_string()},
    }))
}

fn with_column(extra: Value) -> Value {
    let columns = [column(1, "id", "long"), column(2, "ts", "timestamptz"), column(3, "s", "string"), extra];
    json!([
        {"action": "add-schema", "schema": schema(&columns)},
        {"action": "set-current-schema", "schema-id": -1},
    ])
}

fn parse(document: &Value) -> TableMetadata {
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

/// Returns the problems of a document that can be parsed.
fn problems(document: &Value) -> String {
    parse(document).problems().join("\n")
}

#[test]
fn column_of_an_unknown_type_is_refused() {
    for kind in [
        json!("strng"),
        json!("lo ng"),
        json!({"type": "foo"}),
        json!("geography(OGC:CRS84, foo)"),
        json!("geometry()"),
        json!("decimal(40,2)"),
        json!("fixed[x]"),
        json!({"type": "list", "element-id": 5, "element-required": false, "element": "strng"}),
    ] {
        let extra = json!({"id": 4, "name": "x", "required": false, "type": kind});
        let message = refused(&base(3), &with_column(extra.clone()));
        assert!(message.contains("Invalid type for x"), "{kind}: {message}");
        let request = json!({"name": "t", "schema": schema(&[extra]), "properties": {"format-version": "3"}});
        assert!(try_create(&request).is_err(), "{kind}");
    }
}

#[test]
fn type_of_the_newest_specification_is_accepted_from_its_version_on() {
    for kind in
        ["variant", "geometry(EPSG:3857)", "geography", "geography(OGC:CRS84, karney)", "timestamp_ns", "unknown"]
    {
        let change = with_column(column(4, "x", kind));
        assert_eq!(value(&commit(&base(3), &change))["schemas"][1]["fields"][3]["type"], kind);
        assert!(refused(&base(2), &change).contains("not supported until v3"), "{kind}");
    }
}

#[test]
fn known_words_in_another_case_are_stored_in_the_specifications_spelling() {
    let fields = json!([{"source-id": 1, "name": "b", "transform": "BUCKET[4]"}]);
    let order = json!([{"transform": " Identity", "source-id": 1, "direction": "ASC", "null-order": "NULLS-FIRST"}]);
    let mut tag = set_ref("b", "BRANCH", 1);
    tag["max-ref-age-ms"] = Value::Null;
    let mut snapshot = add_snapshot(1, None, 1);
    snapshot["snapshot"]["summary"]["operation"] = "APPEND".into();
    snapshot["snapshot"]["parent-snapshot-id"] = Value::Null;
    let mut changes = with_column(column(4, "x", "timestamp "));
    changes[0]["schema"]["fields"][0]["type"] = "LONG".into();
    changes[0]["schema"]["fields"][0]["doc"] = Value::Null;
    changes[0]["schema"]["identifier-field-ids"] = Value::Null;
    changes.as_array_mut().unwrap().extend([
        json!({"action": "add-spec", "spec": {"fields": fields}}),
        json!({"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": order}}),
        snapshot,
        tag,
    ]);
    let after = value(&commit(&base(2), &changes));
    let columns = &after["schemas"][1];
    assert_eq!(columns["fields"][0], json!({"id": 1, "name": "id", "required": false, "type": "long"}));
    assert_eq!(columns["fields"][3]["type"], "timestamp");
    assert!(columns.get("identifier-field-ids").is_none());
    assert_eq!(after["partition-specs"][1]["fields"][0]["transform"], "bucket[4]");
    assert_eq!(
        after["sort-orders"][1]["fields"][0],
        json!({"transform": "identity", "source-id": 1, "direction": "asc", "null-order": "nulls-first"})
    );
    assert_eq!(after["refs"]["b"], json!({"type": "branch", "snapshot-id": 1}));
    assert_eq!(after["snapshots"][0]["summary"]["operation"], "append");
    assert!(after["snapshots"][0].get("parent-snapshot-id").is_none());
}

#[test]
fn one_source_among_source_ids_is_stored_as_source_id() {
    let spec = |fields: Value| json!([{"action": "add-spec", "spec": {"fields": fields}}]);
    let one = spec(json!([{"source-ids": [1], "name": "b", "transform": "bucket[4]"}]));
    let two = spec(json!([{"source-ids": [1, 3], "name": "b", "transform": "hilbert"}]));
    for version in [1, 2, 3] {
        let field = &value(&commit(&base(version), &one))["partition-specs"][1]["fields"][0];
        assert_eq!(field["source-id"], 1);
        assert!(field.get("source-ids").is_none());
    }
    assert!(refused(&base(2), &two).contains("not supported until v3"));
    let field = &value(&commit(&base(3), &two))["partition-specs"][1]["fields"][0];
    assert_eq!(field["source-ids"], json!([1, 3]));
    let contradiction = spec(json!([{"source-id": 2, "source-ids": [1, 3], "name": "b", "transform": "hilbert"}]));
    assert!(refused(&base(3), &contradiction).contains("not the first of its source-ids"));
}

#[test]
fn statistics_without_their_fields_are_refused() {
    let set = |blobs: Value| {
        json!([{"action": "set-statistics", "snapshot-id": 1, "statistics": {"snapshot-id": 1, "statistics-path": "s3://b/s",
            "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": blobs}}])
    };
    let blob = json!({"type": "t", "snapshot-id": 1, "sequence-number": 1, "fields": [1], "properties": {"a": "b"}});
    for key in ["type", "snapshot-id", "sequence-number", "fields"] {
        let mut lacking = blob.clone();
        lacking.as_object_mut().unwrap().remove(key);
        assert!(refused(&base(2), &set(json!([lacking]))).contains(key));
    }
    assert!(refused(&base(2), &set(json!([{}]))).contains("missing field 'type'"));
    let mut with_null = blob.clone();
    with_null["properties"] = Value::Null;
    let stored = value(&commit(&base(2), &set(json!([blob, with_null]))));
    assert!(stored["statistics"][0]["blob-metadata"][1].get("properties").is_none());
}

#[test]
fn identifier_field_of_type_variant_is_refused() {
    let mut changes = with_column(json!({"id": 4, "name": "v", "required": true, "type": "variant"}));
    changes[0]["schema"]["identifier-field-ids"] = json!([4]);
    let error = try_commit(&base(3), &changes).unwrap_err();
    assert_eq!(error.to_string(), "Cannot add field v as an identifier field: not a primitive type field");
}

#[test]
fn encryption_key_that_is_not_base64_is_refused_and_padding_is_added() {
    let add = |metadata: &str| {
        json!([{"action": "add-encryption-key",
            "encryption-key": {"key-id": "k", "encrypted-key-metadata": metadata, "encrypted-by-id": null}}])
    };
    assert!(refused(&base(3), &add("not base64!")).contains("must be Base64"));
    let stored = value(&commit(&base(3), &add("AQ")));
    assert_eq!(stored["encryption-keys"], json!([{"key-id": "k", "encrypted-key-metadata": "AQ=="}]));
}

#[test]
fn reserved_field_id_is_refused() {
    assert!(refused(&base(2), &with_column(column(2_147_483_540, "x", "long"))).contains("reserved"));
    assert!(try_commit(&base(2), &with_column(column(2_147_483_447, "x", "long"))).is_ok());
}

#[test]
fn default_that_is_not_of_its_type_is_refused() {
    let with_default = |kind: &str, value: Value| {
        with_column(json!({"id": 4, "name": "x", "required": false, "type": kind, "initial-default": value}))
    };
    for (kind, value) in [
        ("int", json!("1")),
        ("long", json!(1.5)),
        ("date", json!("2023-02-30")),
        ("decimal(9,2)", json!("1.234")),
        ("uuid", json!("x")),
        ("variant", json!({})),
    ] {
        let message = refused(&base(3), &with_default(kind, value));
        assert!(message.contains("Invalid initial default for x"), "{message}");
    }
    let stored = value(&commit(&base(3), &with_default("double", json!(3))));
    assert_eq!(stored["schemas"][1]["fields"][3]["initial-default"], json!(3.0));
    let stored = value(&commit(&base(2), &with_default("int", Value::Null)));
    assert!(stored["schemas"][1]["fields"][3].get("initial-default").is_none(), "null means no default");
}

/// A change to a valid snapshot.
type Change = fn(&mut Value);

#[test]
fn snapshot_that_breaks_a_rule_is_refused() {
    let changed = |change: Change| {
        let mut update = add_snapshot(1, None, 1);
        change(&mut update["snapshot"]);
        json!([update])
    };
    let cases: [(Change, &str); 9] = [
        (|s| s["summary"] = json!({"operation": "upsert"}), "its operation 'upsert' is not one of append"),
        (|s| s["summary"] = json!({}), "its summary has no operation"),
        (|s| s["summary"] = json!({"operation": "append", "n": 1}), "its summary is not a map of strings"),
        (|s| drop(s.as_object_mut().unwrap().remove("summary")), "missing field 'summary'"),
        (|s| drop(s.as_object_mut().unwrap().remove("sequence-number")), "missing field 'sequence-number'"),
        (|s| s["manifest-list"] = "".into(), "its manifest-list is empty"),
        (|s| s["manifests"] = json!(["s3://b/m"]), "it has both a manifest-list and manifests"),
        (|s| s["parent-snapshot-id"] = 1.into(), "it is its own parent"),
        (|s| s["key-id"] = 1.into(), "'key-id' must be a string"),
    ];
    for (change, expected) in cases {
        let message = refused(&base(2), &changed(change));
        assert!(message.contains(expected), "expected '{expected}', got '{message}'");
    }
    let nulls = changed(|s| s["summary"] = json!({"operation": "append", "a": null, "b": "c"}));
    assert_eq!(value(&commit(&base(2), &nulls))["snapshots"][0]["summary"], json!({"operation": "append", "b": "c"}));
}

#[test]
fn registered_snapshot_without_an_operation_is_tolerated_and_reported() {
    let mut document = value(&commit(&base(2), &json!([add_snapshot(1, None, 1)])));
    for summary in [json!({}), json!({"spark.app.id": "x"})] {
        document["snapshots"][0]["summary"] = summary.clone();
        assert_eq!(problems(&document), "", "{summary}");
        let tolerated = parse(&document).tolerated();
        assert_eq!(tolerated, ["Snapshot 1: its summary has no operation, for which readers take 'overwrite'"]);
        // The snapshot stays unchanged in later commits.
        let set = json!([{"action": "set-properties", "updates": {"a": "b"}}]);
        assert_eq!(value(&commit(&parse(&document), &set))["snapshots"][0]["summary"], summary);
    }
    for (summary, expected) in [
        (json!({"operation": "upsert"}), "its operation 'upsert' is not one of append"),
        (json!({"operation": ""}), "its operation '' is not one of append"),
        (json!({"a": 1}), "its summary is not a map of strings"),
    ] {
        document["snapshots"][0]["summary"] = summary;
        assert!(problems(&document).contains(expected), "{expected}");
    }
    document["snapshots"][0].as_object_mut().unwrap().remove("summary");
    assert!(problems(&document).contains("missing field 'summary'"));
}

#[test]
fn column_with_the_name_of_another_columns_partition_field_is_refused() {
    // Readers bind every spec to the current schema, and would refuse the table.
    let spec = json!([{"action": "add-spec", "spec": {"fields": [{"name": "shard", "transform": "bucket[4]", "source-id": 1}]}}]);
    let partitioned = commit(&base(2), &spec);
    let message = refused(&partitioned, &with_column(column(4, "shard", "int")));
    assert!(message.contains("sourced from different field in schema: shard"), "{message}");
}

#[test]
fn problems_of_a_registered_document_are_all_reported() {
    let good = value(&base(2));
    let mut wrong_type = good.clone();
    wrong_type["schemas"][0]["fields"][0]["type"] = "lng".into();
    assert!(problems(&wrong_type).contains("the specification has no type lng"));
    let mut lost_source = good.clone();
    lost_source["partition-specs"][0]["fields"] =
        json!([{"name": "p", "transform": "identity", "source-id": 9, "field-id": 1000}]);
    assert!(problems(&lost_source).contains("Cannot find source column for partition field: p"));
    let mut uuid = good.clone();
    uuid["table-uuid"] = "x".into();
    assert!(problems(&uuid).contains("table-uuid is not a UUID"));
    assert_eq!(problems(&good), "");
}

#[test]
fn document_after_a_commit_has_no_problems() {
    for name in ["v1", "v2", "v3"] {
        let after = commit(&document(name), &json!([{"action": "set-properties", "updates": {"a": "b"}}]));
        assert_eq!(after.problems(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn current_snapshot_without_a_main_branch_can_be_removed() {
    let with_snapshot = commit(&base(2), &json!([add_snapshot(1, None, 1), set_main(1)]));
    let mut registered = value(&with_snapshot);
    registered["refs"] = json!({});
    let registered = parse(&registered);
    assert_eq!(registered.problems(), Vec::<String>::new());
    assert_eq!(registered.refs()["main"].snapshot_id, 1, "the current snapshot is that of main");
    let after = commit(&registered, &json!([{"action": "remove-snapshots", "snapshot-ids": [1]}]));
    assert_eq!((after.current_snapshot_id(), after.refs().len()), (None, 0));
    assert!(TableMetadata::parse(&after.to_json()).is_ok());
}

#[test]
fn document_with_missing_snapshots_is_parsed_reported_and_corrected_by_a_commit() {
    let mut dangling =
        value(&commit(&base(2), &json!([add_snapshot(1, None, 1), set_main(1), set_ref("v1", "tag", 1)])));
    dangling["snapshots"] = json!([]);
    let read = parse(&dangling);
    let problems = read.problems();
    assert!(problems[0].contains("current-snapshot-id 1 is not among the snapshots"), "{problems:?}");
    assert!(problems[1].contains("Snapshot for reference v1 is not among the snapshots: 1"), "{problems:?}");
    let mended = commit(&read, &json!([{"action": "set-properties", "updates": {"a": "b"}}]));
    assert_eq!(mended.problems(), Vec::<String>::new());
    assert_eq!(value(&mended)["current-snapshot-id"], -1);
}

#[test]
fn document_of_an_older_version_is_parsed_and_corrected_by_a_commit_without_loss() {
    let old = TableMetadata::parse(LENIENT.as_bytes()).unwrap();
    let problems = old.problems().join("\n");
    assert!(
        problems.contains("no type vector[768]") && problems.contains("no type {\"type\":\"tensor\""),
        "{problems}"
    );
    let after = value(&commit(&old, &json!([{"action": "set-properties", "updates": {"a": "b"}}])));
    let columns = &after["schemas"][0]["fields"];
    assert_eq!((&columns[0]["type"], &columns[8]["type"]), (&json!("long"), &json!("vector[768]")));
    assert_eq!(columns[9]["type"], json!({"type": "tensor", "shape": [2, 2], "of": "float"}));
    assert_eq!(after["partition-specs"][0]["fields"][1]["transform"], "bucket[8]");
    assert_eq!(after["refs"]["main"]["type"], "branch");
    assert_eq!(after["sort-orders"][1]["fields"][0]["direction"], "asc");
    assert!(after["snapshots"][0].get("parent-snapshot-id").is_none());
    // A wrong column does not prevent adding another one, but no new wrong column is accepted.
    let mut columns: Vec<Value> = columns.as_array().unwrap().clone();
    columns.push(column(13, "more", "long"));
    let more = json!([{"action": "add-schema", "schema": schema(&columns)}]);
    assert!(refused(&old, &more).contains("no type vector[768]"));
}

#[test]
fn v1_document_may_have_current_ids_without_the_lists() {
    let (_, text) = crate::support::DOCUMENTS[0];
    let mut old: Value = serde_json::from_str(text).unwrap();
    old["default-spec-id"] = 0.into();
    old["current-schema-id"] = 0.into();
    old["default-sort-order-id"] = 0.into();
    let text = old.to_string();
    let read = TableMetadata::parse(text.as_bytes()).unwrap();
    assert_eq!(read.problems_of_text(text.as_bytes()), Vec::<String>::new());
}

#[test]
fn nulls_that_some_readers_refuse_are_problems_of_a_registered_document() {
    let mut document = value(&base(2));
    document["schemas"][0]["identifier-field-ids"] = Value::Null;
    let text = document.to_string();
    assert_eq!(
        parse(&document).problems_of_text(text.as_bytes()),
        ["/schemas/0/identifier-field-ids is null: leave it out"]
    );
}

#[test]
fn partition_field_without_an_id_is_a_problem_from_v2_on_and_a_commit_adds_it() {
    let field = json!([{"name": "p", "transform": "identity", "source-id": 1}]);
    for version in [1, 2, 3] {
        let mut document = value(&base(version));
        document["partition-specs"][0]["fields"] = field.clone();
        if version == 1 {
            document["partition-spec"] = field.clone();
        }
        assert_eq!(problems(&document).contains("need a field-id from v2 on"), version > 1);
        let after = commit(&parse(&document), &json!([{"action": "set-properties", "updates": {"a": "b"}}]));
        assert_eq!(value(&after)["partition-specs"][0]["fields"][0]["field-id"], 1000);
    }
}

#[test]
fn snapshot_without_a_summary_gets_one_when_its_table_is_upgraded() {
    let mut bare = add_snapshot(1, None, 0);
    bare["snapshot"].as_object_mut().unwrap().remove("summary");
    bare["snapshot"].as_object_mut().unwrap().remove("sequence-number");
    let v1 = commit(&base(1), &json!([bare, set_main(1)]));
    let upgraded = commit(&v1, &json!([{"action": "upgrade-format-version", "format-version": 2}]));
    let snapshot = &value(&upgraded)["snapshots"][0];
    assert_eq!((&snapshot["summary"], &snapshot["sequence-number"]), (&json!({"operation": "overwrite"}), &json!(0)));
    let reader: Result<iceberg::spec::TableMetadata, _> = serde_json::from_slice(&upgraded.to_json());
    assert!(reader.is_ok(), "{reader:?}");
}

#[test]
fn last_ids_that_are_too_low_are_corrected_by_a_commit() {
    let mut low = value(&base(2));
    low["last-column-id"] = 1.into();
    low["last-partition-id"] = 0.into();
    let after = commit(&parse(&low), &with_column(column(4, "x", "long")));
    assert_eq!((after.last_column_id(), after.last_partition_id()), (4, 999));
    let spec =
        json!([{"action": "add-spec", "spec": {"fields": [{"name": "p", "transform": "identity", "source-id": 1}]}}]);
    assert_eq!(commit(&parse(&low), &spec).last_column_id(), 3);
}

fn view_version(representations: Value) -> Value {
    json!({"version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": ["n"],
        "default-catalog": null, "representations": representations})
}

fn try_view(columns: &[Value], version: Value) -> Result<ViewMetadata, CommitError> {
    let mut columns = schema(columns);
    columns["schema-id"] = 0.into();
    let request = json!({"name": "v", "schema": columns, "view-version": version, "properties": {}});
    let request = tidewater_core::view::CreateView::parse(request.to_string().as_bytes()).unwrap();
    tidewater_core::view::create_view(&request, "s3://b/v", crate::support::UUID)
}

#[test]
fn view_with_a_column_of_an_unknown_type_is_refused() {
    let version = || view_version(json!([{"type": "SQL", "sql": "select 1", "dialect": "spark"}]));
    let good = try_view(&[column(1, "a", "VARIANT")], version()).unwrap();
    for kind in ["strng", "decimal(40,2)"] {
        assert!(try_view(&[column(1, "a", kind)], version()).is_err(), "{kind}");
        let body =
            json!({"updates": [{"action": "add-schema", "schema": schema(&[column(1, "a", kind)])}]}).to_string();
        let updates = tidewater_core::view::ViewCommit::parse(body.as_bytes()).unwrap().updates;
        assert!(
            tidewater_core::view::apply_view_updates(&good, &updates, 1, tidewater_core::stop::Stop::NEVER).is_err(),
            "{kind}"
        );
    }
    let stored: Value = serde_json::from_slice(&good.to_json()).unwrap();
    assert_eq!(stored["schemas"][0]["fields"][0]["type"], "variant");
    assert_eq!(stored["versions"][0]["representations"][0]["type"], "sql");
    assert!(stored["versions"][0].get("default-catalog").is_none());
    assert_eq!(good.problems(), Vec::<String>::new());
}

#[test]
fn unknown_fields_and_transforms_stay_unchanged() {
    let mut changes =
        with_column(json!({"id": 4, "name": "x", "required": false, "type": "long", "future": {"a": [1]}}));
    changes.as_array_mut().unwrap().push(json!({"action": "add-spec", "spec": {"fields":
        [{"name": "cell", "transform": "GeoHash[6]", "source-id": 1, "future": 1}]}}));
    let after = value(&commit(&base(2), &changes));
    assert_eq!(after["schemas"][1]["fields"][3]["future"], json!({"a": [1]}));
    let field = &after["partition-specs"][1]["fields"][0];
    assert_eq!((&field["transform"], &field["future"]), (&json!("GeoHash[6]"), &json!(1)));
}
