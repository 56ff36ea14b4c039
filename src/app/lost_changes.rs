//! Changes that an unclean stop may have lost: what the database's log says at the start, and a search for them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::background::Task;
use crate::catalog::newer_documents::{Behind, find_behind};
use crate::store::{self, LogFound, Store, StoreError};

/// Logs the state of the database's write-ahead log, if the database was not closed. Must be called before the database is
/// opened, which discards the unreadable part. Returns whether the log had content.
///
/// # Errors
/// Fails if the log exists and cannot be read.
pub(super) fn tell_of_log(database: &Path) -> anyhow::Result<bool> {
    let found = store::inspect_log(database)
        .with_context(|| format!("cannot read the log of the database {}", database.display()))?;
    let LogFound { size_bytes, frames, commits, left_out_bytes, later_commits, missing_frames } = found;
    if found.is_damaged() {
        tracing::error!(
            size_bytes,
            frames,
            commits,
            left_out_bytes,
            later_commits,
            missing_frames,
            "the log of the database is damaged: acknowledged changes after the last readable commit are lost. Tables whose \
             last change may be lost are named below. To return to a consistent state instead, stop the server and restore \
             a backup"
        );
    } else if size_bytes > 0 {
        tracing::warn!(
            size_bytes,
            frames,
            commits,
            left_out_bytes,
            "the database was not closed: its log is read, and uncommitted changes are left out"
        );
    }
    Ok(size_bytes > 0 || found.is_damaged())
}

/// The most tables that are searched for lost changes after an unclean stop, and the most that the log names.
const TABLES_LOOKED_AT: usize = 10_000;
const TABLES_NAMED: usize = 100;

/// Searches for tables whose pointer is behind their newest document, and names them in the log. Returns the number of
/// searched tables.
async fn look_for_lost_changes(store: Arc<dyn Store>) -> Result<u64, StoreError> {
    let mut behind = 0_usize;
    let tell = |found: Behind| {
        behind += 1;
        if behind <= TABLES_NAMED {
            let Behind { organisation, warehouse, ident, metadata_location, newest } = found;
            tracing::warn!(
                organisation,
                warehouse,
                table = %ident,
                metadata_location,
                newest = %newest.display(),
                "a table has a newer metadata document than its current one: its last change was lost with the database's \
                 log, or was never acknowledged. To keep the change, register the newer document with `overwrite`"
            );
        }
    };
    let looked = find_behind(store.as_ref(), TABLES_LOOKED_AT, tell).await?;
    let (tables, all) = (looked.tables, looked.all);
    tracing::info!(tables, all, behind, "looked for lost changes after an unclean stop");
    Ok(tables as u64)
}

/// Returns the task that looks for lost changes, until it is stopped or has looked everywhere.
pub(super) fn lost_changes_task(store: &Arc<dyn Store>) -> Task {
    Task::once("lost-changes", store, |store, stop| async move {
        let looked = stop.run_until_cancelled(look_for_lost_changes(store)).await;
        Ok(looked.transpose()?.unwrap_or(0))
    })
    .while_failing(
        "Tables that lost their last change are not named in the log until then: check the database and its disk",
    )
}
