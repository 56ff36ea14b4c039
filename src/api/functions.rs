//! Functions of a namespace. The specification lets clients look for them and gives no way to make one, so a namespace that
//! exists has none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde_json::{Value, json};
use tidewater_core::name::NamespaceIdent;

use super::Api;
use super::body::Parameters;
use super::caller::{Read, Scope};
use super::error::ApiError;
use super::paging::Paging;
use super::path::{Named, PathParameters};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Value>, ApiError> {
    paging.request(api.settings.default_page_size)?;
    api.catalog.namespace_get(&scope.warehouse, &namespace).await?;
    Ok(Json(json!({ "next-page-token": null, "identifiers": [] })))
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    parts: Parts,
) -> Result<Json<Value>, ApiError> {
    let path = PathParameters::of(&parts);
    let namespace = path.namespace()?;
    api.catalog.namespace_get(&scope.warehouse, &namespace).await?;
    let name: String = path.get("function")?.unwrap_or_default().chars().take(200).collect();
    Err(ApiError::no_such_function(&format!("{namespace}.{name}")))
}
