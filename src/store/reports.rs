//! Records of what clients reported.

use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::Place;

/// A client's report on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The warehouse of the table.
    pub place: Place,
    /// The table, which keeps its id when it is renamed.
    pub table: TableId,
    /// The report's own id.
    pub id: Uuid,
    /// What it is about.
    pub kind: ReportKind,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The report, as JSON.
    pub body: String,
}

/// A report that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReport {
    /// The report.
    pub report: Report,
    /// The table's name by now; none when it is dropped.
    pub ident: Option<TableIdent>,
}

/// How many reports are kept: of more, the oldest go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportLimits {
    /// Bytes of all reports of each organisation.
    pub bytes_per_organisation: u64,
    /// Of each table.
    pub per_table: u32,
    /// Of each organisation.
    pub per_organisation: u32,
}

/// Which reports are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Only on this table.
    pub table: Option<TableId>,
    /// Only of this kind.
    pub kind: Option<ReportKind>,
    /// Only those that came at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
}

/// A place in a list that is ordered by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// In milliseconds since 1970.
    pub at_ms: i64,
    /// Of what stands there.
    pub id: Uuid,
}

/// Which part of a list that begins with the newest is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimedPage {
    /// Only what is older than this.
    pub before: Option<Moment>,
    /// At most so many; none means all.
    pub limit: Option<u32>,
}
