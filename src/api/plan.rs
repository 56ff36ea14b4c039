//! Scan planning: `POST .../tables/{table}/plan`, `.../plan/{plan-id}` and `POST .../tables/{table}/tasks`.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;
use tidewater_core::name::TableIdent;
use tidewater_core::request_limits::RequestKind;
use tidewater_core::scan::request::{PlanRequest, RequestError, TasksRequest};
use uuid::Uuid;

use super::Api;
use super::body::Body;
use super::delegation::{self, Delegated};
use super::error::ApiError;
use super::load_result::json_response;
use super::path::{Named, PathParameters};
use super::permission::Scope;
use super::security_headers::NO_STORE;
use crate::access::action;
use crate::planning::{Answer, PlanError};

/// The longest request to plan, in bytes. A filter may have some ten thousand values.
const MAX_PLAN_BYTES: usize = 1 << 20;

/// The longest request for a plan task, in bytes. It has the filter of its plan, encoded.
const MAX_TASK_BYTES: usize = 2 << 20;

/// A body of at most `LIMIT` bytes.
pub(super) struct ShortBody<const LIMIT: usize>(Body);

impl<const LIMIT: usize> FromRequest<Arc<Api>> for ShortBody<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        Body::receive(request, api, api.settings.max_body_bytes.min(LIMIT)).await.map(Self)
    }
}

/// The id of a plan in a path. Ids are UUIDs.
pub(super) struct PlanId(Uuid);

impl FromRequestParts<Arc<Api>> for PlanId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        let text = PathParameters::from_parts(parts).get("plan-id")?.unwrap_or_default();
        let unknown = |_| PlanError::NoSuchPlan(text.chars().take(100).collect());
        Ok(Self(Uuid::try_parse(&text).map_err(unknown)?))
    }
}

fn refused(error: &RequestError) -> ApiError {
    PlanError::BadRequest(error.to_string()).into()
}

/// Plans a scan of the table's present state. The answer is complete, or has plan tasks for the rest.
pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    scope: Scope<action::PlanScan>,
    Named(ident): Named<TableIdent>,
    delegated: Delegated,
    ShortBody(body): ShortBody<MAX_PLAN_BYTES>,
) -> Result<Response, ApiError> {
    let parse = |bytes: &[u8]| PlanRequest::parse(bytes).map_err(|error| refused(&error));
    let request = body.read(&api, RequestKind::Other, parse).await?;
    let permit = scope.table(&api, ident).await?;
    let table = api.catalog.table_to_plan(&permit).await?;
    let planned = api.planning.plan(&permit, &table.document, request).await?;
    let vended = delegation::credentials_for_plan(&api, &permit, delegated, &permit.ident, &table).await?;
    let credentials = vended.as_deref().map(|vended| json!(vended.credentials).to_string());
    let mut response = json_response(HttpBody::from(planned.into_text(credentials.as_deref())));
    let Some(vended) = vended else { return Ok(response) };
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    Ok(delegation::mark(&permit, Some(permit.record.id), &vended, response))
}

/// Answers that the plan is not kept: it was complete in the answer to its request.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    scope: Scope<action::PlanScan>,
    Named(ident): Named<TableIdent>,
    PlanId(id): PlanId,
) -> Result<Response, ApiError> {
    scope.table(&api, ident).await?;
    Err(PlanError::NoSuchPlan(id.to_string()).into())
}

/// Answers that the plan does not run.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    scope: Scope<action::PlanScan>,
    Named(ident): Named<TableIdent>,
    _: PlanId,
) -> Result<StatusCode, ApiError> {
    scope.table(&api, ident).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the files of a plan task. A long answer is sent while it is made. If that fails, the connection breaks, so that no client takes
/// the begun answer for a whole one.
pub(super) async fn tasks(
    State(api): State<Arc<Api>>,
    scope: Scope<action::PlanScan>,
    Named(ident): Named<TableIdent>,
    ShortBody(body): ShortBody<MAX_TASK_BYTES>,
) -> Result<Response, ApiError> {
    let parse = |bytes: &[u8]| TasksRequest::parse(bytes).map_err(|error| refused(&error));
    let TasksRequest { plan_task } = body.read(&api, RequestKind::Other, parse).await?;
    let permit = scope.table(&api, ident).await?;
    let table = api.catalog.table_to_plan(&permit).await?;
    Ok(json_response(match api.planning.tasks(&permit, &table.document, &plan_task).await? {
        Answer::Whole(text) => HttpBody::from(text),
        Answer::Parts(parts) => HttpBody::from_stream(parts),
    }))
}
