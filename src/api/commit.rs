//! `POST .../tables/{table}`: commits.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidewater_core::commit::TableCommit;
use tidewater_core::name::TableIdent;
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::Body;
use super::caller::{Scope, Write};
use super::error::ApiError;
use super::load_result;
use super::path::Named;
use crate::deadline::STOP;

/// Applies a commit. The path says to which table, whatever the body's `identifier` says.
pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let commit = body.parse(&api, RequestKind::Commit, |body| TableCommit::parse_until(body, STOP)).await?;
    let max_tables = scope.caller.tier().max_tables;
    let table = match scope.once.document() {
        Some(kept) => api.catalog.table_again(&scope.warehouse, kept).await?,
        None => {
            let change = scope.change(&api);
            api.catalog.table_commit(&scope.warehouse, ident, commit, max_tables, &change).await?
        }
    };
    Ok(load_result::committed(&table))
}
