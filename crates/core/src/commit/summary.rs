//! Summarises a commit for its event.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{TableCommit, TableRequirement, TableUpdate};

/// The most snapshot ids that a summary lists.
const MAX_SNAPSHOTS: usize = 20;

/// The number of updates and requirements of each kind in a commit, and the first added snapshots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    updates: ByKind,
    requirements: ByKind,
    snapshots: Vec<i64>,
}

type ByKind = BTreeMap<&'static str, u64>;

impl Counts {
    /// Counts kinds of updates and requirements.
    pub(crate) fn from_kinds(
        updates: impl Iterator<Item = &'static str>,
        requirements: impl Iterator<Item = &'static str>,
    ) -> Self {
        Self { updates: count(updates), requirements: count(requirements), snapshots: Vec::new() }
    }

    pub(super) fn from_commit(requirements: &[TableRequirement], updates: &[TableUpdate]) -> Self {
        let kinds = updates.iter().map(TableUpdate::action);
        let added = updates.iter().filter_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot, .. } => Some(snapshot.id),
            _ => None,
        });
        Self {
            snapshots: added.take(MAX_SNAPSHOTS).collect(),
            ..Self::from_kinds(kinds, requirements.iter().map(TableRequirement::kind))
        }
    }

    pub(crate) fn as_json(&self) -> Map<String, Value> {
        let object =
            |counts: &ByKind| counts.iter().map(|(kind, count)| ((*kind).to_owned(), (*count).into())).collect();
        let mut summary = Map::from_iter([
            ("updates".to_owned(), Value::Object(object(&self.updates))),
            ("requirements".to_owned(), Value::Object(object(&self.requirements))),
        ]);
        if !self.snapshots.is_empty() {
            summary.insert("snapshot-ids".to_owned(), self.snapshots.clone().into());
        }
        summary
    }
}

/// Returns the summary of the commits to one table: the number of updates and requirements of each kind, by their names in
/// the REST specification, and the added snapshots. Its size and the time it takes are bounded.
#[must_use]
pub fn summary(commits: &[TableCommit]) -> Map<String, Value> {
    let mut sum = Counts::default();
    for Counts { updates, requirements, snapshots } in commits.iter().map(|commit| &commit.counts) {
        add(&mut sum.updates, updates);
        add(&mut sum.requirements, requirements);
        sum.snapshots.extend(snapshots.iter().take(MAX_SNAPSHOTS - sum.snapshots.len()));
    }
    sum.as_json()
}

fn count(kinds: impl Iterator<Item = &'static str>) -> ByKind {
    let mut counts = ByKind::new();
    kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
    counts
}

fn add(sum: &mut ByKind, counts: &ByKind) {
    counts.iter().for_each(|(kind, count)| *sum.entry(kind).or_default() += count);
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

    #[test]
    fn summary_of_several_commits_adds_up_and_names_at_most_twenty_snapshots() {
        let snapshot = |id: usize| {
            json!({ "action": "add-snapshot", "snapshot": {
                "snapshot-id": id, "timestamp-ms": 1, "manifest-list": "s3://b/l", "summary": { "operation": "append" } } })
        };
        let commit = |ids: std::ops::Range<usize>| {
            let body = json!({ "updates": ids.map(snapshot).collect::<Vec<_>>() }).to_string();
            TableCommit::parse(body.as_bytes()).unwrap()
        };
        let summary = summary(&[commit(0..15), commit(15..40)]);
        assert_eq!(summary["updates"], json!({ "add-snapshot": 40 }));
        assert_eq!(summary["snapshot-ids"], json!((0..20).collect::<Vec<_>>()));
    }
}
