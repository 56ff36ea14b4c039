//! Commits with many updates.

use serde_json::{Value, json};
use tidewater_core::commit::MAX_ADDED_DEFINITIONS;

use crate::support::{add_snapshot, commit, refused, set_main, table};

#[test]
fn one_commit_can_remove_fifty_thousand_snapshots_one_by_one() {
    // Java before 1.8 sends this to expire snapshots. A rule that scans all snapshots for each update would take too long.
    let mut updates: Vec<Value> = (1..=50_000).map(|id| add_snapshot(id, None, id)).collect();
    updates.push(set_main(50_000));
    let full = commit(&table(2), &json!(updates));
    let removals: Vec<Value> =
        (1..50_000).map(|id| json!({"action": "remove-snapshots", "snapshot-ids": [id]})).collect();
    let after = commit(&full, &json!(removals));
    assert_eq!((after.snapshots().len(), after.current_snapshot_id()), (1, Some(50_000)));
}

#[test]
fn commit_of_too_many_definitions_is_refused() {
    let spec = |number: usize| {
        json!({"action": "add-spec", "spec": {"fields":
            [{"name": format!("p{number}"), "transform": format!("bucket[{}]", number + 1), "source-id": 1}]}})
    };
    let specs = |count: usize| json!((0..count).map(spec).collect::<Vec<_>>());
    assert_eq!(commit(&table(2), &specs(MAX_ADDED_DEFINITIONS)).partition_specs().len(), MAX_ADDED_DEFINITIONS + 1);
    let message = refused(&table(2), &specs(MAX_ADDED_DEFINITIONS + 1));
    assert!(message.contains("at most 1000 schemas, partition specs and sort orders"), "{message}");
}
