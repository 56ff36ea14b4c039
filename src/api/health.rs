//! `GET /health`: for load balancers and people. It needs no key and reveals only the state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;

/// Returns 200 if the store answers, else 503. A missing master key gives 200 with `degraded`: warehouses that are open are
/// still served.
pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    api.store.ping().await?;
    if !api.master_key.is_well().await {
        return Ok(Json(json!({ "status": "degraded", "problems": ["master-key"] })));
    }
    Ok(Json(json!({ "status": "ok" })))
}
