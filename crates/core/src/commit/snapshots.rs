//! Updates to snapshots, branches and tags, and the resulting snapshot log.

use std::collections::HashSet;
use std::sync::Arc;

use super::CommitError;
use super::apply::Draft;
use super::keyed::KeyedEdits;
use crate::document::{MAIN_BRANCH, RefKind, Snapshot, SnapshotLogEntry, SnapshotRef, TableMetadata};

/// The key of a snapshot: its id.
pub(super) const SNAPSHOT_ID: fn(&Snapshot) -> i64 = |snapshot| snapshot.id;

impl Draft {
    /// Applies the collected changes to the list of snapshots.
    pub(super) fn apply_snapshots(&mut self) {
        std::mem::replace(&mut self.snapshots, KeyedEdits::new(SNAPSHOT_ID)).apply(&mut self.document.snapshots);
    }

    /// Adds a snapshot. A sequence number or first row id behind the table's means that the client used an older document:
    /// that is a conflict, which a retry resolves.
    pub(super) fn add_snapshot(&mut self, snapshot: &Snapshot, json: &str) -> Result<(), CommitError> {
        let document = &self.document;
        let before = [
            ("schema", document.schemas.is_empty()),
            ("partition spec", document.partition_specs.is_empty()),
            ("sort order", document.sort_orders.is_empty()),
        ];
        if let Some((what, _)) = before.into_iter().find(|(_, missing)| *missing) {
            return Err(CommitError::bad(format!("Attempting to add a snapshot before a {what} is added")));
        }
        if let Some(problem) = Snapshot::problem(json, document.format_version, true) {
            return Err(CommitError::bad(problem));
        }
        if self.snapshots.get(&document.snapshots, &snapshot.id).is_some() {
            return Err(CommitError::bad(format!("Snapshot already exists for id: {}", snapshot.id)));
        }
        self.check_sequence_number(snapshot)?;
        let next_row_id = self.next_row_id(snapshot)?;
        let document = &mut self.document;
        // A snapshot without a parent may be older than the last one, but the number must not fall. (The reference
        // implementation lets it fall, and then refuses the document if an older snapshot is left.)
        document.last_sequence_number = document.last_sequence_number.max(snapshot.sequence_number);
        document.next_row_id = next_row_id;
        self.snapshots.add(snapshot.clone(), json);
        self.added_snapshots.insert(snapshot.id);
        self.changed = true;
        Ok(())
    }

    fn check_sequence_number(&self, snapshot: &Snapshot) -> Result<(), CommitError> {
        let (number, last) = (snapshot.sequence_number, self.document.last_sequence_number);
        if number < 0 {
            return Err(CommitError::bad(format!("Invalid sequence number (cannot be negative): {number}")));
        }
        if self.document.format_version == 1 {
            return match number {
                0 => Ok(()),
                _ => Err(CommitError::bad(format!("Sequence number must be 0 in v1: {number}"))),
            };
        }
        if number <= last && snapshot.parent_id.is_some() {
            return Err(CommitError::stale(&format!(
                "Cannot add snapshot with sequence number {number} older than last sequence number {last}"
            )));
        }
        Ok(())
    }

    /// Returns the table's next row id after the snapshot (v3).
    fn next_row_id(&self, snapshot: &Snapshot) -> Result<i64, CommitError> {
        let next = self.document.next_row_id;
        if self.document.format_version < 3 {
            return Ok(next);
        }
        let Some(first) = snapshot.first_row_id else {
            return Err(CommitError::bad("Cannot add a snapshot: first-row-id is null"));
        };
        if first < next {
            return Err(CommitError::stale(&format!(
                "Cannot add a snapshot, first-row-id is behind table next-row-id: {first} < {next}"
            )));
        }
        // Counts from the snapshot's own first row id, so that row ids that a client skipped are never assigned again.
        // (The reference implementation counts from the table's; both are equal unless a client skipped some.)
        first
            .checked_add(snapshot.added_rows.unwrap_or(0))
            .ok_or_else(|| CommitError::bad("Cannot add a snapshot: no row ids are left"))
    }

