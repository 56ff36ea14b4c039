//! `POST .../tables/{table}/sign`: signs a client's request to the storage, for one of the table's files.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tidewater_core::name::TableIdent;
use tidewater_core::request_limits::RequestKind;
use tidewater_core::storage::s3_request::S3Request;

use super::Api;
use super::audit_marks::GaveAccess;
use super::body::{Body, Parameters};
use super::error::ApiError;
use super::path::Named;
use super::permission::Scope;
use crate::access::action;
use crate::vending::PASS;

/// The query of the signing path that a client was given.
#[derive(Deserialize)]
pub(super) struct Query {
    pass: Option<String>,
}

/// `RemoteSignRequest`. The region is ignored: only the warehouse's region works.
#[derive(Deserialize)]
struct RemoteSignRequest {
    uri: String,
    method: String,
    headers: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    provider: Option<String>,
    properties: Option<BTreeMap<String, String>>,
}

/// `RemoteSignResult`.
#[derive(Serialize)]
struct RemoteSignResult {
    uri: String,
    headers: BTreeMap<String, Vec<String>>,
}

/// Signs a request that the caller's role allows.
pub(super) async fn sign(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ReadTableData>,
    Named(ident): Named<TableIdent>,
    Parameters(query): Parameters<Query>,
    body: Body,
) -> Result<Response, ApiError> {
    let request: RemoteSignRequest = body.json(&api, RequestKind::Other).await?;
    let RemoteSignRequest { uri, method, headers, body, provider, properties } = request;
    if provider.as_deref().is_some_and(|provider| !provider.eq_ignore_ascii_case("s3")) {
        return Err(ApiError::bad_request("Only requests to the provider 's3' can be signed"));
    }
    let headers: Vec<(String, Vec<String>)> = headers.into_iter().collect();
    let request = S3Request { method: &method, uri: &uri, headers: &headers, body: body.as_deref() };
    let pass = properties.as_ref().and_then(|properties| properties.get(PASS)).or(query.pass.as_ref());
    let pass = pass.map(String::as_str);
    let (catalog, ident, request) = (&api.catalog, &ident, &request);
    let sign =
        |authorizer, warehouse| async move { catalog.table_sign(&authorizer, &warehouse, ident, pass, request).await };
    let signed = scope.decided(&api, sign).await?;
    let access = match method.to_ascii_uppercase().as_str() {
        "GET" | "HEAD" => "read",
        "DELETE" => "remove",
        _ => "write",
    };
    // Clients read a file in many pieces and reuse one signature. Java caches it only if the header is exactly `private`.
    let may_be_kept = if signed.may_be_reused { "private" } else { "no-cache" };
    let mut response = Json(RemoteSignResult { uri, headers: signed.headers }).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(may_be_kept));
    response.extensions_mut().insert(GaveAccess { given: "signature", access, table: None });
    Ok(response)
}
