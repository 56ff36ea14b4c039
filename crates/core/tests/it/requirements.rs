//! The eight requirements, with the error texts that clients match.

use serde_json::{Value, json};
use tidewater_core::commit::{CommitError, TableCommit};

use crate::support::{document, requirement};

#[test]
fn failed_requirement_has_the_text_that_clients_match() {
    let cases: [(Value, Value, &str); 7] = [
        (
            json!({"type": "assert-table-uuid", "uuid": "9C12D441-03fe-4693-9a96-a0705ddf69c1"}),
            json!({"type": "assert-table-uuid", "uuid": "00000000-03fe-4693-9a96-a0705ddf69c1"}),
            "Requirement failed: UUID does not match: expected 9c12d441-",
        ),
        (
            json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 3_055_729_675_574_597_004_i64}),
            json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 5}),
            "Requirement failed: branch main has changed: expected id 5 != 3055729675574597004",
        ),
        (
            json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 14}),
            json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 13}),
            "Requirement failed: last assigned field id changed: expected id 13 != 14",
        ),
        (
            json!({"type": "assert-current-schema-id", "current-schema-id": 1}),
            json!({"type": "assert-current-schema-id", "current-schema-id": 0}),
            "Requirement failed: current schema changed: expected id 0 != 1",
        ),
        (
            json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 1003}),
            json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999}),
            "Requirement failed: last assigned partition id changed: expected id 999 != 1003",
        ),
        (
            json!({"type": "assert-default-spec-id", "default-spec-id": 1}),
            json!({"type": "assert-default-spec-id", "default-spec-id": 0}),
            "Requirement failed: default partition spec changed: expected id 0 != 1",
        ),
        (
            json!({"type": "ASSERT-default-sort-order-id", "default-sort-order-id": 3}),
            json!({"type": "assert-default-sort-order-id", "default-sort-order-id": 0}),
            "Requirement failed: default sort order changed: expected id 0 != 3",
        ),
    ];
    let table = document("v2");
    for (holds, fails, words) in cases {
        assert_eq!(requirement(Some(&table), &holds), Ok(()));
        let message = requirement(Some(&table), &fails).unwrap_err();
        assert!(message.starts_with(words), "expected '{words}', got '{message}'");
        assert_eq!(requirement(None, &holds).unwrap_err(), "Requirement failed: table does not exist");
    }
}

#[test]
fn assert_create_fails_for_an_existing_table() {
    let create = json!({"type": "assert-create"});
    assert_eq!(requirement(None, &create), Ok(()));
    assert_eq!(requirement(Some(&document("v1")), &create).unwrap_err(), "Requirement failed: table already exists");
}

#[test]
fn null_or_absent_snapshot_id_requires_a_missing_ref() {
    let table = document("v2");
    for absent in [
        json!({"type": "assert-ref-snapshot-id", "ref": "new", "snapshot-id": null}),
        json!({"type": "assert-ref-snapshot-id", "ref": "new"}),
    ] {
        assert_eq!(requirement(Some(&table), &absent), Ok(()));
    }
    let there = json!({"type": "assert-ref-snapshot-id", "ref": "v1.0", "snapshot-id": null});
    assert_eq!(requirement(Some(&table), &there).unwrap_err(), "Requirement failed: tag v1.0 was created concurrently");
    let missing = json!({"type": "assert-ref-snapshot-id", "ref": "new", "snapshot-id": 7});
    assert_eq!(
        requirement(Some(&table), &missing).unwrap_err(),
        "Requirement failed: branch or tag new is missing, expected 7"
    );
}

#[test]
fn unknown_or_malformed_part_is_a_bad_request_that_names_it() {
    let cases = [
        ("{", "Malformed JSON"),
        ("[]", "Invalid commit"),
        (r#"{"requirements": [], "updates": 1}"#, "field 'updates' must be an array: 1"),
        (
            r#"{"requirements": [{"type": "assert-weather"}], "updates": []}"#,
            "Unknown table requirement: assert-weather",
        ),
        (
            r#"{"requirements": [{"type": "assert-view-uuid", "uuid": "x"}], "updates": []}"#,
            "Unknown table requirement: assert-view-uuid",
        ),
        (r#"{"requirements": [{}], "updates": []}"#, "Invalid requirement: missing field 'type'"),
        (
            r#"{"requirements": [], "updates": [{"action": "add-view-version"}]}"#,
            "Unknown table update: add-view-version",
        ),
        (
            r#"{"requirements": [], "updates": [{"action": "set-location"}]}"#,
            "Invalid update: missing field 'location'",
        ),
        (
            r#"{"requirements": [], "updates": [{"action": "set-location", "location": 5}]}"#,
            "field 'location' must be a string: 5",
        ),
        (
            r#"{"requirements": [], "updates": [{"action": "set-properties", "updates": {"a": null}}]}"#,
            "must be a map of strings",
        ),
        (
            r#"{"requirements": [], "updates": [{"action": "set-current-schema", "schema-id": 99999999999}]}"#,
            "must be a 32-bit integer",
        ),
        (r#"{"requirements": [], "updates": [{"action": "assign-uuid", "uuid": "nope"}]}"#, "Invalid UUID: nope"),
        (
            r#"{"requirements": [{"type": "assert-create"}, {"type": "assert-current-schema-id", "current-schema-id": 0}], "updates": []}"#,
            "Invalid create requirements",
        ),
    ];
    for (body, expected) in cases {
        match TableCommit::parse(body.as_bytes()) {
            Err(CommitError::BadRequest(message)) => {
                assert!(message.contains(expected), "expected '{expected}', got '{message}'");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(matches!(TableCommit::parse(b"{\"a\": \"\xff\"}"), Err(CommitError::BadRequest(_))), "invalid UTF-8");
}

#[test]
fn transaction_commit_without_its_table_is_refused() {
    let body = json!({"table-changes": [
        {"identifier": {"namespace": ["a", "b"], "name": "t"}, "requirements": [], "updates": []},
        {"identifier": {"namespace": ["c"], "name": "u"}, "requirements": [], "updates": [{"action": "remove-snapshots", "snapshot-ids": []}]},
    ]});
    let commits = TableCommit::parse_transaction(body.to_string().as_bytes()).unwrap();
    let names: Vec<_> = commits.iter().map(|commit| commit.identifier.clone().unwrap()).collect();
    assert_eq!((names[0].namespace.len(), names[0].name.as_str(), names[1].name.as_str()), (2, "t", "u"));
    for refused in [
        json!({"table-changes": [{"requirements": [], "updates": []}]}),
        json!({"table-changes": []}),
        json!({"table-changes": {}}),
        json!({}),
    ] {
        assert!(TableCommit::parse_transaction(refused.to_string().as_bytes()).is_err(), "{refused}");
    }
}

#[test]
fn absent_or_null_requirements_and_updates_are_empty() {
    for body in [r#"{"requirements": null, "updates": null}"#, r#"{"updates": []}"#, r#"{"requirements": []}"#, "{}"] {
        let commit = TableCommit::parse(body.as_bytes()).unwrap();
        assert!(commit.requirements.is_empty() && commit.updates.is_empty(), "{body}");
    }
}
