//! Reads what is known of the health of each counted organisation's tables, for the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Running;
use crate::api::Api;
use crate::background::{Task, TaskError};

/// Returns the task that reads the figures.
pub(super) fn task(running: &Arc<Running>, interval: Duration) -> Task {
    Task::every("table-health", interval, running, |running, _| async move { read(&running.api()).await })
        .while_failing("The metrics of the health of tables are old until then: check the database and its disk")
}

/// Reads the figures of the organisations whose requests are counted apart. Returns their number.
async fn read(api: &Api) -> Result<u64, TaskError> {
    let counted = api.telemetry.requests().organisations();
    if counted.is_empty() {
        return Ok(0);
    }
    let known = api.store.organisation_list().await?;
    for (id, name) in &counted {
        if !known.iter().any(|organisation| organisation.id == *id) {
            api.telemetry.health().set(name, None);
            continue;
        }
        let summary = api.store.health_summary(*id).await?;
        api.telemetry.health().set(name, Some(&summary));
    }
    Ok(counted.len() as u64)
}
