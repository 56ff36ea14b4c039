//! Namespaces: list, create, load, drop, update properties.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tidewater_core::name::NamespaceIdent;
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::{Body, Parameters};
use super::error::ApiError;
use super::list_body::ListBody;
use super::paging::Paging;
use super::path::Named;
use super::permission::Scope;
use crate::access::{NamespaceParent, action};
use crate::store::Properties;

#[derive(Serialize)]
pub(super) struct Namespace {
    namespace: Vec<String>,
    properties: Properties,
}

#[derive(Deserialize)]
pub(super) struct CreateNamespace {
    namespace: Vec<String>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Deserialize)]
pub(super) struct UpdateProperties {
    #[serde(default)]
    updates: Option<Properties>,
    #[serde(default)]
    removals: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct UpdatedProperties {
    updated: Vec<String>,
    removed: Vec<String>,
    missing: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ListParameters {
    parent: Option<String>,
}

/// Returns the levels of a namespace, for bodies.
pub(super) fn levels(namespace: &NamespaceIdent) -> Vec<String> {
    namespace.levels().map(str::to_owned).collect()
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ListNamespaces>,
    Parameters(parameters): Parameters<ListParameters>,
    Parameters(paging): Parameters<Paging>,
) -> Result<ListBody, ApiError> {
    let parent = match parameters.parent.as_deref() {
        None | Some("") => None,
        Some(key) => Some(NamespaceIdent::from_key(key).map_err(|error| ApiError::bad_request(error.to_string()))?),
    };
    let page = paging.request(api.settings.default_page_size)?;
    let parent = scope.authorizer.permit(NamespaceParent { warehouse: scope.warehouse, ident: parent })?;
    let page = api.catalog.namespace_list(&parent, &page).await?;
    Ok(ListBody::of_namespaces(&page))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CreateNamespace>,
    body: Body,
) -> Result<Json<Namespace>, ApiError> {
    let request: CreateNamespace = body.json(&api, RequestKind::Create).await?;
    let scope = scope.present(&api).await?;
    let namespace =
        NamespaceIdent::new(&request.namespace).map_err(|error| ApiError::bad_request(error.to_string()))?;
    scope.note_object(&namespace);
    let properties = request.properties.unwrap_or_default();
    if !scope.once.is_done() {
        let namespace = scope.namespace(namespace)?;
        api.catalog.namespace_create(&namespace, &properties, &scope.change(&api)).await?;
    }
    Ok(Json(Namespace { namespace: request.namespace, properties }))
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    scope: Scope<action::LoadNamespace>,
    Named(namespace): Named<NamespaceIdent>,
) -> Result<Json<Namespace>, ApiError> {
    let namespace = scope.namespace(namespace)?;
    let properties = api.catalog.namespace_load(&namespace).await?;
    Ok(Json(Namespace { namespace: levels(&namespace.ident), properties }))
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CheckNamespace>,
    Named(namespace): Named<NamespaceIdent>,
) -> Result<StatusCode, ApiError> {
    api.catalog.namespace_check(&scope.namespace(namespace)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<action::DropNamespace>,
    Named(namespace): Named<NamespaceIdent>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        api.catalog.namespace_drop(&scope.namespace(namespace)?, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn update_properties(
    State(api): State<Arc<Api>>,
    scope: Scope<action::UpdateNamespace>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Json<UpdatedProperties>, ApiError> {
    let request: UpdateProperties = body.json(&api, RequestKind::NamespaceProperties).await?;
    let scope = scope.present(&api).await?;
    let (updates, removals) = (request.updates.unwrap_or_default(), request.removals.unwrap_or_default());
    let changes = match scope.once.properties() {
        Some(changes) => changes.clone(),
        None => {
            let namespace = scope.namespace(namespace)?;
            let change = scope.change(&api);
            api.catalog.namespace_update_properties(&namespace, &updates, &removals, &change).await?
        }
    };
    Ok(Json(UpdatedProperties { updated: changes.updated, removed: changes.removed, missing: changes.missing }))
}
