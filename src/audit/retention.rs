//! Removal of records that are too old or too many.

use std::sync::Arc;
use std::time::Duration;

use super::Audit;
use crate::background::Task;
use crate::store::{StoreError, claim_run};

/// How often old records are removed, and how many in one transaction. The limit keeps changes from waiting long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
const SWEEP_BATCH: u32 = 500;

impl Audit {
    /// Removes records that are too old or too many, in batches. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let settings = self.settings();
        let retention_ms = i64::try_from(settings.retention().as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(retention_ms);
        let mut removed = 0;
        loop {
            let batch = self.store.audit_remove_before(before_ms, SWEEP_BATCH).await?;
            removed += batch;
            if batch < u64::from(SWEEP_BATCH) {
                break;
            }
        }
        let most = settings.per_organisation;
        for (organisation, last) in self.store.audit_surplus(most).await? {
            let organisation_id = organisation.map(|organisation| organisation.to_string());
            tracing::warn!(
                organisation_id,
                per_organisation = most,
                "an organisation (none: unknown actors) has more audit records than the limit: the oldest are removed"
            );
            loop {
                let batch = self.store.audit_remove_up_to(organisation, last, SWEEP_BATCH).await?;
                removed += batch;
                if batch < u64::from(SWEEP_BATCH) {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Returns the task that calls [`Self::sweep`].
    pub fn retention_task(self: &Arc<Self>) -> Task {
        let sweep = |audit: Arc<Self>, _| async move {
            let is_claimed =
                claim_run(&*audit.store, "old-audit-records", audit.clock.now_ms(), SWEEP_INTERVAL).await?;
            Ok(if is_claimed { audit.sweep().await? } else { 0 })
        };
        Task::every("old-audit-records", SWEEP_INTERVAL, self, sweep).while_failing(
            "Audit records older than audit.retention_s stay until then: check the database and its disk",
        )
    }
}
