//! Updates to snapshots, refs, statistics and keys, and the resulting logs.

use serde_json::{Value, json};
use tidewater_core::commit::{Context, Outcome, apply_updates};
use tidewater_core::document::TableMetadata;

use crate::support::{
    DOCUMENTS, NOW_MS, add_snapshot, commit, conflict, context, document, refused, set_main, set_ref, table,
    try_commit, updates, value,
};

fn log(table: &TableMetadata) -> Vec<i64> {
    table.snapshot_log().iter().map(|entry| entry.snapshot_id).collect()
}

fn remove(ids: &[i64]) -> Value {
    json!({"action": "remove-snapshots", "snapshot-ids": ids})
}

/// Returns a v2 table whose `main` pointed to the snapshots 1, 2 and 3 in turn.
fn three_snapshots() -> TableMetadata {
    let one = commit(&table(2), &json!([add_snapshot(1, None, 1), set_main(1)]));
    let two = commit(&one, &json!([add_snapshot(2, Some(1), 2), set_main(2)]));
    commit(&two, &json!([add_snapshot(3, Some(2), 3), set_main(3)]))
}

#[test]
fn snapshot_of_the_main_branch_is_current() {
    let added = commit(&table(2), &json!([add_snapshot(1, None, 1)]));
    assert_eq!((added.current_snapshot_id(), added.last_sequence_number(), log(&added).len()), (None, 1, 0));
    let table = three_snapshots();
    assert_eq!((table.current_snapshot_id(), table.last_sequence_number()), (Some(3), 3));
    assert_eq!(log(&table), [1, 2, 3]);
    assert_eq!(value(&table)["refs"], json!({"main": {"snapshot-id": 3, "type": "branch"}}));
}

#[test]
fn snapshot_based_on_an_older_document_is_a_conflict() {
    let base = three_snapshots();
    let message = conflict(&base, &json!([add_snapshot(9, Some(2), 3)]));
    assert_eq!(
        message,
        "Validation failed, please retry: Cannot add snapshot with sequence number 3 older than last sequence number 3"
    );
    assert_eq!(refused(&base, &json!([add_snapshot(3, Some(2), 4)])), "Snapshot already exists for id: 3");
    assert!(refused(&base, &json!([add_snapshot(9, None, -1)])).contains("cannot be negative"));
}

#[test]
fn snapshot_with_the_id_for_no_snapshot_is_refused() {
    // With this id, `main` would be read back as "no current snapshot", and the document would be refused.
    for (version, number) in [(1, 0), (2, 1)] {
        let message = refused(&table(version), &json!([add_snapshot(-1, None, number), set_main(-1)]));
        assert_eq!(message, "Invalid snapshot -1: this id means that there is no snapshot");
    }
}

#[test]
fn last_sequence_number_never_falls() {
    // The reference implementation uses the number of a snapshot without a parent unchanged.
    let base = three_snapshots();
    let after = commit(&base, &json!([add_snapshot(9, None, 1)]));
    assert_eq!(after.last_sequence_number(), 3);
}

#[test]
fn sequence_number_in_v1_is_refused() {
    assert!(refused(&table(1), &json!([add_snapshot(1, None, 1)])).contains("must be 0 in v1"));
    let after = commit(&table(1), &json!([add_snapshot(1, None, 0), set_main(1)]));
    assert_eq!((after.current_snapshot_id(), after.last_sequence_number()), (Some(1), 0));
}

#[test]
fn new_snapshot_is_kept_unchanged_except_a_null_parent() {
    let mut update = add_snapshot(1, None, 1);
    update["snapshot"]["parent-snapshot-id"] = json!(null);
    update["snapshot"]["x-vendor"] = json!({"a": [1.50]});
    let after = value(&commit(&table(2), &json!([update])));
    update["snapshot"].as_object_mut().unwrap().remove("parent-snapshot-id");
    assert_eq!(after["snapshots"], json!([update["snapshot"]]));
}

#[test]
fn snapshot_without_a_required_field_is_refused() {
    for (key, expected) in
        [("snapshot-id", "snapshot-id"), ("timestamp-ms", "timestamp-ms"), ("manifest-list", "manifest-list")]
    {
        let mut update = add_snapshot(1, None, 1);
        update["snapshot"].as_object_mut().unwrap().remove(key);
        let message = refused(&table(2), &json!([update]));
        assert!(message.contains(expected), "{message}");
    }
    let listed = json!([{"action": "add-snapshot", "snapshot": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}]);
    assert!(refused(&table(2), &listed).contains("expected an object"));
}

