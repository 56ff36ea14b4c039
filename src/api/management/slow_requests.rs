//! `GET /management/v1/slow-requests`: the slowest requests of the last hour to this server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::administrator::Manager;
use crate::api::Api;
use crate::telemetry::SlowRequest;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct SlowRequestList {
    /// The shortest time that counts as slow. Null if no requests are kept.
    threshold_ms: Option<u64>,
    slow_requests: Vec<SlowRequestEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SlowRequestEntry {
    at_ms: i64,
    method: &'static str,
    route: Option<String>,
    status: Option<u16>,
    duration_ms: u64,
    organisation: Option<String>,
    request_id: String,
}

impl From<SlowRequest> for SlowRequestEntry {
    fn from(one: SlowRequest) -> Self {
        Self {
            at_ms: one.at_ms,
            method: one.method,
            route: one.route,
            status: one.status,
            duration_ms: millis(one.took),
            organisation: one.organisation.map(|(_, name)| name),
            request_id: one.request_id,
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Lists the slowest requests, the slowest first.
pub(in crate::api) async fn list(State(api): State<Arc<Api>>, _: Manager) -> Json<SlowRequestList> {
    let slow = api.telemetry.requests().slow();
    let slow_requests = slow.list().into_iter().map(SlowRequestEntry::from).collect();
    Json(SlowRequestList { threshold_ms: slow.threshold().map(millis), slow_requests })
}
