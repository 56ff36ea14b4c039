//! Clients' reports on scans and commits.

use async_trait::async_trait;
use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::TableIdent;

use super::SqliteStore;
use super::convert::{bounded, id, namespace};
use super::pages::{before, one_more_before, row_bytes};
use crate::store::pages::PageFill;
use crate::store::{
    KeptReport, Page, Report, ReportFilter, ReportLimits, ReportStore, Result, StoreError, TimedPage, WarehouseRef,
};

pub(super) fn report_add(connection: &Connection, reports: &[Report], limits: ReportLimits) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO report (organisation, warehouse, table_id, id, kind, at_ms, body)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE EXISTS (SELECT 1 FROM tabular WHERE organisation = ?1 AND id = ?3 AND warehouse = ?2)
            OR EXISTS (SELECT 1 FROM dropped WHERE organisation = ?1 AND id = ?3 AND warehouse = ?2)",
    )?;
    for report in reports {
        insert.execute(params![
            report.warehouse_ref.organisation.0.as_bytes(),
            report.warehouse_ref.warehouse.0.as_bytes(),
            report.table.0.as_bytes(),
            report.id.as_bytes(),
            report.kind.as_str(),
            report.at_ms,
            report.body,
        ])?;
    }
    let mut trim_table = connection.prepare_cached(
        "DELETE FROM report WHERE organisation = ?1 AND table_id = ?2 AND (at_ms, id) <=
             (SELECT at_ms, id FROM report WHERE organisation = ?1 AND table_id = ?2
              ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET ?3)",
    )?;
    let tables: BTreeSet<_> = reports.iter().map(|report| (report.warehouse_ref.organisation, report.table)).collect();
    for (organisation, table) in &tables {
        trim_table.execute(params![organisation.0.as_bytes(), table.0.as_bytes(), limits.per_table])?;
    }
    let mut trim_organisation = connection.prepare_cached(
        "DELETE FROM report WHERE organisation = ?1 AND (at_ms, id) <=
             (SELECT at_ms, id FROM report WHERE organisation = ?1 ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET ?2)",
    )?;
    let organisations: BTreeSet<_> = tables.into_iter().map(|(organisation, _)| organisation).collect();
    for organisation in organisations {
        trim_organisation.execute(params![organisation.0.as_bytes(), limits.per_organisation])?;
        trim_bytes(connection, organisation, limits.bytes_per_organisation)?;
    }
    Ok(())
}

/// The most reports that one addition removes because of their bytes. This is more than one addition adds, so an excess (after
/// an upgrade or a lowered limit) shrinks step by step and does not delay other changes.
const MOST_TRIMMED: u32 = 1_000;

/// Removes an organisation's oldest reports until the rest has at most `limit` bytes.
fn trim_bytes(connection: &Connection, organisation: OrganisationId, limit: u64) -> Result<()> {
    let organisation = organisation.0.as_bytes();
    let kept: Option<i64> = connection
        .prepare_cached("SELECT bytes FROM report_bytes WHERE organisation = ?1")?
        .query_row([organisation], |row| row.get(0))
        .optional()?;
    let mut over = kept.unwrap_or(0).saturating_sub(bounded(limit));
    if over <= 0 {
        return Ok(());
    }
    let mut oldest = connection.prepare_cached(
        "SELECT at_ms, id, octet_length(body) FROM report WHERE organisation = ?1 ORDER BY at_ms, id LIMIT ?2",
    )?;
    let mut rows = oldest.query(params![organisation, MOST_TRIMMED])?;
    let mut last: Option<(i64, [u8; 16])> = None;
    while over > 0 {
        let Some(row) = rows.next()? else { break };
        last = Some((row.get(0)?, row.get(1)?));
        over -= row.get::<_, i64>(2)?;
    }
    let Some((at_ms, id)) = last else { return Ok(()) };
    connection
        .prepare_cached("DELETE FROM report WHERE organisation = ?1 AND (at_ms, id) <= (?2, ?3)")?
        .execute(params![organisation, at_ms, id])?;
    Ok(())
}

const COLUMNS: &str = "report.organisation, report.warehouse, report.table_id, report.id, report.kind, report.at_ms,
    report.body, tabular.namespace, tabular.name";

pub(super) fn report_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &ReportFilter,
    page: &TimedPage,
) -> Result<Page<KeptReport>> {
    // A table and a warehouse have an index each, in the order of the list.
    let by_table = if filter.table.is_some() { "AND report.table_id = ?5" } else { "AND ?5 IS NULL" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM report
         LEFT JOIN tabular ON tabular.organisation = report.organisation AND tabular.id = report.table_id
         WHERE report.organisation = ?1 AND report.warehouse = ?2 AND (report.at_ms, report.id) < (?3, ?4) {by_table}
         AND (?6 IS NULL OR report.kind = ?6) AND report.at_ms >= ?7
         ORDER BY report.at_ms DESC, report.id DESC LIMIT ?8"
    ))?;
    let (at_ms, before) = before(page);
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        at_ms,
        before,
        filter.table.as_ref().map(|table| table.0.as_bytes()),
        filter.kind.map(|kind| kind.as_str()),
        filter.since_ms.unwrap_or(i64::MIN),
        one_more_before(page),
    ])?;
    let (mut items, mut fill) = (Vec::new(), page.limit.map(PageFill::new));
    while let Some(row) = rows.next()? {
        if fill.as_ref().is_some_and(PageFill::is_full) {
            return Ok(Page { items, more: true });
        }
        items.push(report_at(row)?);
        if let Some(fill) = &mut fill {
            fill.count_row(row_bytes(row), true);
        }
    }
    Ok(Page { items, more: false })
}

fn report_at(row: &Row<'_>) -> Result<KeptReport> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("report: {error}"));
    let ident = match (row.get::<_, Option<String>>(7)?, row.get::<_, Option<String>>(8)?) {
        (Some(key), Some(name)) => Some(TableIdent::new(namespace(&key)?, &name).map_err(|error| corrupt(&error))?),
        _ => None,
    };
    let report = Report {
        warehouse_ref: WarehouseRef {
            organisation: id(OrganisationId, row.get(0)?),
            warehouse: id(WarehouseId, row.get(1)?),
        },
        table: id(TableId, row.get(2)?),
        id: id(|uuid| uuid, row.get(3)?),
        kind: row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?.parse().map_err(|error| corrupt(&error))?,
        at_ms: row.get(5)?,
        body: row.get(6)?,
    };
    Ok(KeptReport { report, ident })
}

pub(super) fn report_remove_before(connection: &Connection, before_ms: i64, at_most: u32) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM report WHERE rowid IN (SELECT rowid FROM report WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
        )?
        .execute(params![before_ms, at_most])?;
    Ok(removed as u64)
}

/// Removes all reports on a table.
pub(super) fn report_forget(connection: &Connection, organisation: OrganisationId, table: TableId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM report WHERE organisation = ?1 AND table_id = ?2")?
        .execute(params![organisation.0.as_bytes(), table.0.as_bytes()])?;
    Ok(())
}

#[async_trait]
impl ReportStore for SqliteStore {
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()> {
        let reports = reports.to_vec();
        self.write(move |connection| report_add(connection, &reports, limits)).await
    }

    async fn report_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &ReportFilter,
        page: &TimedPage,
    ) -> Result<Page<KeptReport>> {
        let (filter, page) = (filter.clone(), *page);
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            report_list(connection, warehouse_ref, &filter, &page)
        })
        .await
    }

    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| report_remove_before(connection, before_ms, at_most)).await
    }
}
