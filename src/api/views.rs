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
use super::error::ApiError;
use super::labels::{Labelled, schema_of_view};
use super::list_body::ListBody;
use super::load_result;
use super::paging::Paging;
use super::path::Named;
use super::permission::Scope;
use super::requests::Rename;
use crate::access::action::On;
use crate::access::{Answered, Permit, View, action};
use crate::catalog::CatalogError;
use crate::store::{KeptDocument, TableKind};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ListViews>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<ListBody, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let namespace = scope.namespace(namespace)?;
    let page = api.catalog.view_list(&namespace, &page).await?;
    Ok(ListBody::of_tables(&namespace.ident, &page))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CreateView>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Create, CreateView::parse).await?;
    let scope = scope.present(&api).await?;
    scope.note_object(&request.name);
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&answered(&scope, namespace, &request.name, kept)?).await?,
        None => api.catalog.view_create(&scope.namespace(namespace)?, request, &scope.change(&api)).await?,
    };
    Ok(load_result::view(&view))
}

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    scope: Scope<action::RegisterView>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Other, RegisterView::parse).await?;
    let scope = scope.present(&api).await?;
    scope.note_object(&request.name);
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&answered(&scope, namespace, &request.name, kept)?).await?,
        None => api.catalog.view_register(&scope.namespace(namespace)?, request, &scope.change(&api)).await?,
    };
    Ok(load_result::view(&view))
}

/// Decides about the view of an earlier answer to the same request.
fn answered<A: On<Answered>>(
    scope: &Scope<A>,
    namespace: NamespaceIdent,
    name: &str,
    kept: &KeptDocument,
) -> Result<Permit<A, Answered>, ApiError> {
    let ident = TableIdent::new(namespace, name).map_err(CatalogError::from)?;
    scope.answered(ident, TableKind::View, kept)
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<action::LoadView>,
    Named(ident): Named<TableIdent>,
) -> Result<Response, ApiError> {
    let permit = scope.view(&api, ident).await?;
    let view = api.catalog.view_load(&permit).await?;
    let View { warehouse, ident, record } = &*permit;
    let labelled = Labelled { warehouse, ident, record };
    let labels = match labelled.may_have_any() {
        false => None,
        true => labelled.sent(&api, &view, schema_of_view).await?,
    };
    Ok(match labels {
        None => load_result::view(&view),
        Some(labels) => load_result::labelled_view(&view, &labels),
    })
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CheckView>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    scope.view(&api, ident).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Applies a commit to the path's view. Ignores the body's `identifier`.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ReplaceView>,
    Named(ident): Named<TableIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let commit = body.parse(&api, RequestKind::Commit, ViewCommit::parse).await?;
    let view = match scope.once.document() {
        Some(kept) => api.catalog.view_again(&scope.answered(ident, TableKind::View, kept)?).await?,
        None => api.catalog.view_commit(scope.view(&api, ident).await?, commit, &scope.change(&api)).await?,
    };
    Ok(load_result::view(&view))
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<action::DropView>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        api.catalog.view_drop(&scope.view(&api, ident).await?, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Renames a view. The caller must also be allowed to create views in the new name's namespace.
pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<action::RenameView>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json(&api, RequestKind::Other).await?;
    let scope = scope.present(&api).await?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    scope.note_object(format_args!("{from} to {to}"));
    if !scope.once.is_done() {
        let view = scope.view(&api, from).await?;
        let namespace = scope.namespace_for::<action::CreateView>(to.namespace.clone())?;
        api.catalog.view_rename(&view, (&namespace, to.name()), &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
