//! `GET /health`: for load balancers and people; needs no key and tells nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;

/// 200 when the store answers, else 503.
pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    api.store.ping().await?;
    Ok(Json(json!({ "status": "ok" })))
}
