//! `GET /health` and `GET /ready`: for load balancers and people. They need no key and reveal only the state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::readiness::Problem;

/// How long a client should wait until it asks a server again that is not ready.
const RETRY_AFTER_S: u64 = 2;

/// Returns 200: the process is alive and answers. Does not use the database, since a restart would not bring it back.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Returns 200 if the server can answer requests, else 503 with the problems.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let problem = api.readiness.problem().await;
    let mut response = match problem {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(problem) => {
            let body = json!({ "status": "not-ready", "problems": [problem.as_str()], "message": message(problem) });
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            response
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Describes a problem for people.
const fn message(problem: Problem) -> &'static str {
    match problem {
        Problem::Draining => "The server is stopping: send new requests to another one",
        Problem::Database => "The database does not answer",
        Problem::MasterKey => "The master key is missing, or does not belong to this catalog: restore the right key",
    }
}
