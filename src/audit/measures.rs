//! The metrics of audit records.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// The labels of records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RecordLabels {
    /// The type of the record.
    pub kind: &'static str,
    /// The decision.
    pub decision: &'static str,
}

/// The label of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkLabels {
    /// The sink: `file` or `syslog`.
    pub sink: &'static str,
}

/// The metrics of audit records. Clones share their figures.
#[derive(Debug, Clone, Default)]
pub struct AuditMeasures {
    /// Records that were written to the store.
    pub written: Family<RecordLabels, Counter>,
    /// Requests that were counted in another record instead of one of their own.
    pub repeated: Counter,
    /// Records that were lost because the queue was full.
    pub lost: Counter,
    /// Records that wait to be written.
    pub waiting: Gauge,
    /// Whether the store did not take the last records.
    pub store_failing: Gauge,
    /// Records that were exported.
    pub exported: Family<SinkLabels, Counter>,
    /// Whether the last export failed.
    pub export_failing: Family<SinkLabels, Gauge>,
    /// Requests that were refused because their records cannot be written.
    pub refused: Counter,
}
