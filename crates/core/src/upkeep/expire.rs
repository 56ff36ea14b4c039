//! Decides which snapshots, branches and tags expire.
//!
//! The rules are those of the reference implementation (`ExpireSnapshots` with its defaults), so that a table keeps the same
//! snapshots whoever maintains it:
//! - The branch `main` never expires. Any other branch or tag expires when its snapshot is older than the ref's own age, or
//!   else the default age. A ref to a missing snapshot expires too.
//! - A branch keeps its newest snapshots: at least its minimum number, and from there on back to the first one that is too old.
//! - The snapshot of a branch or tag stays.
//! - A snapshot that no branch or tag leads to stays until it is too old.

use std::collections::{HashMap, HashSet};

use crate::commit::TableUpdate;
use crate::document::{MAIN_BRANCH, RefKind, Snapshot, SnapshotRef, TableMetadata};

/// The most snapshots that one commit removes. The next run removes further ones.
pub const MAX_EXPIRED: usize = 50_000;

/// The ages and numbers for branches and tags that do not have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpireRules {
    /// The age from which a snapshot is too old, in milliseconds.
    pub max_snapshot_age_ms: i64,
    /// How many snapshots each branch keeps at least. 0 means 1.
    pub min_snapshots_to_keep: u32,
    /// The age from which a branch or tag expires, in milliseconds. `None` means never.
    pub max_ref_age_ms: Option<i64>,
}

/// The snapshots, branches and tags that expire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// The branches and tags, by name.
    pub refs: Vec<ExpiredRef>,
    /// The snapshots, in the order in which they were added.
    pub snapshots: Vec<ExpiredSnapshot>,
}

/// A branch or tag that expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredRef {
    /// Its name.
    pub name: String,
    /// Branch or tag.
    pub kind: RefKind,
    /// Its snapshot.
    pub snapshot_id: i64,
    /// The age of its snapshot, in milliseconds. `None` if the snapshot is missing.
    pub age_ms: Option<i64>,
}

/// A snapshot that expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredSnapshot {
    /// Its id.
    pub id: i64,
    /// The time of its creation, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Why it expires.
    pub reason: SnapshotReason,
}

/// Why a snapshot expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotReason {
    /// A branch leads to it, and keeps enough newer snapshots.
    TooOld,
    /// No branch and no tag leads to it, and it is too old.
    Unreferenced,
}

impl SnapshotReason {
    /// Returns its name, as records of runs have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too-old",
            Self::Unreferenced => "unreferenced",
        }
    }
}

impl Expired {
    /// Returns whether nothing expires.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty() && self.snapshots.is_empty()
    }

    /// Returns the updates of a commit that removes them. The statistics of the snapshots go along.
    #[must_use]
    pub fn updates(&self) -> Vec<TableUpdate> {
        let refs = self.refs.iter().map(|one| TableUpdate::RemoveSnapshotRef(one.name.clone()));
        let ids: Vec<i64> = self.snapshots.iter().map(|snapshot| snapshot.id).collect();
        refs.chain((!ids.is_empty()).then_some(TableUpdate::RemoveSnapshots(ids))).collect()
    }
}

