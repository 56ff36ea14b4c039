//! Functions of a namespace. The specification has routes to list and load functions, but none to create one. So every
//! namespace has an empty list.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde_json::{Value, json};
use tidewater_core::name::NamespaceIdent;

use super::Api;
use super::body::Parameters;
use super::error::ApiError;
use super::paging::Paging;
use super::path::{Named, PathParameters};
use super::permission::Scope;
use crate::access::action;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ListFunctions>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Value>, ApiError> {
    paging.request(api.settings.default_page_size)?;
    let functions = api.catalog.function_list(&scope.namespace(namespace)?).await?;
    Ok(Json(json!({ "next-page-token": null, "identifiers": functions })))
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ListFunctions>,
    parts: Parts,
) -> Result<Json<Value>, ApiError> {
    let path = PathParameters::from_parts(&parts);
    let namespace = scope.namespace(path.namespace()?)?;
    api.catalog.function_list(&namespace).await?;
    let name: String = path.get("function")?.unwrap_or_default().chars().take(200).collect();
    Err(ApiError::no_such_function(&format!("{}.{name}", namespace.ident)))
}
