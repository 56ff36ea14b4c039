//! Rewrites the files of a table: manifests, small data files, and the statistics of the current snapshot.
//!
//! A thread of its own reads and writes the files, with a bound on its memory. The new files are written before the commit. The
//! commit is made only on the snapshot that it was prepared for: after a commit of another writer it is prepared again for the
//! new one, with the data files that are written already. If it is certain that no commit names the new files, they are removed. A
//! killed run, and one that does not know the outcome of its commit, leave them to the removal of orphan files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tidewater_core::commit::TableCommit;
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;
use tidewater_core::purge::inside;
use tidewater_core::upkeep::MaintenanceOperation;
use tidewater_rewrite::{Compaction, CompactionRule, ManifestRule, Proposal, RewriteError};
use tokio::runtime::Handle;

use super::lease::LeaseWatch;
use super::objects::TableObjects;
use super::prepare::{Prepared, Work, prepare};
use super::run::{Run, RunError};
use crate::catalog::{CatalogError, TableEdit};
use crate::heavy::run_alone;
use crate::metadata::Document;

/// How often a commit is prepared, if those of other writers come first.
const ATTEMPTS: u32 = 10;

/// How many files are removed at the same time.
const FILES_AT_ONCE: usize = 8;

/// How often it is checked whether a thread may go on.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the operation that rewrites manifests.
pub(super) async fn run_manifests(run: &Run<'_>) -> Result<(), RunError> {
    let document = current(run).await?;
    let min_manifests = run.policy(&document)?.min_manifests();
    let rule = ManifestRule::new(document.metadata.properties(), min_manifests);
    execute(run, document, Work::Manifests(rule)).await
}

/// Runs the operation that compacts small data files.
pub(super) async fn run_compaction(run: &Run<'_>) -> Result<(), RunError> {
    let document = current(run).await?;
    let mut rule = CompactionRule::new(document.metadata.properties(), run.parts.config.rewrite_run_bytes);
    rule.min_input_files = run.policy(&document)?.min_input_files();
    execute(run, document, Work::Compaction(rule)).await
}

/// Runs the operation that computes statistics.
pub(super) async fn run_statistics(run: &Run<'_>) -> Result<(), RunError> {
    let document = current(run).await?;
    execute(run, document, Work::Statistics { max_bytes: run.parts.config.rewrite_run_bytes }).await
}

/// Returns the current document. A rewrite removes no file of the table, so `gc.enabled` does not matter.
async fn current(run: &Run<'_>) -> Result<Arc<Document>, RunError> {
    let record = run.pointer().await?;
    Ok(run.parts.documents.get(&run.table.warehouse.storage, &record.metadata_location).await?)
}

/// New files that no commit names.
#[derive(Default)]
struct NewFiles {
    /// Data files, which later attempts use again.
    data: Vec<String>,
    /// Files of metadata, of one attempt.
    metadata: Vec<String>,
}

