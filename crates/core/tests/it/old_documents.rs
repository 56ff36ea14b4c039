//! Documents that leave a table's log for good with a commit.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::commit::Context;
use tidewater_core::document::TableMetadata;
use tidewater_core::old_documents::{MAX_REMOVED_BY_COMMIT, removed_by_commit};

use crate::support::{context, document, try_commit_in, value};

fn at(number: usize) -> String {
    format!("s3://b/t/metadata/{number:05}-x.metadata.json")
}

/// Returns a table whose metadata log has `documents` entries, with these properties.
fn table(documents: usize, properties: &Value) -> TableMetadata {
    let mut table = value(&document("v2-minimal"));
    table["properties"] = properties.clone();
    let entry = |number: usize| json!({ "timestamp-ms": number, "metadata-file": at(number) });
    table["metadata-log"] = (0..documents).map(entry).collect();
    TableMetadata::parse(table.to_string().as_bytes()).unwrap()
}

/// Returns the table after a commit to the document `base` of that number.
fn commit(base: &TableMetadata, number: usize, changes: &Value) -> TableMetadata {
    let location = at(number);
    let context = Context { previous_metadata_location: Some(&location), ..context() };
    let changes = json!([{ "action": "set-properties", "updates": changes }]);
    try_commit_in(base, &changes, &context).unwrap().unwrap()
}

fn keeping(max: &str) -> Value {
    json!({ "write.metadata.delete-after-commit.enabled": "TRUE", "write.metadata.previous-versions-max": max })
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(at).collect()
}

#[test]
fn documents_beyond_the_log_are_removed_only_when_the_table_asks_for_it() {
    for (properties, removed) in [
        (json!({ "write.metadata.previous-versions-max": "2" }), 0..0),
        (
            json!({ "write.metadata.previous-versions-max": "2", "write.metadata.delete-after-commit.enabled": "1" }),
            0..0,
        ),
        (keeping("2"), 0..4),
        (keeping("1"), 0..5),
        (keeping("0"), 0..5),
        (keeping("6"), 0..0),
        (keeping("none"), 0..0),
    ] {
        let base = table(5, &properties);
        let next = commit(&base, 5, &json!({ "k": "v" }));
        assert_eq!(removed_by_commit(&base, &at(5), &next, None), numbers(removed), "{properties}");
    }
}

#[test]
fn properties_of_the_new_document_apply() {
    let base = table(5, &json!({}));
    let next = commit(&base, 5, &keeping("3"));
    assert_eq!(removed_by_commit(&base, &at(5), &next, None), numbers(0..3));
    let base = table(5, &keeping("3"));
    let next = commit(&base, 5, &json!({ "write.metadata.delete-after-commit.enabled": "false" }));
    assert_eq!(removed_by_commit(&base, &at(5), &next, None), numbers(0..0));
}

#[test]
fn default_log_has_100_documents() {
    let base = table(100, &json!({ "write.metadata.delete-after-commit.enabled": "true" }));
    let next = commit(&base, 100, &json!({ "k": "v" }));
    assert_eq!(removed_by_commit(&base, &at(100), &next, None), numbers(0..1));
}

#[test]
fn documents_up_to_the_registered_one_are_never_removed() {
    let base = table(5, &keeping("1"));
    let next = commit(&base, 5, &json!({ "k": "v" }));
    for (origin, removed) in [(0, 1..5), (2, 3..5), (4, 0..0), (5, 0..0), (9, 0..5)] {
        assert_eq!(removed_by_commit(&base, &at(5), &next, Some(&at(origin))), numbers(removed), "{origin}");
    }
}

#[test]
fn one_commit_removes_no_more_than_the_limit() {
    let base = table(3 * MAX_REMOVED_BY_COMMIT, &keeping("1"));
    let next = commit(&base, 3 * MAX_REMOVED_BY_COMMIT, &json!({ "k": "v" }));
    let removed = removed_by_commit(&base, &at(3 * MAX_REMOVED_BY_COMMIT), &next, None);
    assert_eq!(removed, numbers(0..MAX_REMOVED_BY_COMMIT));
}

proptest! {
    /// `CatalogUtil.deleteRemovedMetadataFiles` removes the difference of both logs.
    #[test]
    fn removed_documents_are_the_difference_of_both_logs_after_the_origin(
        documents in 0_usize..12,
        max in -1_i64..14,
        origin in proptest::option::of(0_usize..14),
    ) {
        let base = table(documents, &keeping(&max.to_string()));
        let next = commit(&base, documents, &json!({ "k": "v" }));
        let origin = origin.filter(|origin| *origin <= documents);
        let removed = removed_by_commit(&base, &at(documents), &next, origin.map(at).as_deref());
        let log = |table: &TableMetadata| -> Vec<String> {
            table.metadata_log().iter().map(|entry| entry.metadata_file.to_string()).collect()
        };
        let first_own = origin.map_or(0, |origin| origin + 1);
        let expected: Vec<String> =
            log(&base).into_iter().skip(first_own).filter(|file| !log(&next).contains(file)).collect();
        prop_assert_eq!(removed, expected);
    }
}
