//! Summarises a commit for the event that tells of it later.

use serde_json::{Map, Value};

use super::{TableCommit, TableRequirement, TableUpdate};

/// How many snapshot ids a summary names at most.
const MAX_SNAPSHOTS: usize = 20;

/// The summary of the commits to one table: how many updates and requirements it has of each kind, by the names of the REST
/// specification, and which snapshots it adds. Its size has a bound, whatever the commits hold.
#[must_use]
pub fn summary(commits: &[TableCommit]) -> Map<String, Value> {
    let updates = commits.iter().flat_map(|commit| &commit.updates);
    let requirements = commits.iter().flat_map(|commit| &commit.requirements);
    let added = updates.clone().filter_map(|update| match update {
        TableUpdate::AddSnapshot { snapshot, .. } => Some(snapshot.id),
        _ => None,
    });
    let mut summary = counts(updates.map(TableUpdate::action), requirements.map(TableRequirement::kind));
    let snapshots: Vec<i64> = added.take(MAX_SNAPSHOTS).collect();
    if !snapshots.is_empty() {
        summary.insert("snapshot-ids".to_owned(), snapshots.into());
    }
    summary
}

/// Counts the updates and requirements of a commit by kind.
pub(crate) fn counts<'a>(
    updates: impl Iterator<Item = &'a str>,
    requirements: impl Iterator<Item = &'a str>,
) -> Map<String, Value> {
    let mut summary = Map::new();
    summary.insert("updates".to_owned(), count(updates));
    summary.insert("requirements".to_owned(), count(requirements));
    summary
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let mut counts: Map<String, Value> = Map::new();
    for name in names {
        let before = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(name.to_owned(), (before + 1).into());
    }
    Value::Object(counts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summary_of_a_commit_counts_each_kind_and_names_added_snapshots() {
        let snapshot = |id: i64| {
            json!({ "action": "add-snapshot", "snapshot": {
                "snapshot-id": id, "timestamp-ms": 1, "manifest-list": "s3://b/l", "summary": { "operation": "append" } } })
        };
        let body = json!({
            "requirements": [{ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null }],
            "updates": [snapshot(7), snapshot(8), { "action": "remove-snapshots", "snapshot-ids": [1, 2] }],
        });
        let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            Value::Object(summary(&[commit])),
            json!({
                "updates": { "add-snapshot": 2, "remove-snapshots": 1 },
                "requirements": { "assert-ref-snapshot-id": 1 },
                "snapshot-ids": [7, 8],
            })
        );
    }

    #[test]
    fn summary_of_many_updates_stays_small() {
        let updates: Vec<_> =
            (0..10_000).map(|id| json!({ "action": "remove-statistics", "snapshot-id": id })).collect();
        let body = json!({ "requirements": [], "updates": updates }).to_string();
        let commit = TableCommit::parse(body.as_bytes()).unwrap();
        assert!(Value::Object(summary(&[commit])).to_string().len() < 100);
    }
}
