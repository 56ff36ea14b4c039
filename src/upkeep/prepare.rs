//! What the thread of a rewrite does: reads and writes files, and prepares a commit.

use std::sync::Arc;

use tidewater_core::document::TableMetadata;
use tidewater_core::stop::Stop;
use tidewater_core::upkeep::MaintenanceOperation;
use tidewater_rewrite::{
    Compaction, CompactionReport, CompactionRule, Files, Job, JobLimits, LeftAlone, ManifestRule, ManifestsReport,
    Proposal, RewriteError, StatisticsReport, compact, compute_statistics, preview_compaction, preview_manifests,
    preview_statistics, rewrite_manifests,
};

use super::run::Run;
use crate::base::clock::fresh_uuid;
use crate::store::RunItem;

/// What a rewrite does to a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Rewrites manifests.
    Manifests(ManifestRule),
    /// Compacts data files.
    Compaction(CompactionRule),
    /// Computes statistics.
    Statistics {
        /// The most bytes of data files.
        max_bytes: u64,
    },
}

impl Work {
    /// Returns the operation.
    pub(super) const fn operation(self) -> MaintenanceOperation {
        match self {
            Self::Manifests(_) => MaintenanceOperation::RewriteManifests,
            Self::Compaction(_) => MaintenanceOperation::CompactFiles,
            Self::Statistics { .. } => MaintenanceOperation::ComputeStatistics,
        }
    }
}

/// The result of a thread.
pub(super) struct Prepared {
    /// The commit. None if there is nothing to do.
    pub(super) proposal: Result<Option<Proposal>, RewriteError>,
    /// The new data files of a compaction, for later attempts.
    pub(super) compaction: Option<Arc<Compaction>>,
    /// Written data files, which later attempts use again.
    pub(super) data_files: Vec<String>,
    /// Written files of metadata, which only this commit names.
    pub(super) metadata_files: Vec<String>,
    /// Written files that nothing names.
    pub(super) discarded: Vec<String>,
    /// What the first attempt did, or would do.
    pub(super) report: Option<Report>,
}

/// What a rewrite did, or would do.
pub(super) enum Report {
    /// A rewrite of manifests.
    Manifests(ManifestsReport),
    /// A compaction.
    Compaction(CompactionReport),
    /// A computation of statistics.
    Statistics(StatisticsReport),
}

/// Does the work. `compaction` has the data files that an earlier attempt wrote.
pub(super) fn prepare(
    table: &TableMetadata,
    files: Arc<dyn Files>,
    (limits, now_ms, is_over): (JobLimits, i64, &dyn Fn() -> bool),
    (work, is_dry, compaction): (Work, bool, Option<Arc<Compaction>>),
) -> Prepared {
    let mut job = Job::new(table, files, limits, (fresh_uuid(), now_ms), Stop::when(is_over));
    let mut prepared = Prepared {
        proposal: Ok(None),
        compaction,
        data_files: Vec::new(),
        metadata_files: Vec::new(),
        discarded: Vec::new(),
        report: None,
    };
    prepared.proposal = match is_dry {
        true => preview(&job, work, &mut prepared.report).map(|()| None),
        false => attempt(&mut job, work, &mut prepared),
    };
    let (written, discarded) = job.into_written();
    prepared.metadata_files = written.into_iter().skip(prepared.data_files.len()).collect();
    prepared.discarded = discarded;
    prepared
}

fn preview(job: &Job<'_>, work: Work, report: &mut Option<Report>) -> Result<(), RewriteError> {
    *report = Some(match work {
        Work::Manifests(rule) => Report::Manifests(preview_manifests(job, &rule)?),
        Work::Compaction(rule) => Report::Compaction(preview_compaction(job, &rule)?),
        Work::Statistics { .. } => Report::Statistics(preview_statistics(job)?),
    });
    Ok(())
}

fn attempt(job: &mut Job<'_>, work: Work, prepared: &mut Prepared) -> Result<Option<Proposal>, RewriteError> {
    match work {
        Work::Manifests(rule) => {
            let (proposal, report) = rewrite_manifests(job, &rule)?;
            prepared.report = Some(Report::Manifests(report));
            Ok(proposal)
        }
        Work::Statistics { max_bytes } => {
            let (proposal, report) = compute_statistics(job, max_bytes)?;
            prepared.report = Some(Report::Statistics(report));
            Ok(proposal)
        }
        Work::Compaction(rule) => {
            if prepared.compaction.is_none() {
                let (compaction, report) = compact(job, &rule)?;
                prepared.report = Some(Report::Compaction(report));
                prepared.compaction = compaction.map(Arc::new);
                prepared.data_files = job.written().to_vec();
            }
            let Some(compaction) = &prepared.compaction else { return Ok(None) };
            compaction.propose(job).map(Some)
        }
    }
}

impl Report {
    /// Writes the report into the record of a run.
    pub(super) fn record(&self, run: &Run<'_>) {
        let (replaced, written) = match self {
            Self::Manifests(report) => {
                ((report.replaced, report.replaced_bytes), (report.created, report.created_bytes))
            }
            Self::Compaction(report) => {
                ((report.files_read, report.bytes_read), (report.files_written, report.bytes_written))
            }
            Self::Statistics(report) => ((0, 0), (report.files_written, report.bytes_written)),
        };
        run.note(|details| {
            (details.replaced_files, details.replaced_bytes) = replaced;
            (details.written_files, details.written_bytes) = written;
        });
        for LeftAlone { files, why } in self.left_alone() {
            run.note(|details| *details.kept.entry("left-alone".to_owned()).or_default() += files);
            run.add_item(|| RunItem {
                kind: "left-alone".to_owned(),
                name: format!("{files} {}", if *files == 1 { "file" } else { "files" }),
                reason: why.clone(),
                bytes: None,
                at_ms: None,
            });
        }
    }

    fn left_alone(&self) -> &[LeftAlone] {
        match self {
            Self::Manifests(report) => &report.left_alone,
            Self::Compaction(report) => &report.left_alone,
            Self::Statistics(_) => &[],
        }
    }
}
