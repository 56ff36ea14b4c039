//! Measurements of runs, for the server's metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// What runs measure. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct UpkeepMeasures {
    /// Runs that ended.
    pub runs: Family<RunLabels, Counter>,
    /// Removed files, by operation.
    pub removed_files: Family<OperationLabels, Counter>,
    /// The size of removed files in bytes, by operation.
    pub removed_bytes: Family<OperationLabels, Counter>,
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
