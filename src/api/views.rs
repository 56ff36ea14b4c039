//! Views: create, register, load, replace, list, rename, drop.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestKind;
use tidewater_core::view::{CreateView, RegisterView, ViewCommit};

use super::Api;
use super::body::{Body, Parameters};
use super::caller::{Read, Scope, Write};
use super::error::ApiError;
use super::list_body::ListBody;
use super::load_result;
use super::paging::Paging;
use super::path::Named;
use super::tables::Rename;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<ListBody, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let page = api.catalog.view_list(&scope.warehouse, &namespace, &page).await?;
    Ok(ListBody::of_tables(&namespace, &page))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Create, CreateView::parse).await?;
    scope.note_object(&request.name);
    let max_tables = scope.caller.tier().max_tables;
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&scope.warehouse, kept).await?,
        None => {
            let change = scope.change(&api);
            api.catalog.view_create(&scope.warehouse, &namespace, request, max_tables, &change).await?
        }
    };
    Ok(load_result::view(&view))
}

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Other, RegisterView::parse).await?;
    scope.note_object(&request.name);
    let max_tables = scope.caller.tier().max_tables;
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&scope.warehouse, kept).await?,
        None => {
            let change = scope.change(&api);
            api.catalog.view_register(&scope.warehouse, &namespace, request, max_tables, &change).await?
        }
    };
    Ok(load_result::view(&view))
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
) -> Result<Response, ApiError> {
    let view = api.catalog.view_load(&scope.warehouse, &ident).await?;
    Ok(load_result::view(&view))
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    api.catalog.view_record(&scope.warehouse, &ident).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Applies a commit. The path says to which view, whatever the body's `identifier` says.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let commit = body.parse(&api, RequestKind::Commit, ViewCommit::parse).await?;
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&scope.warehouse, kept).await?,
        None => api.catalog.view_commit(&scope.warehouse, ident, commit, &scope.change(&api)).await?,
    };
    Ok(load_result::view(&view))
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        api.catalog.view_drop(&scope.warehouse, &ident, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json(&api, RequestKind::Other).await?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    scope.note_object(format_args!("{from} to {to}"));
    if !scope.once.is_done() {
        api.catalog.view_rename(&scope.warehouse, &from, &to, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
