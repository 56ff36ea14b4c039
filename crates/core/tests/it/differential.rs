//! Applies the same commits with the `iceberg` crate as an oracle. Tests in `disagreements` explain the known differences.

use std::collections::HashSet;

use iceberg::TableUpdate;
use iceberg::spec::TableMetadata as Oracle;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::commit::Context;
use tidewater_core::document::TableMetadata;

use crate::generated::{Step, THEN_MS, changes, start, step};
use crate::support::{context, try_commit_in};

/// Returns the oracle's document, or the reason of its refusal.
pub(crate) fn oracle(base: &TableMetadata, updates: &[Value]) -> Result<Value, String> {
    let base: Oracle = serde_json::from_slice(&base.to_json()).map_err(|error| format!("base: {error}"))?;
    let mut builder = base.into_builder(None);
    for update in updates {
        let update: TableUpdate = serde_json::from_value(update.clone()).map_err(|error| format!("parse: {error}"))?;
        builder = update.apply(builder).map_err(|error| error.to_string())?;
    }
    let built = builder.build().map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(built.metadata).unwrap())
}

pub(crate) fn ours(base: &TableMetadata, updates: &[Value]) -> Result<Option<TableMetadata>, String> {
    let then = Context { now_ms: THEN_MS, previous_metadata_location: None, ..context() };
    try_commit_in(base, &json!(updates), &then).map_err(|error| error.to_string())
}

/// Returns our document in the oracle's form.
fn in_oracles_words(document: &TableMetadata) -> Value {
    let read: Oracle = serde_json::from_slice(&document.to_json()).unwrap();
    serde_json::to_value(read).unwrap()
}

/// Removes times (the oracle reads the clock) and statistics of removed snapshots, and sorts the lists.
fn comparable(mut document: Value, removed: &HashSet<i64>) -> Value {
    let fields = document.as_object_mut().unwrap();
    fields.remove("last-updated-ms");
    fields.remove("metadata-log");
    for entry in fields.get_mut("snapshot-log").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.as_object_mut().unwrap().remove("timestamp-ms");
    }
    for (list, id) in [
        ("schemas", "schema-id"),
        ("partition-specs", "spec-id"),
        ("sort-orders", "order-id"),
        ("snapshots", "snapshot-id"),
        ("statistics", "snapshot-id"),
    ] {
        if let Some(list) = fields.get_mut(list).and_then(Value::as_array_mut) {
            list.sort_by_key(|element| element[id].as_i64());
        }
    }
    if let Some(statistics) = fields.get_mut("statistics").and_then(Value::as_array_mut) {
        statistics.retain(|file| !removed.contains(&file["snapshot-id"].as_i64().unwrap()));
    }
    fields.retain(|_, value| !(value.as_array().is_some_and(Vec::is_empty)));
    document
}

fn removed(step: &Step) -> HashSet<i64> {
    match step {
        Step::RemoveSnapshots { ids } => ids.iter().copied().collect(),
        _ => HashSet::new(),
    }
}

/// Returns whether a step shows a known difference, for which `disagreements` has a test.
fn is_known_difference(step: &Step, table: &TableMetadata) -> bool {
    match step {
        Step::RemoveSnapshots { ids } => table.current_snapshot_id().is_some_and(|current| ids.contains(&current)),
        Step::Ref { keep: Some(0), .. } => true,
        Step::Spec { .. } => table.format_version() == 1,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_commit_equals_the_oracles(version in 1..4_u8, steps in prop::collection::vec(step(), 1..16)) {
        let mut table = start(version);
        for step in steps {
            let updates = changes(&step, &table);
            if is_known_difference(&step, &table) {
                table = ours(&table, &updates).ok().flatten().unwrap_or(table);
                continue;
            }
            match (ours(&table, &updates), oracle(&table, &updates)) {
                (Ok(ours), Ok(oracle)) => {
                    let removed = removed(&step);
                    let after = ours.unwrap_or_else(|| table.clone());
                    let found = comparable(in_oracles_words(&after), &removed);
                    let expected = comparable(oracle, &removed);
                    for (key, value) in expected.as_object().unwrap() {
                        prop_assert_eq!(found.get(key), Some(value), "{} after {:?}", key, step);
                    }
                    prop_assert_eq!(found.as_object().unwrap().len(), expected.as_object().unwrap().len());
                    table = after;
                }
                (Err(_), Err(_)) => {}
                (ours, oracle) => {
                    prop_assert!(false, "{step:?}: ours {:?}, oracle {:?}", ours.err(), oracle.err());
                }
            }
        }
    }
}
