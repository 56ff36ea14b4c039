//! `POST .../tables/{table}`: commits.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidewater_core::commit::TableCommit;
use tidewater_core::name::TableIdent;
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::Body;
use super::error::ApiError;
use super::load_result;
use super::path::Named;
use super::permission::Scope;
use crate::access::action;
use crate::base::deadline::STOP;
use crate::store::TableKind;

/// Applies a commit to the path's table. Ignores the body's `identifier`.
pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CommitTable>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let commit = body.parse(&api, RequestKind::Commit, |body| TableCommit::parse_until(body, STOP)).await?;
    let table = match scope.once.document() {
        Some(kept) => api.catalog.table_again(&scope.answered(ident, TableKind::Table, kept)?).await?,
        None => {
            let change = scope.change(&api);
            let is_create = commit.is_create();
            let find = |authorizer, warehouse| api.catalog.commit_find(authorizer, warehouse, ident.clone(), is_create);
            let target = scope.decided(&api, find).await?;
            api.catalog.table_commit(target, commit, &change).await?
        }
    };
    Ok(load_result::committed(&table))
}