#[test]
fn row_ids_advance_and_are_never_assigned_twice() {
    let rows = |id: i64, sequence: i64, first: Option<i64>, added: Option<i64>| {
        let mut update = add_snapshot(id, (id > 1).then_some(id - 1), sequence);
        update["snapshot"]["first-row-id"] = json!(first);
        update["snapshot"]["added-rows"] = json!(added);
        json!([update])
    };
    let one = commit(&table(3), &rows(1, 1, Some(0), Some(100)));
    assert_eq!(one.next_row_id(), 100);
    assert_eq!(
        conflict(&one, &rows(2, 2, Some(99), Some(1))),
        "Validation failed, please retry: Cannot add a snapshot, first-row-id is behind table next-row-id: 99 < 100"
    );
    assert_eq!(refused(&one, &rows(2, 2, None, None)), "Cannot add a snapshot: first-row-id is null");
    assert!(refused(&one, &rows(2, 2, Some(100), None)).contains("required when first-row-id is set"));
    assert!(refused(&one, &rows(2, 2, Some(100), Some(-1))).contains("cannot be negative"));
    assert!(refused(&one, &rows(2, 2, Some(i64::MAX), Some(1))).contains("no row ids are left"));
    // The reference implementation would return 105 here, and assign 120 to 124 again.
    assert_eq!(commit(&one, &rows(2, 2, Some(120), Some(5))).next_row_id(), 125);
    let ignored = commit(&table(2), &rows(1, 1, Some(7), Some(1)));
    assert_eq!(ignored.next_row_id(), 0, "there are no row ids before v3");
}

#[test]
fn snapshots_that_were_current_only_within_a_commit_are_not_logged() {
    let base = three_snapshots();
    let both = json!([add_snapshot(4, Some(3), 4), set_main(4), add_snapshot(5, Some(4), 5), set_main(5)]);
    assert_eq!(log(&commit(&base, &both)), [1, 2, 3, 5]);
    let back = json!([add_snapshot(4, Some(3), 4), set_main(4), set_main(2)]);
    let after = commit(&base, &back);
    assert_eq!((after.current_snapshot_id(), log(&after)), (Some(2), vec![1, 2, 3, 2]));
}

#[test]
fn rollback_is_logged_at_the_time_of_the_commit() {
    let after = commit(&three_snapshots(), &json!([set_main(1)]));
    let last = after.snapshot_log().last().map(|entry| *entry.value).unwrap();
    assert_eq!((last.snapshot_id, last.timestamp_ms), (1, NOW_MS));
    assert!(try_commit(&after, &json!([set_main(1)])).unwrap().is_none(), "main points there already");
}

