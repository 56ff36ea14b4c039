//! Measurements of runs, for the server's metrics.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tidewater_core::upkeep::MaintenanceOperation;

use crate::store::RunDetails;

/// The upper bounds of the buckets of a run's duration, in seconds: from a tenth of a second to four hours.
const DURATIONS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// What runs measure. Dry runs are not measured. Clones share it.
#[derive(Debug, Clone)]
pub struct UpkeepMeasures {
    /// Runs that ended.
    pub runs: Family<RunLabels, Counter>,
    /// The durations of runs in seconds, except abandoned ones, by operation.
    pub durations: Family<OperationLabels, Histogram>,
    /// Removed files, by operation.
    pub removed_files: Family<OperationLabels, Counter>,
    /// The size of removed files in bytes, by operation.
    pub removed_bytes: Family<OperationLabels, Counter>,
    /// Files that rewrites replaced, by operation.
    pub replaced_files: Family<OperationLabels, Counter>,
    /// The size of replaced files in bytes, by operation.
    pub replaced_bytes: Family<OperationLabels, Counter>,
    /// Files that rewrites wrote, by operation.
    pub written_files: Family<OperationLabels, Counter>,
    /// The size of written files in bytes, by operation.
    pub written_bytes: Family<OperationLabels, Counter>,
}

/// The labels of ended runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RunLabels {
    /// The operation.
    pub operation: &'static str,
    /// The outcome.
    pub outcome: &'static str,
}

/// The label of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OperationLabels {
    /// The operation.
    pub operation: &'static str,
}

/// How a run ended. The records of runs have coarser outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It changed the table, or removed files.
    Succeeded,
    /// It found nothing to do.
    NothingToDo,
    /// Commits of others came first.
    Conflict,
    /// It failed.
    Failed,
    /// It was stopped. The next run continues.
    Stopped,
    /// Its server is gone.
    Abandoned,
}

impl Ending {
    const ALL: [Self; 6] =
        [Self::Succeeded, Self::NothingToDo, Self::Conflict, Self::Failed, Self::Stopped, Self::Abandoned];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::NothingToDo => "nothing-to-do",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
        }
    }

    /// Returns how a run ended that did not fail.
    pub(super) const fn of_success(details: &RunDetails) -> Self {
        let RunDetails { snapshots, refs, files, replaced_files, written_files, .. } = details;
        match (*snapshots, *refs, *files, *replaced_files, *written_files) {
            (0, 0, 0, 0, 0) => Self::NothingToDo,
            _ => Self::Succeeded,
        }
    }
}

impl Default for UpkeepMeasures {
    fn default() -> Self {
        let measures = Self {
            runs: Family::default(),
            durations: Family::new_with_constructor(durations),
            removed_files: Family::default(),
            removed_bytes: Family::default(),
            replaced_files: Family::default(),
            replaced_bytes: Family::default(),
            written_files: Family::default(),
            written_bytes: Family::default(),
        };
        // A series that begins with its first failure would hide it: alerts see only changes.
        for operation in MaintenanceOperation::ALL {
            for ending in Ending::ALL {
                measures.run_counter(*operation, ending);
            }
        }
        measures
    }
}

impl UpkeepMeasures {
    fn run_counter(&self, operation: MaintenanceOperation, ending: Ending) -> Counter {
        self.runs.get_or_create_owned(&RunLabels { operation: operation.as_str(), outcome: ending.as_str() })
    }

    /// Counts a run that ended on this server. What it wrote counts only if a commit names it.
    pub(super) fn ended(
        &self,
        operation: MaintenanceOperation,
        ending: Ending,
        (details, took): (&RunDetails, Duration),
    ) {
        self.run_counter(operation, ending).inc();
        let labels = OperationLabels { operation: operation.as_str() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.removed_files.get_or_create(&labels).inc_by(details.files);
        self.removed_bytes.get_or_create(&labels).inc_by(details.bytes);
        if ending == Ending::Succeeded {
            self.replaced_files.get_or_create(&labels).inc_by(details.replaced_files);
            self.replaced_bytes.get_or_create(&labels).inc_by(details.replaced_bytes);
            self.written_files.get_or_create(&labels).inc_by(details.written_files);
            self.written_bytes.get_or_create(&labels).inc_by(details.written_bytes);
        }
    }

    /// Counts a run whose server is gone.
    pub(super) fn abandoned(&self, operation: MaintenanceOperation) {
        self.run_counter(operation, Ending::Abandoned).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_rewrite_count_only_if_its_commit_was_made() {
        let measures = UpkeepMeasures::default();
        let operation = MaintenanceOperation::CompactFiles;
        let details = RunDetails { replaced_files: 5, written_files: 1, written_bytes: 70, ..RunDetails::default() };
        let took = Duration::from_secs(2);
        measures.ended(operation, Ending::Conflict, (&details, took));
        measures.ended(operation, Ending::of_success(&details), (&details, took));
        measures.ended(operation, Ending::of_success(&RunDetails::default()), (&RunDetails::default(), took));
        let labels = OperationLabels { operation: "compact-files" };
        let files =
            [&measures.replaced_files, &measures.written_files, &measures.written_bytes, &measures.removed_files];
        assert_eq!(files.map(|family| family.get_or_create(&labels).get()), [5, 1, 70, 0]);
        let count = |ending| measures.run_counter(operation, ending).get();
        assert_eq!(Ending::ALL.map(count), [1, 1, 1, 0, 0, 0]);
    }
}
