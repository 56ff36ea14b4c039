//! When operations are due on tables, and the tables that are due and wait.

use std::collections::HashMap;
use std::sync::Arc;

use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::purge::retry_after_ms;
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy};

use super::Upkeep;
use super::turns::Kind;
use crate::store::MaintenanceState;

/// The tables that are due and wait on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFigures {
    /// The kind of their runs.
    pub kind: &'static str,
    /// Their number.
    pub tables: u64,
    /// For how long the first of them has been due, in milliseconds.
    pub overdue_ms: u64,
}

/// The mark that the due tables of an organisation are maintained. A drop removes it.
pub(super) struct Active {
    upkeep: Arc<Upkeep>,
    pub(super) key: (OrganisationId, Kind),
}

impl Active {
    /// Sets the mark. `None` if it is set.
    pub(super) fn begin(upkeep: &Arc<Upkeep>, organisation: OrganisationId, kind: Kind) -> Option<Self> {
        let key = (organisation, kind);
        let mut active = upkeep.active.lock();
        let begins = !active.contains_key(&key);
        begins.then(|| {
            active.insert(key, HashMap::new());
            Self { upkeep: Arc::clone(upkeep), key }
        })
    }

    /// Adds tables that wait, with the times since when they are due.
    pub(super) fn add(&self, tables: impl Iterator<Item = (TableId, i64)>) {
        self.upkeep.active.lock().entry(self.key).or_default().extend(tables);
    }

    /// Removes a table that waits no more.
    pub(super) fn remove(&self, table: TableId) {
        self.upkeep.active.lock().entry(self.key).or_default().remove(&table);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.upkeep.active.lock().remove(&self.key);
    }
}

impl Upkeep {
    /// Returns the tables that are due and wait, for each kind of run.
    #[must_use]
    pub fn due_tables(&self) -> Vec<DueFigures> {
        let (active, now_ms) = (self.active.lock(), self.parts.clock.now_ms());
        let figures = Kind::ALL.map(|kind| {
            let since: Vec<i64> =
                active.iter().filter(|((_, one), _)| *one == kind).flat_map(|(_, due)| due.values().copied()).collect();
            let overdue_ms = since.iter().min().map_or(0, |since_ms| now_ms.saturating_sub(*since_ms));
            DueFigures {
                kind: kind.as_str(),
                tables: since.len() as u64,
                overdue_ms: u64::try_from(overdue_ms).unwrap_or(0),
            }
        });
        figures.into()
    }
}

/// Returns since when an operation is due. `None` if it is not. One that was interrupted while files were left is due earlier, each time
/// after a longer pause. One that never ran is due since now.
pub(super) fn due_since(
    operation: MaintenanceOperation,
    policy: &MaintenancePolicy,
    state: &MaintenanceState,
    now_ms: i64,
) -> Option<i64> {
    let schedule = policy.schedule(operation);
    let last_ms = state.last_ms.get(operation.as_str()).copied();
    let since_ms = |pause_ms| last_ms.map_or(now_ms, |last_ms: i64| last_ms.saturating_add(pause_ms).min(now_ms));
    if schedule.is_due(last_ms, now_ms) {
        return Some(since_ms(schedule.interval_ms));
    }
    let is_left = state.pending.is_some() && operation == MaintenanceOperation::ExpireSnapshots;
    let pause_ms = if is_left && schedule.enabled { retry_after_ms(state.pending_tries) } else { None }?;
    let is_retry = last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= pause_ms);
    is_retry.then(|| since_ms(pause_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PendingRemoval;

    const OPERATION: MaintenanceOperation = MaintenanceOperation::ExpireSnapshots;

    fn daily() -> MaintenancePolicy {
        serde_json::from_str(r#"{"expire-snapshots":{"enabled":true,"interval-ms":86400000}}"#).unwrap()
    }

    #[test]
    fn removal_that_keeps_failing_is_retried_after_longer_and_longer_pauses() {
        let (policy, mut state) = (daily(), MaintenanceState::default());
        state.last_ms.insert(OPERATION.as_str().to_owned(), 0);
        let due = |state: &MaintenanceState, now_ms| due_since(OPERATION, &policy, state, now_ms);
        assert_eq!((due(&state, 86_399_999), due(&state, 86_400_000)), (None, Some(86_400_000)));
        state.pending = Some(PendingRemoval { base: "s3://b/t/1".to_owned(), snapshots: vec![1] });
        for (tries, pause_ms) in [(0, 30_000), (1, 30_000), (2, 60_000), (9, 3_600_000), (30, 86_400_000)] {
            state.pending_tries = tries;
            let found = (due(&state, pause_ms - 1), due(&state, pause_ms));
            assert_eq!(found, (None, Some(pause_ms)), "{tries} tries");
        }
    }

    #[test]
    fn table_is_overdue_since_the_end_of_its_interval_and_never_since_the_future() {
        let (policy, mut state) = (daily(), MaintenanceState::default());
        assert_eq!(due_since(OPERATION, &policy, &state, 7), Some(7), "it never ran");
        state.last_ms.insert(OPERATION.as_str().to_owned(), 1_000);
        assert_eq!(due_since(OPERATION, &policy, &state, 200_000_000), Some(86_401_000));
        assert_eq!(due_since(OPERATION, &policy, &state, 999), Some(999), "the clock was set back");
        assert_eq!(due_since(OPERATION, &MaintenancePolicy::default(), &state, 200_000_000), None);
    }
}
