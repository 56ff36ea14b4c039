//! Scheduled backups of the embedded database.

use std::sync::Arc;

use anyhow::Context as _;

use crate::api::Api;
use crate::backup::ScheduledBackups;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::warehouse::StorageAccess;

/// Prepares the scheduled backups, if the settings have some. Sends no request.
pub(super) fn open(
    config: &Config,
    access: &StorageAccess,
    clock: &Clock,
) -> anyhow::Result<Option<Arc<ScheduledBackups>>> {
    let (database, keys, budget) = (config.database(), access.keys.clone(), access.budget);
    let opened = ScheduledBackups::open(&config.backups, &database, keys, budget, clock.clone());
    Ok(opened.context("scheduled backups (`backups.to`) are not possible")?.map(Arc::new))
}

/// Starts the scheduled backups and registers their metrics.
pub(super) fn start(api: &Api, backups: &Arc<ScheduledBackups>) {
    api.telemetry.register(|registry| backups.measures().register(registry));
    api.admin.background().start(backups.task());
}
