//! Clients' reports on scans and commits.
//!
//! An organisation's row in `report_bytes` has the bytes of its reports. Each change of reports locks this row first, in the order of
//! the organisations' ids. So the count and the limits are exact, and no report is added while its table is removed for good.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::future;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, count, get};
use super::params::params;
use crate::store::pages::PageFill;
use crate::store::{
    KeptReport, Page, Report, ReportFilter, ReportLimits, ReportStore, Result, StoreError, TimedPage, WarehouseRef,
};

/// The most reports that one addition removes because of their bytes. This is more than one addition adds, so an excess (after
/// an upgrade or a lowered limit) shrinks step by step and does not delay other changes.
const MOST_TRIMMED: i64 = 1_000;

/// Completes a statement whose common table expression `gone` removes reports: subtracts their bytes.
const SUBTRACT: &str = "UPDATE report_bytes SET bytes = report_bytes.bytes - removed.bytes
    FROM (SELECT organisation, sum(bytes)::bigint AS bytes, count(*) AS reports FROM gone GROUP BY organisation) AS removed
    WHERE report_bytes.organisation = removed.organisation
    RETURNING removed.reports";

/// Locks the rows in `report_bytes` of the organisations that exist, and creates those that are missing.
async fn lock_bytes(
    transaction: &Transaction,
    organisations: &BTreeSet<Uuid>,
) -> std::result::Result<Vec<Row>, Failure> {
    let organisations: Vec<Uuid> = organisations.iter().copied().collect();
    let sql = "INSERT INTO report_bytes AS kept (organisation, bytes)
         SELECT id, 0 FROM (SELECT id FROM organisation WHERE id = ANY($1) ORDER BY id FOR KEY SHARE) AS present
         ON CONFLICT (organisation) DO UPDATE SET bytes = kept.bytes";
    transaction.query(sql, params![organisations]).await
}

/// Adds the reports on tables that exist.
async fn insert(transaction: &Transaction, reports: &[Report]) -> std::result::Result<Vec<Row>, Failure> {
    let sql = "WITH added AS (
             INSERT INTO report (organisation, warehouse, table_id, id, kind, at_ms, body)
             SELECT organisation, warehouse, table_id, id, kind, at_ms, body
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[])
                  AS new (organisation, warehouse, table_id, id, kind, at_ms, body)
             WHERE EXISTS (SELECT 1 FROM tabular WHERE tabular.organisation = new.organisation
                           AND tabular.id = new.table_id AND tabular.warehouse = new.warehouse)
                OR EXISTS (SELECT 1 FROM dropped WHERE dropped.organisation = new.organisation
                           AND dropped.id = new.table_id AND dropped.warehouse = new.warehouse)
             RETURNING organisation, octet_length(body) AS bytes)
         UPDATE report_bytes SET bytes = report_bytes.bytes + more.bytes
         FROM (SELECT organisation, sum(bytes)::bigint AS bytes FROM added GROUP BY organisation) AS more
         WHERE report_bytes.organisation = more.organisation";
    transaction
        .query(
            sql,
            params![
                reports.iter().map(|report| report.warehouse_ref.organisation.0).collect::<Vec<_>>(),
                reports.iter().map(|report| report.warehouse_ref.warehouse.0).collect::<Vec<_>>(),
                reports.iter().map(|report| report.table.0).collect::<Vec<_>>(),
                reports.iter().map(|report| report.id).collect::<Vec<_>>(),
                reports.iter().map(|report| report.kind.as_str()).collect::<Vec<_>>(),
                reports.iter().map(|report| report.at_ms).collect::<Vec<_>>(),
                reports.iter().map(|report| report.body.as_str()).collect::<Vec<_>>(),
            ],
        )
        .await
}

/// Removes the oldest reports of tables with more than `most` of them.
async fn trim_tables(
    transaction: &Transaction,
    tables: &BTreeSet<(Uuid, Uuid)>,
    most: u32,
) -> std::result::Result<Vec<Row>, Failure> {
    let (organisations, tables): (Vec<Uuid>, Vec<Uuid>) = tables.iter().copied().unzip();
    let sql = format!(
        "WITH surplus AS (
             SELECT changed.organisation, changed.table_id, newest.at_ms, newest.id
             FROM unnest($1::uuid[], $2::uuid[]) AS changed (organisation, table_id) CROSS JOIN LATERAL
                 (SELECT at_ms, id FROM report
                  WHERE report.organisation = changed.organisation AND report.table_id = changed.table_id
                  ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET $3) AS newest),
         gone AS (
             DELETE FROM report USING surplus
             WHERE report.organisation = surplus.organisation AND report.table_id = surplus.table_id
                   AND (report.at_ms, report.id) <= (surplus.at_ms, surplus.id)
             RETURNING report.organisation, octet_length(report.body) AS bytes)
         {SUBTRACT}"
    );
    transaction.query(&sql, params![organisations, tables, i64::from(most)]).await
}

