//! `GET /metrics`: the server's metrics, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use super::management::administrator::Manager;
use crate::telemetry::Format;

/// Returns the metrics to an operator.
pub(super) async fn for_operators(
    state: State<Arc<Api>>,
    _: Manager,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    for_all(state, headers).await
}

/// Returns the metrics to anybody.
pub(super) async fn for_all(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted_by(accept);
    let text = api.telemetry.shared_text(format).await.map_err(|error| ApiError::internal(&error))?;
    Ok(([(CONTENT_TYPE, format.media_type())], text).into_response())
}
