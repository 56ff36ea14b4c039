//! `POST .../tables/{table}/metrics`: clients report metrics of scans and commits. Administrators list the reports.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::Api;
use super::body::{Body, Parameters};
use super::error::ApiError;
use super::management::scoped::Scoped;
use super::namespaces::levels;
use super::path::Named;
use super::permission::Scope;
use super::requests::{Identifier, namespace_parameter};
use super::timed_paging::{TimedPaging, token_before};
use crate::access::action;
use crate::store::{KeptReport, Moment, ReportFilter, StoreError};

/// Accepts a report on an existing table.
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ReportMetrics>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let table = scope.table(&api, ident).await?;
    api.reports.accept(table.warehouse.warehouse_ref, table.record.id, body.text()?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The filters of a list of reports.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Wanted {
    namespace: Option<String>,
    table: Option<String>,
    table_id: Option<String>,
    report_type: Option<String>,
    since: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReportList {
    next_page_token: Option<String>,
    reports: Vec<ReportEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ReportEntry {
    id: Uuid,
    table_id: TableId,
    identifier: Option<Identifier>,
    received_ms: i64,
    report: Box<RawValue>,
}

/// Lists clients' reports on the tables of a warehouse, newest first.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<action::ListReports>,
    Parameters(paging): Parameters<TimedPaging>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<ReportList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let filter = filter(&api, &scope, &wanted).await?;
    let warehouse = scope.warehouse()?;
    let found = api.store.report_list(warehouse.0.warehouse_ref, &filter, &page).await?;
    let last = found.items.last().filter(|_| found.more);
    let next_page_token = last.map(|last| token_before(Moment { at_ms: last.report.at_ms, id: last.report.id }));
    let reports = found.items.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Json(ReportList { next_page_token, reports }))
}

async fn filter(api: &Api, scope: &Scope<action::ListReports>, wanted: &Wanted) -> Result<ReportFilter, ApiError> {
    let table = match (&wanted.table_id, &wanted.namespace, &wanted.table) {
        (None, None, None) => None,
        (Some(id), None, None) => {
            let id: TableId = id.parse().map_err(|_| ApiError::bad_request("table-id must be a UUID"))?;
            Some(id)
        }
        (None, Some(namespace), Some(name)) => {
            let ident = TableIdent::new(namespace_parameter(namespace)?, name);
            let ident = ident.map_err(|error| ApiError::bad_request(error.to_string()))?;
            Some(scope.table(api, ident).await?.record.id)
        }
        _ => return Err(ApiError::bad_request("Name a table by namespace and table, or by table-id alone")),
    };
    let kind = wanted.report_type.as_deref().map(str::parse::<ReportKind>).transpose();
    let since = wanted.since.as_deref().map(str::parse::<i64>).transpose();
    Ok(ReportFilter {
        table,
        kind: kind.map_err(|error| ApiError::bad_request(error.to_string()))?,
        since_ms: since.map_err(|_| ApiError::bad_request("since must be a time in milliseconds since 1970"))?,
    })
}

fn entry(kept: KeptReport) -> Result<ReportEntry, ApiError> {
    let KeptReport { report, ident } = kept;
    let corrupt = |error: serde_json::Error| StoreError::Corrupt(format!("report.body: {error}"));
    Ok(ReportEntry {
        id: report.id,
        table_id: report.table,
        identifier: ident.map(|ident| Identifier::new(levels(&ident.namespace), ident.name().to_owned())),
        received_ms: report.at_ms,
        report: RawValue::from_string(report.body).map_err(corrupt)?,
    })
}
