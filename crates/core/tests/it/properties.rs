//! Properties of every sequence of commits, and of every request.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::commit::{
    CommitError, Context, CreateTable, Outcome, TableCommit, apply_updates, check_requirements, create_from_updates,
    create_table,
};
use tidewater_core::document::TableMetadata;

use crate::generated::{Step, THEN_MS, changes, start, step};
use crate::support::{DOCUMENTS, context, try_commit_in};

fn then() -> Context<'static> {
    Context { now_ms: THEN_MS, ..context() }
}

fn apply(base: &TableMetadata, updates: &[Value]) -> Result<Option<TableMetadata>, CommitError> {
    try_commit_in(base, &json!(updates), &then())
}

fn invariants(before: &TableMetadata, after: &TableMetadata) {
    assert!(after.last_column_id() >= before.last_column_id());
    assert!(after.last_partition_id() >= before.last_partition_id());
    assert!(after.last_sequence_number() >= before.last_sequence_number());
    assert!(after.next_row_id() >= before.next_row_id());
    assert!(after.last_updated_ms() >= before.last_updated_ms());
    assert!(after.format_version() >= before.format_version());
    assert_eq!(after.uuid(), before.uuid());
    assert!(after.schemas().all(|schema| schema.highest_field_id() <= after.last_column_id()));
    assert!(after.partition_specs().all(|spec| spec.highest_field_id() <= after.last_partition_id()));
    assert_eq!(after.main_branch().map(|main| main.snapshot_id), after.current_snapshot_id());
    assert_eq!(after.metadata_log().len(), before.metadata_log().len().min(99) + 1);
    let ids: HashSet<i64> = after.snapshots().iter().map(|snapshot| snapshot.id).collect();
    if let Some(current) = after.current_snapshot_id() {
        assert_eq!(after.snapshot_log().last().map(|entry| entry.snapshot_id), Some(current));
    }
    assert!(after.snapshot_log().iter().all(|entry| ids.contains(&entry.snapshot_id)));
}

