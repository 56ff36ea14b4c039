//! Views: create, register, load, replace, list, rename, drop.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use tidewater_core::view::{CreateView, RegisterView, ViewCommit};

use super::Api;
use super::body::{Body, Parameters};
use super::caller::{Read, Scope, Write};
use super::error::ApiError;
use super::load_result;
use super::paging::Paging;
use super::path::PathParameters;
use super::tables::{Rename, TableList};
use crate::catalog::CatalogError;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    parts: Parts,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<TableList>, ApiError> {
    let namespace = PathParameters::of(&parts).namespace()?;
    let page = paging.request(api.settings.default_page_size)?;
    let page = api.catalog.view_list(&scope.warehouse, &namespace, &page).await?;
    Ok(Json(TableList::of(&namespace, page)))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let namespace = PathParameters::of(&parts).namespace()?;
    let request = CreateView::parse(&body.0).map_err(CatalogError::from)?;
    let max_tables = scope.caller.tier().max_tables;
    let view = match scope.once.document() {
        Some(location) => api.catalog.view_at(&scope.warehouse, location).await?,
        None => {
            let receipt = scope.once.receipt();
            api.catalog.view_create(&scope.warehouse, &namespace, request, max_tables, receipt).await?
        }
    };
    Ok(load_result::view(&view))
}

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let namespace = PathParameters::of(&parts).namespace()?;
    let request = RegisterView::parse(&body.0).map_err(CatalogError::from)?;
    let max_tables = scope.caller.tier().max_tables;
    let view = match scope.once.document() {
        Some(location) => api.catalog.view_at(&scope.warehouse, location).await?,
        None => {
            let receipt = scope.once.receipt();
            api.catalog.view_register(&scope.warehouse, &namespace, request, max_tables, receipt).await?
        }
    };
    Ok(load_result::view(&view))
}

pub(super) async fn load(State(api): State<Arc<Api>>, scope: Scope<Read>, parts: Parts) -> Result<Response, ApiError> {
    let view = api.catalog.view_load(&scope.warehouse, &PathParameters::of(&parts).view()?).await?;
    Ok(load_result::view(&view))
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    api.catalog.view_record(&scope.warehouse, &PathParameters::of(&parts).view()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Applies a commit. The path says to which view, whatever the body's `identifier` says.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let ident = PathParameters::of(&parts).view()?;
    let commit = ViewCommit::parse(&body.0).map_err(CatalogError::from)?;
    let view = match scope.once.document() {
        Some(location) => api.catalog.view_at(&scope.warehouse, location).await?,
        None => api.catalog.view_commit(&scope.warehouse, ident, commit, scope.once.receipt()).await?,
    };
    Ok(load_result::view(&view))
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let ident = PathParameters::of(&parts).view()?;
    if !scope.once.is_done() {
        api.catalog.view_drop(&scope.warehouse, &ident, scope.once.receipt()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json()?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    if !scope.once.is_done() {
        api.catalog.view_rename(&scope.warehouse, &from, &to, scope.once.receipt()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
