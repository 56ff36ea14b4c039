//! `POST .../tables/{table}/metrics`: clients report what a scan or commit cost them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::Api;
use super::body::Body;
use super::caller::{Read, Scope};
use super::error::ApiError;
use super::path::PathParameters;

/// Accepts a report on a table that exists.
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let ident = PathParameters::of(&parts).table()?;
    let report: Map<String, Value> = body.json()?;
    let record = api.catalog.table_record(&scope.warehouse, &ident).await?;
    tracing::debug!(table = %record.id, kind = ?report.get("report-type"), "a client reports metrics");
    Ok(StatusCode::NO_CONTENT)
}
