//! The records of runs: queued ones are held, those of servers that are gone end, and old ones are removed.

use std::sync::Arc;

use uuid::Uuid;

use super::Upkeep;
use crate::store::Result;

/// How many records one statement ends or removes.
const RECORDS_AT_ONCE: u32 = 500;

/// A queued run, whose record is held by this server. A drop ends that.
pub(super) struct Queued {
    upkeep: Arc<Upkeep>,
    run: Uuid,
}

impl Queued {
    pub(super) fn new(upkeep: &Arc<Upkeep>, run: Uuid) -> Self {
        upkeep.queued.lock().insert(run);
        Self { upkeep: Arc::clone(upkeep), run }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.upkeep.queued.lock().remove(&self.run);
    }
}

impl Upkeep {
    /// Returns until when a run that is queued now is held.
    pub(super) fn held_until_ms(&self) -> i64 {
        self.parts.clock.now_ms().saturating_add(self.parts.config.queued_hold_ms())
    }

    /// Holds the queued runs of this server, and ends the runs of servers that are gone.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn look_after_records(&self) -> Result<()> {
        let queued: Vec<Uuid> = self.queued.lock().iter().copied().collect();
        if !queued.is_empty() {
            self.parts.store.run_hold(&queued, self.held_until_ms()).await?;
        }
        loop {
            let ended = self.parts.store.run_abandon(self.parts.clock.now_ms(), RECORDS_AT_ONCE).await?;
            for run in &ended {
                self.parts.measures.abandoned(run.operation);
                let (operation, table) = (run.operation.as_str(), &run.details.table);
                tracing::warn!(run = %run.id, table, operation, "a run of maintenance was abandoned by its server");
            }
            if ended.len() < RECORDS_AT_ONCE as usize {
                return Ok(());
            }
        }
    }

    /// Removes old records.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn remove_old_runs(&self) -> Result<()> {
        let before_ms = self.parts.clock.now_ms().saturating_sub(self.parts.config.run_retention_ms());
        while self.parts.store.run_remove_before(before_ms, RECORDS_AT_ONCE).await? >= u64::from(RECORDS_AT_ONCE) {}
        Ok(())
    }
}
