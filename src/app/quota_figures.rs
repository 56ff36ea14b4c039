//! Reads how much of its limits each counted organisation uses, for the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Running;
use crate::api::Api;
use crate::background::{Task, TaskError};
use crate::telemetry::QuotaUse;

/// How often the figures are read.
const INTERVAL: Duration = Duration::from_secs(30);

/// Returns the task that reads the figures.
pub(super) fn task(running: &Arc<Running>) -> Task {
    Task::every("quota-figures", INTERVAL, running, |running, _| async move { read(&running.api()).await })
        .while_failing("The metrics of quotas are old until then: check the database and its disk")
}

/// Reads the figures of the organisations whose requests are counted apart. Returns their number.
async fn read(api: &Api) -> Result<u64, TaskError> {
    let counted = api.telemetry.requests().organisations();
    if counted.is_empty() {
        return Ok(0);
    }
    let (known, today) = (api.store.organisation_list().await?, api.admin.today());
    for (id, name) in &counted {
        let Some(organisation) = known.iter().find(|organisation| organisation.id == *id) else {
            api.telemetry.quotas().set(name, None);
            continue;
        };
        let limits = api.admin.usage_limits(organisation).await?;
        let tier = limits.tier.map(|(_, tier)| tier);
        let requests = api.store.usage_list(*id, today, today).await?.into_iter().map(|(_, requests)| requests).sum();
        let quota = QuotaUse {
            requests,
            max_requests: tier.as_ref().and_then(|tier| tier.requests_per_day),
            tables: limits.tables,
            max_tables: tier.as_ref().and_then(|tier| tier.max_tables),
        };
        api.telemetry.quotas().set(name, Some(quota));
    }
    Ok(counted.len() as u64)
}
