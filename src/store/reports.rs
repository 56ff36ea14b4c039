//! Clients' metrics reports.

use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::error::Result;
use super::pages::{Page, TimedPage};
use super::warehouses::WarehouseRef;

/// A client's report on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The warehouse of the table.
    pub warehouse_ref: WarehouseRef,
    /// The table, which keeps its id when it is renamed.
    pub table: TableId,
    /// The report's own id.
    pub id: Uuid,
    /// Scan or commit.
    pub kind: ReportKind,
    /// When it arrived, in milliseconds since 1970.
    pub at_ms: i64,
    /// The report, as JSON.
    pub body: String,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReport {
    /// The report.
    pub report: Report,
    /// The table's present name; none when the table is dropped.
    pub ident: Option<TableIdent>,
}

/// The limits of stored reports. Beyond a limit, the store removes the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportLimits {
    /// The most bytes of reports per organisation.
    pub bytes_per_organisation: u64,
    /// The most reports per table.
    pub per_table: u32,
    /// The most reports per organisation.
    pub per_organisation: u32,
}

/// Selects reports. Unset fields select all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Only reports on this table.
    pub table: Option<TableId>,
    /// Only reports of this kind.
    pub kind: Option<ReportKind>,
    /// Only reports that arrived at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
}

/// Stores clients' reports on tables.
///
/// A change whose future is dropped may happen or not, but never in part. The caller cannot find out which: a report that is
/// added again is stored twice.
#[async_trait]
pub trait ReportStore: Send + Sync + 'static {
    /// Adds reports, except on tables that no longer exist, not even as dropped. Then removes the oldest reports beyond the
    /// limits.
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()>;

    /// Lists a warehouse's reports, newest first.
    async fn report_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &ReportFilter,
        page: &TimedPage,
    ) -> Result<Page<KeptReport>>;

    /// Removes up to `at_most` reports of all organisations that arrived before `before_ms`, in milliseconds since 1970. Returns
    /// the number removed.
    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;
}
