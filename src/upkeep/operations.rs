//! The operations by their names.

use tidewater_core::upkeep::MaintenanceOperation;

use super::run::Run;
use super::{expire, known_health, orphans, rewrite};

/// Does what a run is for, and stores its outcome.
pub(super) async fn execute(run: &Run<'_>) {
    let outcome = match run.operation() {
        MaintenanceOperation::CompactFiles => Box::pin(rewrite::run_compaction(run)).await,
        MaintenanceOperation::RewriteManifests => Box::pin(rewrite::run_manifests(run)).await,
        MaintenanceOperation::ComputeStatistics => Box::pin(rewrite::run_statistics(run)).await,
        MaintenanceOperation::ExpireSnapshots => Box::pin(expire::run(run)).await,
        MaintenanceOperation::RemoveOrphanFiles => Box::pin(orphans::run(run)).await,
    };
    if outcome.is_ok() && !run.is_dry() {
        Box::pin(known_health::note(run)).await;
    }
    run.conclude(outcome).await;
}
