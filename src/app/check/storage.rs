//! Checks the storage of warehouses and of backups.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::timeout;

use super::found::{Found, with_causes};
use super::subject::Subject;
use crate::app::{backups, storage_access};
use crate::base::clock::Clock;
use crate::store::Warehouse;
use crate::warehouse::{StorageAccess, test_storage};

/// How many warehouses are tested at the same time.
const AT_ONCE: usize = 8;

/// The most warehouses that are tested.
const MOST: usize = 200;

/// How long the test of a warehouse may take.
const LONGEST: Duration = Duration::from_secs(25);

/// Tests the storage of each warehouse as `tidewater warehouse check` does.
pub(super) async fn warehouses(subject: &Subject) -> Vec<Found> {
    let Some(catalog) = subject.catalog().await else { return Vec::new() };
    let mut all: Vec<(String, &Warehouse)> = Vec::new();
    for (organisation, warehouses) in &catalog.organisations {
        let name = |warehouse: &Warehouse| format!("'{}' of '{}'", warehouse.name, organisation.name);
        all.extend(warehouses.iter().map(|warehouse| (name(warehouse), warehouse)));
    }
    let access = storage_access(&subject.config);
    let left_out = all.len().saturating_sub(MOST);
    let mut tested = Vec::new();
    for (name, warehouse) in all.into_iter().take(MOST) {
        // Boxed, because the compiler cannot otherwise see that the stream of them may go to another thread.
        tested.push(test(&access, name, warehouse.clone()).boxed());
    }
    let mut found: Vec<Found> = stream::iter(tested).buffered(AT_ONCE).collect().await;
    if left_out > 0 {
        let detail = format!("{left_out} more warehouses were not tested: use `tidewater warehouse check`");
        found.push(Found::warning("", detail));
    }
    found
}

async fn test(access: &StorageAccess, name: String, warehouse: Warehouse) -> Found {
    let open = match access.open(warehouse) {
        Ok(open) => open,
        Err(error) => return Found::failed(name, with_causes(&error)),
    };
    match timeout(LONGEST, test_storage(open, &Clock::System)).await {
        Ok(Ok(trial)) if trial.is_ok() => {
            let steps: Vec<&str> = trial.steps.iter().map(|step| step.what).collect();
            Found::ok(name, format!("its storage works: {}", steps.join(", ")))
        }
        Ok(Ok(trial)) => match trial.into_result() {
            Ok(_) => Found::ok(name, "its storage works"),
            Err(error) => Found::failed(name, error),
        },
        Ok(Err(error)) => Found::failed(name, error),
        Err(_) => Found::failed(name, format!("its storage has not answered within {} s", LONGEST.as_secs())),
    }
}

/// Checks the folder or bucket of scheduled backups.
pub(super) async fn backups(subject: &Subject) -> Vec<Found> {
    let config = &subject.config;
    let backups = match backups::open(config, &storage_access(config), &Clock::System) {
        Ok(None) => return Vec::new(),
        Ok(Some(backups)) => backups,
        Err(error) => return vec![Found::failed(&config.backups.to, format!("{error:#}"))],
    };
    vec![match timeout(LONGEST, backups.check()).await {
        Ok(Ok(detail)) => Found::ok(&config.backups.to, detail),
        Ok(Err(error)) => Found::failed(&config.backups.to, with_causes(&*error)),
        Err(_) => Found::failed(&config.backups.to, format!("has not answered within {} s", LONGEST.as_secs())),
    }]
}
