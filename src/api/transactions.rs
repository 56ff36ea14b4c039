//! `POST /v1/{prefix}/transactions/commit`: commits to several tables, all of them or none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use tidewater_core::commit::TableCommit;

use super::Api;
use super::body::Body;
use super::caller::{Scope, Write};
use super::error::ApiError;
use crate::catalog::CatalogError;

pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let commits = TableCommit::parse_transaction(&body.0).map_err(CatalogError::from)?;
    let max_tables = scope.caller.tier().max_tables;
    if !scope.once.is_done() {
        api.catalog.transaction_commit(&scope.warehouse, commits, max_tables, scope.once.receipt()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