proptest! {
    /// The document after any sequence of commits is consistent and parses to itself. No later commit changes it, accepted or
    /// refused.
    #[test]
    fn every_commit_makes_a_valid_document_and_keeps_its_base(
        version in 1..4_u8,
        steps in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..12),
    ) {
        let mut table = start(version);
        for step in steps {
            let before = table.to_json();
            let updates: Vec<Value> = step.iter().flat_map(|step: &Step| changes(step, &table)).collect();
            let outcome = apply(&table, &updates);
            prop_assert_eq!(table.to_json(), before);
            if let Ok(Some(after)) = outcome {
                invariants(&table, &after);
                let read = TableMetadata::parse(&after.to_json()).unwrap();
                prop_assert_eq!(read.to_json(), after.to_json());
                table = read;
            }
        }
    }

    /// Repeated updates change the table or not, but never corrupt it. No schema, spec or order appears twice.
    #[test]
    fn repeated_updates_make_no_duplicates(version in 1..4_u8, steps in prop::collection::vec(step(), 1..20)) {
        let mut table = start(version);
        for step in steps {
            if let Ok(Some(after)) = apply(&table, &changes(&step, &table)) {
                table = after;
            }
            for (position, one) in table.schemas().enumerate() {
                prop_assert!(table.schemas().skip(position + 1).all(|other| other.id() != one.id() && !other.same_columns(one)));
            }
            for (position, one) in table.partition_specs().enumerate() {
                prop_assert!(table.partition_specs().skip(position + 1).all(|other| other.id() != one.id() && !other.compatible_with(one)));
            }
            for (position, one) in table.sort_orders().enumerate() {
                prop_assert!(table.sort_orders().skip(position + 1).all(|other| other.id() != one.id() && !other.same_order(one)));
            }
        }
    }

    /// One failed requirement in any position fails the commit, and no update is applied.
    #[test]
    fn one_failed_requirement_fails_the_commit(
        version in 1..4_u8,
        good in prop::collection::vec(0..6_usize, 0..5),
        at in any::<prop::sample::Index>(),
        bad in 0..7_usize,
    ) {
        let table = start(version);
        let requirement = |kind: usize, wrong: i32| match kind {
            0 => json!({"type": "assert-current-schema-id", "current-schema-id": wrong}),
            1 => json!({"type": "assert-last-assigned-field-id", "last-assigned-field-id": 6 + wrong}),
            2 => json!({"type": "assert-default-spec-id", "default-spec-id": wrong}),
            3 => json!({"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999 + wrong}),
            4 => json!({"type": "assert-default-sort-order-id", "default-sort-order-id": wrong}),
            5 => json!({"type": "assert-ref-snapshot-id", "ref": "main",
                "snapshot-id": if wrong == 0 { Value::Null } else { json!(wrong) }}),
            _ => json!({"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}),
        };
        let mut all: Vec<Value> = good.iter().map(|kind| requirement(*kind, 0)).collect();
        let check = |all: &[Value]| {
            let commit = TableCommit::parse(json!({ "requirements": all, "updates": [] }).to_string().as_bytes()).unwrap();
            check_requirements(&commit.requirements, Some(&table))
        };
        prop_assert_eq!(check(&all), Ok(()));
        all.insert(at.index(all.len() + 1), requirement(bad, 1));
        let failed = check(&all);
        prop_assert!(matches!(failed, Err(CommitError::Conflict(message)) if message.starts_with("Requirement failed: ")));
    }

    #[test]
    fn arbitrary_request_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = TableCommit::parse(&bytes);
        let _ = TableCommit::parse_transaction(&bytes);
        let _ = CreateTable::parse(&bytes);
    }

    /// A request with one value replaced by another is refused with an error, or applied.
    #[test]
    fn damaged_request_does_not_panic(
        version in 1..4_u8,
        steps in prop::collection::vec(step(), 1..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        token in prop::sample::select(vec!["null", "-1", "0", "2147483647", "9223372036854775807", "\"\"", "[]", "{}", "1.5"]),
    ) {
        let table = start(version);
        let updates: Vec<Value> = steps.iter().flat_map(|step| changes(step, &table)).collect();
        let mut body = json!({ "requirements": [], "updates": updates }).to_string();
        for at in at {
            let colons: Vec<usize> = body.match_indices(':').map(|(position, _)| position + 1).collect();
            let start = colons[at.index(colons.len())];
            let end = body[start..].find([',', '}']).map_or(body.len(), |length| start + length);
            body.replace_range(start..end, token);
        }
        if let Ok(commit) = TableCommit::parse(body.as_bytes()) {
            if let Ok(Outcome::Changed(after)) = apply_updates(&table, &commit.updates, &then()) {
                prop_assert!(TableMetadata::parse(&after.to_json()).is_ok());
            }
            let _ = create_from_updates(&commit.updates, "s3://b/t", &then());
        }
    }

    /// A new table may have the schema of any document, and its own document parses.
    #[test]
    fn table_created_with_the_schema_of_another_can_be_parsed(which in 2..DOCUMENTS.len(), version in 1..4_u8) {
        let like = TableMetadata::parse(DOCUMENTS[which].1.as_bytes()).unwrap();
        let schema: &serde_json::value::RawValue =
            serde_json::from_str(like.schema(like.current_schema_id()).unwrap().json()).unwrap();
        let body = format!(r#"{{"name":"t","schema":{},"properties":{{"format-version":"{version}"}}}}"#, schema.get());
        match create_table(&CreateTable::parse(body.as_bytes()).unwrap(), "s3://b/t", &then()) {
            Ok(made) => prop_assert_eq!(TableMetadata::parse(&made.to_json()).unwrap().to_json(), made.to_json()),
            Err(error) => prop_assert!(version < 3 && error.to_string().contains("not supported until v3")),
        }
    }
}
