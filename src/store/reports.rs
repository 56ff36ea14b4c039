//! What clients reported.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::error::Result;
use super::pages::{Page, TimedPage};
use super::warehouses::Place;

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

/// Keeps reports of clients on tables.
///
/// A change whose future is dropped may happen or not, but never in part. Nothing tells which: a report that is added again
/// is kept twice.
#[async_trait]
pub trait ReportStore: Send + Sync + 'static {
    /// Adds reports, but for those on tables that are gone for good. Where there are more than the limits allow after
    /// that, the oldest go.
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()>;

    /// A warehouse's reports, the newest first.
    async fn report_list(&self, place: Place, filter: &ReportFilter, page: &TimedPage) -> Result<Page<KeptReport>>;

    /// Removes reports that came before `before_ms`, of all organisations. Gives how many went.
    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;
}