    pub(super) fn set_ref(&mut self, name: &str, reference: &SnapshotRef) -> Result<(), CommitError> {
        if self.document.refs.get(name) == Some(reference) {
            return Ok(());
        }
        let id = reference.snapshot_id;
        let Some(snapshot) = self.snapshots.get(&self.document.snapshots, &id) else {
            return Err(CommitError::bad(format!("Cannot set {name} to unknown snapshot: {id}")));
        };
        if name == MAIN_BRANCH {
            if reference.kind != RefKind::Branch {
                return Err(CommitError::bad(format!("Cannot set {MAIN_BRANCH} to a tag, it must be a branch")));
            }
            // A rollback gets the present time, a new snapshot its own.
            let added = self.added_snapshots.contains(&id);
            let timestamp_ms = if added { snapshot.timestamp_ms } else { self.now_ms };
            let entry = SnapshotLogEntry { timestamp_ms, snapshot_id: id };
            self.document.snapshot_log.push(entry, &entry.json());
            self.document.current_snapshot_id = Some(id);
            self.main_changed = true;
            if added {
                self.main_was.insert(id);
            }
        }
        let before = Arc::make_mut(&mut self.document.refs).insert(name.to_owned(), reference.clone());
        self.count_ref_gone(before.as_ref());
        *self.refs_at.entry(id).or_default() += 1;
        self.changed = true;
        Ok(())
    }

    fn count_ref_gone(&mut self, gone: Option<&SnapshotRef>) {
        if let Some(count) = gone.and_then(|gone| self.refs_at.get_mut(&gone.snapshot_id)) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn remove_ref(&mut self, name: &str) {
        if !self.document.refs.contains_key(name) {
            return;
        }
        let gone = Arc::make_mut(&mut self.document.refs).remove(name);
        self.count_ref_gone(gone.as_ref());
        if name == MAIN_BRANCH {
            self.document.current_snapshot_id = None;
        }
        self.changed = true;
    }

    /// Removes snapshots, their statistics, and the refs that point to them.
    pub(super) fn remove_snapshots(&mut self, ids: &[i64]) {
        let document = &self.document;
        let mut gone = HashSet::new();
        for id in ids {
            if self.snapshots.remove(&document.snapshots, id) {
                self.statistics.remove(&document.statistics, id);
                self.partition_statistics.remove(&document.partition_statistics, id);
                gone.insert(*id);
            }
        }
        if gone.is_empty() {
            return;
        }
        self.changed = true;
        self.snapshots_removed = true;
        if !gone.iter().any(|id| self.refs_at.get(id).is_some_and(|count| *count > 0)) {
            return;
        }
        let refs = self.document.refs.iter();
        let dangling: Vec<String> =
            refs.filter(|(_, one)| gone.contains(&one.snapshot_id)).map(|(name, _)| name.clone()).collect();
        for name in dangling {
            self.remove_ref(&name);
        }
    }
}

/// Removes entries from the snapshot log: snapshots that were current only within this commit, and all entries up to a
/// removed snapshot. Across a gap, readers would see a wrong snapshot as current.
pub(super) fn correct_snapshot_log(
    document: &mut TableMetadata,
    main_was: &HashSet<i64>,
    snapshots_removed: bool,
) -> Result<(), CommitError> {
    let current = document.current_snapshot_id;
    let intermediate: HashSet<i64> = main_was.iter().copied().filter(|id| Some(*id) != current).collect();
    if intermediate.is_empty() && !snapshots_removed {
        return Ok(());
    }
    let known: HashSet<i64> = document.snapshots.iter().map(|snapshot| snapshot.id).collect();
    let gap = if snapshots_removed {
        let gone = document.snapshot_log.iter().rev().position(|entry| !known.contains(&entry.snapshot_id));
        gone.map_or(0, |from_the_end| document.snapshot_log.len() - from_the_end)
    } else {
        0
    };
    let mut position = 0;
    document.snapshot_log.retain(|entry| {
        position += 1;
        position > gap && known.contains(&entry.snapshot_id) && !intermediate.contains(&entry.snapshot_id)
    });
    match (document.snapshot_log.last(), current) {
        (Some(last), Some(current)) if last.snapshot_id != current => {
            Err(CommitError::bad("Cannot set invalid snapshot log: latest entry is not the current snapshot"))
        }
        _ => Ok(()),
    }
}
