//! `POST .../tables/{table}/metrics`: clients report what a scan or commit cost them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use tidewater_core::name::TableIdent;

use super::Api;
use super::body::Body;
use super::caller::{Read, Scope};
use super::error::ApiError;
use super::path::Named;

/// Accepts a report on a table that exists.
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let report: Map<String, Value> = body.json()?;
    let record = api.catalog.table_record(&scope.warehouse, &ident).await?;
    tracing::debug!(table = %record.id, kind = ?report.get("report-type"), "a client reports metrics");
    Ok(StatusCode::NO_CONTENT)
}