/// Removes the oldest reports of organisations with more than `most` of them.
async fn trim_organisations(
    transaction: &Transaction,
    organisations: &BTreeSet<Uuid>,
    most: u32,
) -> std::result::Result<Vec<Row>, Failure> {
    let organisations: Vec<Uuid> = organisations.iter().copied().collect();
    let sql = format!(
        "WITH surplus AS (
             SELECT changed.organisation, newest.at_ms, newest.id
             FROM unnest($1::uuid[]) AS changed (organisation) CROSS JOIN LATERAL
                 (SELECT at_ms, id FROM report WHERE report.organisation = changed.organisation
                  ORDER BY at_ms DESC, id DESC LIMIT 1 OFFSET $2) AS newest),
         gone AS (
             DELETE FROM report USING surplus
             WHERE report.organisation = surplus.organisation
                   AND (report.at_ms, report.id) <= (surplus.at_ms, surplus.id)
             RETURNING report.organisation, octet_length(report.body) AS bytes)
         {SUBTRACT}"
    );
    transaction.query(&sql, params![organisations, i64::from(most)]).await
}

/// Removes the oldest reports of organisations with more than `most` bytes, until the rest has at most so many.
async fn trim_bytes(
    transaction: &Transaction,
    organisations: &BTreeSet<Uuid>,
    most: u64,
) -> std::result::Result<Vec<Row>, Failure> {
    let organisations: Vec<Uuid> = organisations.iter().copied().collect();
    let sql = format!(
        "WITH surplus AS (
             SELECT kept.organisation, oldest.id
             FROM report_bytes AS kept CROSS JOIN LATERAL
                 (SELECT id, sum(bytes) OVER (ORDER BY at_ms, id) - bytes AS bytes_before
                  FROM (SELECT id, at_ms, octet_length(body) AS bytes FROM report
                        WHERE report.organisation = kept.organisation ORDER BY at_ms, id LIMIT $3) AS first) AS oldest
             WHERE kept.organisation = ANY($1) AND kept.bytes > $2 AND oldest.bytes_before < kept.bytes - $2),
         gone AS (
             DELETE FROM report USING surplus
             WHERE report.organisation = surplus.organisation AND report.id = surplus.id
             RETURNING report.organisation, octet_length(report.body) AS bytes)
         {SUBTRACT}"
    );
    transaction.query(&sql, params![organisations, column(most), MOST_TRIMMED]).await
}

async fn add(transaction: &Transaction, reports: &[Report], limits: ReportLimits) -> std::result::Result<(), Failure> {
    let tables: BTreeSet<_> =
        reports.iter().map(|report| (report.warehouse_ref.organisation.0, report.table.0)).collect();
    let organisations: BTreeSet<_> = tables.iter().map(|(organisation, _)| *organisation).collect();
    // The statements run in this order. None needs the rows of an earlier one, so all are sent at once.
    future::try_join5(
        lock_bytes(transaction, &organisations),
        insert(transaction, reports),
        trim_tables(transaction, &tables, limits.per_table),
        trim_organisations(transaction, &organisations, limits.per_organisation),
        trim_bytes(transaction, &organisations, limits.bytes_per_organisation),
    )
    .await?;
    Ok(())
}