/// Returns what expires at `now_ms`: all branches and tags, and the first [`MAX_EXPIRED`] snapshots.
#[must_use]
pub fn expire(table: &TableMetadata, rules: &ExpireRules, now_ms: i64) -> Expired {
    if table.snapshots().is_empty() {
        return Expired::default();
    }
    let history = History::new(table);
    let older_than_ms = now_ms.saturating_sub(rules.max_snapshot_age_ms);
    let (kept_refs, refs): (Vec<_>, Vec<_>) =
        table.refs().iter().partition(|(name, one)| history.keeps_ref(name, one, rules, now_ms));
    let (mut kept, mut referenced) = (HashSet::new(), HashSet::new());
    for (_, one) in &kept_refs {
        kept.insert(one.snapshot_id);
        referenced.insert(one.snapshot_id);
    }
    for (_, branch) in kept_refs.iter().filter(|(_, one)| one.kind == RefKind::Branch) {
        let older_than_ms = branch.max_snapshot_age_ms.map_or(older_than_ms, |age_ms| now_ms.saturating_sub(age_ms));
        let own = branch.min_snapshots_to_keep.and_then(|count| u32::try_from(count).ok());
        let at_least = own.unwrap_or(rules.min_snapshots_to_keep).max(1) as usize;
        let ancestors = history.ancestors(branch.snapshot_id).enumerate();
        kept.extend(
            ancestors
                .take_while(|(at, snapshot)| *at < at_least || snapshot.timestamp_ms >= older_than_ms)
                .map(|(_, snapshot)| snapshot.id),
        );
    }
    history.add_ancestors(&kept_refs, &mut referenced);
    let expires = |snapshot: &Snapshot| {
        let is_referenced = referenced.contains(&snapshot.id);
        !kept.contains(&snapshot.id) && (is_referenced || snapshot.timestamp_ms < older_than_ms)
    };
    let snapshots = table.snapshots().iter().filter(|snapshot| expires(snapshot.value)).take(MAX_EXPIRED);
    let reason = |id| if referenced.contains(&id) { SnapshotReason::TooOld } else { SnapshotReason::Unreferenced };
    Expired {
        refs: refs.into_iter().map(|(name, one)| history.expired_ref(name, one, now_ms)).collect(),
        snapshots: snapshots
            .map(|one| ExpiredSnapshot { id: one.id, timestamp_ms: one.timestamp_ms, reason: reason(one.id) })
            .collect(),
    }
}

/// The snapshots of a table by their ids.
struct History<'a> {
    snapshots: HashMap<i64, &'a Snapshot>,
}

impl<'a> History<'a> {
    fn new(table: &'a TableMetadata) -> Self {
        Self { snapshots: table.snapshots().iter().map(|snapshot| (snapshot.id, snapshot.value)).collect() }
    }

    fn keeps_ref(&self, name: &str, one: &SnapshotRef, rules: &ExpireRules, now_ms: i64) -> bool {
        if name == MAIN_BRANCH {
            return true;
        }
        let Some(snapshot) = self.snapshots.get(&one.snapshot_id) else { return false };
        let max_age_ms = one.max_ref_age_ms.or(rules.max_ref_age_ms);
        max_age_ms.is_none_or(|max_age_ms| now_ms.saturating_sub(snapshot.timestamp_ms) <= max_age_ms)
    }

    fn expired_ref(&self, name: &str, one: &SnapshotRef, now_ms: i64) -> ExpiredRef {
        let snapshot = self.snapshots.get(&one.snapshot_id);
        ExpiredRef {
            name: name.to_owned(),
            kind: one.kind,
            snapshot_id: one.snapshot_id,
            age_ms: snapshot.map(|snapshot| now_ms.saturating_sub(snapshot.timestamp_ms)),
        }
    }

    /// Returns a snapshot and its ancestors, newest first. Ends where a parent is missing. A circle of parents ends after as many
    /// snapshots as there are.
    fn ancestors(&self, id: i64) -> impl Iterator<Item = &'a Snapshot> {
        let first = self.snapshots.get(&id).copied();
        let next = |snapshot: &&'a Snapshot| snapshot.parent_id.and_then(|id| self.snapshots.get(&id).copied());
        std::iter::successors(first, next).take(self.snapshots.len())
    }

    /// Adds the ancestors of all branches.
    fn add_ancestors(&self, refs: &[(&String, &SnapshotRef)], referenced: &mut HashSet<i64>) {
        let mut seen = HashSet::new();
        for (_, branch) in refs.iter().filter(|(_, one)| one.kind == RefKind::Branch) {
            // The ancestors of a seen snapshot are seen.
            referenced.extend(
                self.ancestors(branch.snapshot_id).map(|snapshot| snapshot.id).take_while(|id| seen.insert(*id)),
            );
        }
    }
}

#[cfg(test)]
#[path = "expire_tests.rs"]
mod tests;
