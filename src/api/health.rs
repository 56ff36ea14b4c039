//! `GET /health`: for load balancers and people; needs no key and tells next to nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;

/// 200 when the store answers, else 503. Without the master key a server still serves the warehouses that it has open, so
/// that is told and refuses nothing.
pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    api.store.ping().await?;
    if !api.master_key.is_well().await {
        return Ok(Json(json!({ "status": "degraded", "problems": ["master-key"] })));
    }
    Ok(Json(json!({ "status": "ok" })))
}