impl NewFiles {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

async fn execute(run: &Run<'_>, document: Arc<Document>, work: Work) -> Result<(), RunError> {
    let locations = run.own_locations(&document).await?;
    let mut unused = NewFiles::default();
    let outcome = attempt_all(run, document, (work, &locations), &mut unused).await;
    remove(run, &locations, &unused.metadata).await;
    remove(run, &locations, &unused.data).await;
    outcome
}

/// Prepares commits until one is made. Afterwards, `unused` has the new files that certainly belong to no commit.
async fn attempt_all(
    run: &Run<'_>,
    mut document: Arc<Document>,
    (work, locations): (Work, &[Location]),
    unused: &mut NewFiles,
) -> Result<(), RunError> {
    let mut compaction: Option<Arc<Compaction>> = None;
    for _ in 0..ATTEMPTS {
        run.check_goes_on()?;
        let prepared = on_thread(run, &document, locations, (work, compaction)).await?;
        unused.data.extend(prepared.data_files);
        unused.metadata = prepared.metadata_files;
        remove(run, locations, &prepared.discarded).await;
        if let Some(report) = &prepared.report {
            report.record(run);
        }
        let proposal = match prepared.proposal {
            Ok(Some(proposal)) => proposal,
            Ok(None) => return Ok(()),
            Err(error) => return ended(run, error),
        };
        run.check_goes_on()?;
        let edit = RewriteEdit::new(run, work.operation(), &document.metadata, &proposal);
        match run.edit(Arc::new(edit)).await {
            Ok(edited) if edited.replaced.is_some() => {
                unused.clear();
                return Ok(());
            }
            Ok(_) => {}
            Err(failed) => {
                if !failed.is_certain {
                    unused.clear();
                }
                return Err(failed.into());
            }
        }
        remove(run, locations, &std::mem::take(&mut unused.metadata)).await;
        compaction = prepared.compaction;
        document = current(run).await?;
    }
    Err(RunError::Conflict(format!("other commits came first {ATTEMPTS} times: run it when fewer writers are active")))
}

/// Returns the end of a run without a commit.
fn ended(run: &Run<'_>, error: RewriteError) -> Result<(), RunError> {
    match error {
        RewriteError::Unsupported(_) => {
            run.note(|details| details.message = Some(error.to_string()));
            Ok(())
        }
        RewriteError::Stopped(_) => {
            run.check_goes_on()?;
            Err(RunError::Stopped("the run was stopped: the next run continues"))
        }
        RewriteError::Conflict(_) => Err(RunError::Conflict(error.to_string())),
        RewriteError::Files(_) | RewriteError::Manifest { .. } => Err(RunError::Failed(error.to_string())),
    }
}

/// Sets a flag when it is dropped, also if the run itself is dropped.
pub(super) struct StopOnDrop(pub(super) Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Prepares a commit on a thread. Tells the thread to stop when the run has to end, and waits for it.
async fn on_thread(
    run: &Run<'_>,
    document: &Arc<Document>,
    locations: &[Location],
    (work, compaction): (Work, Option<Arc<Compaction>>),
) -> Result<Prepared, RunError> {
    let objects = TableObjects::new(run.table.warehouse.storage.clone(), locations.to_vec(), Handle::current());
    let flag = StopOnDrop(Arc::default());
    let (stop, document) = (Arc::clone(&flag.0), Arc::clone(document));
    let (now_ms, memory_bytes) = (run.parts.clock.now_ms(), run.parts.config.rewrite_memory_bytes);
    let is_dry = run.is_dry();
    let thread = run_alone("table rewrite", move || {
        let is_over = || stop.load(Ordering::Relaxed);
        let limits = tidewater_rewrite::JobLimits { memory_bytes };
        prepare(&document.metadata, Arc::new(objects), (limits, now_ms, &is_over), (work, is_dry, compaction))
    });
    let mut thread = std::pin::pin!(thread);
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            prepared = &mut thread => return prepared.map_err(|error| RunError::Failed(error.to_string())),
            _ = looks.tick() => {
                if run.check_goes_on().is_err() {
                    flag.0.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Removes new files that no commit names. Those that stay after a failure are orphans.
async fn remove(run: &Run<'_>, locations: &[Location], files: &[String]) {
    let found = files.iter().filter_map(|file| inside(file, locations));
    let removals = stream::iter(found).for_each_concurrent(FILES_AT_ONCE, |location| async move {
        if let Err(error) = run.table.warehouse.storage.remove(&location).await {
            tracing::debug!(%location, %error, "a new file that is not needed stays");
        }
    });
    removals.await;
}

/// The commit of a rewrite, on the document that it was prepared for.
struct RewriteEdit {
    operation: MaintenanceOperation,
    base: Base,
    lease: LeaseWatch,
    body: Vec<u8>,
}

/// What must not change between the preparation of a commit and the commit.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    format_version: u8,
    current_snapshot_id: Option<i64>,
    last_sequence_number: i64,
    next_row_id: i64,
    specs: Vec<i32>,
}

impl Base {
    fn new(table: &TableMetadata) -> Self {
        Self {
            format_version: table.format_version(),
            current_snapshot_id: table.current_snapshot_id(),
            last_sequence_number: table.last_sequence_number(),
            next_row_id: table.next_row_id(),
            specs: table.partition_specs().map(|spec| spec.id()).collect(),
        }
    }
}

impl RewriteEdit {
    fn new(run: &Run<'_>, operation: MaintenanceOperation, base: &TableMetadata, proposal: &Proposal) -> Self {
        let body = proposal.body.to_string().into_bytes();
        Self { operation, base: Base::new(base), lease: run.held.watch(), body }
    }
}

impl TableEdit for RewriteEdit {
    fn name(&self) -> &'static str {
        self.operation.as_str()
    }

    fn commit(&self, base: &TableMetadata, _: i64) -> Result<Option<TableCommit>, CatalogError> {
        // Another holder of the lease may take the new files for orphans.
        let may_commit = self.lease.is_held() && self.base == Base::new(base);
        Ok(if may_commit { Some(TableCommit::parse(&self.body)?) } else { None })
    }
}