/// Removes up to `at_most` reports that arrived before a time.
async fn remove_before(transaction: &Transaction, before_ms: i64, at_most: u32) -> std::result::Result<u64, Failure> {
    let rows = transaction
        .query(
            "SELECT DISTINCT organisation
             FROM (SELECT organisation FROM report WHERE at_ms < $1 ORDER BY at_ms LIMIT $2) AS oldest",
            params![before_ms, i64::from(at_most)],
        )
        .await?;
    let organisations: BTreeSet<Uuid> = rows.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
    if organisations.is_empty() {
        return Ok(0);
    }
    lock_bytes(transaction, &organisations).await?;
    let sql = format!(
        "WITH old AS (
             SELECT organisation, id FROM report WHERE at_ms < $1 AND organisation = ANY($3) ORDER BY at_ms LIMIT $2),
         gone AS (
             DELETE FROM report USING old WHERE report.organisation = old.organisation AND report.id = old.id
             RETURNING report.organisation, octet_length(report.body) AS bytes)
         {SUBTRACT}"
    );
    let organisations: Vec<Uuid> = organisations.into_iter().collect();
    let removed = transaction.query(&sql, params![before_ms, i64::from(at_most), organisations]).await?;
    let counts = removed.iter().map(|row| Ok(count(get(row, 0)?))).collect::<Result<Vec<u64>>>()?;
    Ok(counts.into_iter().sum())
}

/// Removes all reports on a table that is removed for good in the same transaction.
pub(super) async fn report_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    table: TableId,
) -> std::result::Result<(), Failure> {
    let sql = format!(
        "WITH gone AS (
             DELETE FROM report WHERE organisation = $1 AND table_id = $2
             RETURNING organisation, octet_length(body) AS bytes)
         {SUBTRACT}"
    );
    let organisations = BTreeSet::from([organisation.0]);
    future::try_join(
        lock_bytes(transaction, &organisations),
        transaction.query(&sql, params![organisation.0, table.0]),
    )
    .await?;
    Ok(())
}

const COLUMNS: &str = "report.organisation, report.warehouse, report.table_id, report.id, report.kind, report.at_ms,
    report.body, tabular.namespace, tabular.name";

#[async_trait]
impl ReportStore for PostgresStore {
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()> {
        transact!(self, transaction => add(transaction, reports, limits))
    }

    async fn report_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &ReportFilter,
        page: &TimedPage,
    ) -> Result<Page<KeptReport>> {
        // A table and a warehouse have an index each, in the order of the list.
        let by_table = if filter.table.is_some() { "AND report.table_id = $8" } else { "AND $8::uuid IS NULL" };
        let sql = format!(
            "SELECT {COLUMNS} FROM report
             LEFT JOIN tabular ON tabular.organisation = report.organisation AND tabular.id = report.table_id
             WHERE report.organisation = $1 AND report.warehouse = $2 AND (report.at_ms, report.id) < ($3, $4)
                   AND ($5::text IS NULL OR report.kind = $5) AND report.at_ms >= $6 {by_table}
             ORDER BY report.at_ms DESC, report.id DESC LIMIT $7"
        );
        let (at_ms, before) = page.before.map_or((i64::MAX, Uuid::max()), |moment| (moment.at_ms, moment.id));
        let rows = self
            .read(
                &sql,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    at_ms,
                    before,
                    filter.kind.map(|kind| kind.as_str()),
                    filter.since_ms.unwrap_or(i64::MIN),
                    page.limit.map(|limit| i64::from(limit) + 1),
                    filter.table.map(|table| table.0),
                ],
            )
            .await?;
        let (mut items, mut fill) = (Vec::new(), page.limit.map(PageFill::new));
        for row in &rows {
            if fill.as_ref().is_some_and(PageFill::is_full) {
                return Ok(Page { items, more: true });
            }
            items.push(report_at(row)?);
            if let Some(fill) = &mut fill {
                fill.count_row(row.raw_size_bytes(), true);
            }
        }
        Ok(Page { items, more: false })
    }

    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        transact!(self, transaction => remove_before(transaction, before_ms, at_most))
    }
}

fn report_at(row: &Row) -> Result<KeptReport> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("report: {error}"));
    let ident = match (get::<Option<&str>>(row, 7)?, get::<Option<&str>>(row, 8)?) {
        (Some(key), Some(name)) => {
            let namespace = NamespaceIdent::from_key(key).map_err(|error| corrupt(&error))?;
            Some(TableIdent::new(namespace, name).map_err(|error| corrupt(&error))?)
        }
        _ => None,
    };
    let report = Report {
        warehouse_ref: WarehouseRef {
            organisation: OrganisationId(get(row, 0)?),
            warehouse: WarehouseId(get(row, 1)?),
        },
        table: TableId(get(row, 2)?),
        id: get(row, 3)?,
        kind: get::<&str>(row, 4)?.parse().map_err(|error| corrupt(&error))?,
        at_ms: get(row, 5)?,
        body: get(row, 6)?,
    };
    Ok(KeptReport { report, ident })
}