#[test]
fn log_entries_before_a_removed_snapshot_are_removed() {
    let base = three_snapshots();
    let after = commit(&base, &json!([remove(&[2, 77])]));
    assert_eq!(log(&after), [3]);
    assert_eq!(after.snapshots().iter().map(|one| one.id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(log(&commit(&base, &json!([remove(&[1])]))), [2, 3]);
    assert!(try_commit(&base, &json!([remove(&[77]), remove(&[])])).unwrap().is_none());
}

#[test]
fn removing_a_snapshot_removes_its_refs_and_statistics() {
    let base = document("v2");
    let (current, audit) = (3_055_729_675_574_597_004, 3_055_729_675_574_597_005);
    let after = commit(&base, &json!([remove(&[current])]));
    assert_eq!(after.current_snapshot_id(), None);
    assert_eq!(after.refs().keys().collect::<Vec<_>>(), ["audit", "v1.0"]);
    assert_eq!((after.statistics().len(), after.partition_statistics().len()), (0, 0));
    assert!(String::from_utf8(after.to_json()).unwrap().contains("\"current-snapshot-id\":-1"));
    assert_eq!(commit(&base, &json!([remove(&[audit])])).statistics().len(), 1);
}

#[test]
fn fifty_thousand_snapshots_are_removed_in_one_commit() {
    let mut text = value(&table(2));
    let snapshots: Vec<Value> = (1..=50_001).map(|id| add_snapshot(id, None, 1)["snapshot"].clone()).collect();
    text["snapshots"] = snapshots.into();
    text["last-sequence-number"] = 1.into();
    let base = TableMetadata::parse(text.to_string().as_bytes()).unwrap();
    let ids: Vec<i64> = (1..=50_000).collect();
    let after = commit(&base, &json!([remove(&ids)]));
    assert_eq!(after.snapshots().iter().map(|one| one.id).collect::<Vec<_>>(), [50_001]);
    assert!(after.size_bytes() < 20_000, "removed snapshots take no memory");
}

#[test]
fn invalid_branch_or_tag_is_refused() {
    let base = three_snapshots();
    let with = |mut update: Value, key: &str, value: i64| {
        update[key] = value.into();
        json!([update])
    };
    let tagged = commit(&base, &with(set_ref("v1", "tag", 1), "max-ref-age-ms", 5));
    assert_eq!(value(&tagged)["refs"]["v1"], json!({"type": "tag", "snapshot-id": 1, "max-ref-age-ms": 5}));
    assert_eq!(log(&tagged), [1, 2, 3], "only main has a log");
    let cases = [
        (json!([set_ref("b", "branch", 9)]), "Cannot set b to unknown snapshot: 9"),
        (json!([set_ref("main", "tag", 1)]), "Cannot set main to a tag"),
        (json!([set_ref("b", "twig", 1)]), "Invalid snapshot ref type: twig"),
        (with(set_ref("t", "tag", 1), "min-snapshots-to-keep", 1), "Tags do not support setting minSnapshotsToKeep"),
        (with(set_ref("t", "tag", 1), "max-snapshot-age-ms", 1), "Tags do not support setting maxSnapshotAgeMs"),
        (with(set_ref("b", "branch", 1), "min-snapshots-to-keep", 0), "must be greater than 0"),
        (with(set_ref("b", "branch", 1), "max-snapshot-age-ms", 0), "must be greater than 0"),
        (with(set_ref("b", "branch", 1), "max-ref-age-ms", -1), "must be greater than 0"),
    ];
    for (change, expected) in cases {
        let message = refused(&base, &change);
        assert!(message.contains(expected), "expected '{expected}', got '{message}'");
    }
    let removed = commit(&tagged, &json!([{"action": "remove-snapshot-ref", "ref-name": "main"}]));
    assert_eq!((removed.current_snapshot_id(), removed.refs().len(), log(&removed)), (None, 1, vec![1, 2, 3]));
    assert!(try_commit(&removed, &json!([{"action": "remove-snapshot-ref", "ref-name": "main"}])).unwrap().is_none());
}

#[test]
fn clocks_may_differ_by_at_most_a_minute() {
    let at = |timestamp: i64| {
        let mut update = add_snapshot(9, Some(3), 9);
        update["snapshot"]["timestamp-ms"] = timestamp.into();
        json!([update, set_main(9)])
    };
    let base = three_snapshots();
    assert!(try_commit(&base, &at(NOW_MS + 60_000)).is_ok());
    assert!(refused(&base, &at(NOW_MS + 60_001)).contains("Invalid update timestamp"));
    assert!(try_commit(&base, &at(NOW_MS - 60_000)).is_ok());
    assert!(refused(&base, &at(NOW_MS - 60_001)).contains("Expected sorted snapshot log entries"));
}

#[test]
fn document_time_does_not_fall_when_the_clock_is_behind() {
    let base = three_snapshots();
    let early = Context { now_ms: 5, ..context() };
    let change = updates(&json!([{"action": "set-properties", "updates": {"a": "b"}}]));
    let Outcome::Changed(after) = apply_updates(&base, &change.updates, &early).unwrap() else { panic!("unchanged") };
    assert_eq!(after.last_updated_ms(), NOW_MS);
}

#[test]
fn metadata_log_has_the_earlier_documents_up_to_the_maximum() {
    let mut table = table(2);
    for version in 0..5 {
        let location = format!("s3://b/{version}.json");
        let context = Context { previous_metadata_location: Some(&location), ..context() };
        let change = json!([{"action": "set-properties",
            "updates": {"write.metadata.previous-versions-max": if version < 4 { "3" } else { "2" }}}]);
        let Outcome::Changed(next) = apply_updates(&table, &updates(&change).updates, &context).unwrap() else {
            panic!("unchanged")
        };
        table = *next;
        let files: Vec<&str> = table.metadata_log().iter().map(|entry| &*entry.value.metadata_file).collect();
        let expected: &[&str] = match version {
            0 => &["s3://b/0.json"],
            1 => &["s3://b/0.json", "s3://b/1.json"],
            2 => &["s3://b/0.json", "s3://b/1.json", "s3://b/2.json"],
            3 => &["s3://b/1.json", "s3://b/2.json", "s3://b/3.json"],
            _ => &["s3://b/3.json", "s3://b/4.json"],
        };
        assert_eq!(files, expected);
    }
    for nonsense in ["many", "-5", "0", "99999999999999999999"] {
        let change =
            json!([{"action": "set-properties", "updates": {"write.metadata.previous-versions-max": nonsense}}]);
        assert!(!commit(&table, &change).metadata_log().is_empty(), "{nonsense}");
    }
}

#[test]
fn snapshot_has_at_most_one_statistics_file() {
    let set = |path: &str| {
        json!([{"action": "set-statistics", "snapshot-id": 1, "statistics": {"snapshot-id": 1, "statistics-path": path,
            "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": [], "x": 1.50}},
            {"action": "set-partition-statistics", "partition-statistics": {"snapshot-id": 1, "statistics-path": path,
            "file-size-in-bytes": 1}}])
    };
    let after = commit(&commit(&table(2), &set("a")), &set("b"));
    assert_eq!((after.statistics().len(), after.partition_statistics().len()), (1, 1));
    assert_eq!(value(&after)["statistics"][0]["statistics-path"], "b");
    let gone = json!([{"action": "remove-statistics", "snapshot-id": 1}, {"action": "remove-partition-statistics", "snapshot-id": 1}]);
    let removed = commit(&after, &gone);
    assert_eq!((removed.statistics().len(), removed.partition_statistics().len()), (0, 0));
    assert!(try_commit(&removed, &gone).unwrap().is_none());
}

#[test]
fn encryption_key_needs_v3_and_is_added_once() {
    let add = json!([{"action": "add-encryption-key", "encryption-key": {"key-id": "k", "encrypted-key-metadata": "YQ==", "x": 1}}]);
    assert!(refused(&table(2), &add).contains("not supported in v2"));
    let after = commit(&table(3), &add);
    assert_eq!(value(&after)["encryption-keys"], json!([add[0]["encryption-key"]]));
    assert!(try_commit(&after, &add).unwrap().is_none());
    let gone = commit(&after, &json!([{"action": "remove-encryption-key", "key-id": "k"}]));
    assert!(value(&gone).get("encryption-keys").is_none());
}

#[test]
fn uuid_cannot_change_and_version_and_location_change_only_by_an_update() {
    let base = table(2);
    let other = json!([{"action": "assign-uuid", "uuid": "11111111-2222-7333-8444-555555555555"}]);
    // The reference implementation replaces the table's id, which the specification calls unsafe.
    assert!(refused(&base, &other).contains("Cannot reassign table UUID"));
    assert!(commit(&document("v1-legacy"), &other).uuid().unwrap().starts_with("11111111"));
    let same = json!([{"action": "assign-uuid", "uuid": base.uuid().unwrap().to_uppercase()},
        {"action": "upgrade-format-version", "format-version": 2}, {"action": "set-location", "location": "s3://b/t//"}]);
    assert!(try_commit(&base, &same).unwrap().is_none());
    let version = |version: i32| json!([{"action": "upgrade-format-version", "format-version": version}]);
    assert_eq!(refused(&base, &version(1)), "Cannot downgrade v2 table to v1");
    assert_eq!(refused(&base, &version(4)), "Unsupported format version: v4 (supported: v3)");
    assert_eq!(value(&commit(&base, &version(3)))["next-row-id"], 0);
    assert_eq!(commit(&base, &json!([{"action": "set-location", "location": "s3://b/new/"}])).location(), "s3://b/new");
}

#[test]
fn upgraded_v1_table_has_all_required_fields_of_v2() {
    let upgrade = json!([{"action": "upgrade-format-version", "format-version": 2}]);
    let message = refused(&document("v1-legacy"), &upgrade);
    assert!(message.contains("names its manifests itself, which only v1 allows"), "{message}");
    let (_, text) = DOCUMENTS[0];
    let with_list = text.replace(
        r#""manifests": ["hdfs://nn:8020/warehouse/events/metadata/m0.avro"]"#,
        r#""manifest-list": "hdfs://nn:8020/warehouse/events/metadata/s0.avro""#,
    );
    let after = commit(&TableMetadata::parse(with_list.as_bytes()).unwrap(), &upgrade);
    let written = value(&after);
    assert_eq!(written["snapshots"][0]["sequence-number"], 0);
    assert!(written.get("schema").is_none() && written.get("partition-spec").is_none());
    assert_eq!(written["last-sequence-number"], 0);
    assert_eq!(written["partition-specs"][0]["fields"][1]["field-id"], 1001);
    assert_eq!(TableMetadata::parse(&after.to_json()).unwrap().format_version(), 2);
}

#[test]
fn properties_are_set_and_removed_with_both_field_names() {
    let base = table(2);
    for (set, removed) in [("updates", "removals"), ("updated", "removed")] {
        let mut change = json!({"action": "set-properties"});
        change[set] = json!({"a": "1", "b": "2"});
        let after = commit(&base, &json!([change]));
        assert_eq!((&*after.properties()["a"], &*after.properties()["b"]), ("1", "2"));
        let mut change = json!({"action": "remove-properties"});
        change[removed] = json!(["a", "unknown"]);
        assert!(!commit(&after, &json!([change])).properties().contains_key("a"));
    }
}

#[test]
fn commit_makes_a_new_document_if_the_reference_implementation_would() {
    let base = commit(&table(2), &json!([{"action": "set-properties", "updates": {"a": "1"}}]));
    let same_value = json!([{"action": "set-properties", "updates": {"a": "1"}}]);
    assert!(try_commit(&base, &same_value).unwrap().is_some(), "setting the same value counts");
    for nothing in [
        json!([]),
        json!([{"action": "set-properties", "updates": {}}, {"action": "remove-properties", "removals": []}]),
    ] {
        assert!(try_commit(&base, &nothing).unwrap().is_none());
    }
}
