//! `GET /management/v1/status`: the process that serves, and the tiers that it knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use tidewater_core::limits::Tier;

use super::administrator::Machine;
use crate::api::Api;
use crate::api::error::ApiError;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    process: u32,
    version: &'static str,
    uptime_s: u64,
    tiers: Arc<BTreeMap<String, Tier>>,
}

/// Tells which process serves, for how long, and by which tiers.
pub(crate) async fn status(
    State(api): State<Arc<Api>>,
    machine: Option<Extension<Machine>>,
) -> Result<Json<Status>, ApiError> {
    machine_only(machine)?;
    Ok(Json(Status {
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: api.process.uptime().as_secs(),
        tiers: Arc::clone(&api.tiers),
    }))
}

/// Fails unless the request comes from the machine itself.
pub(super) fn machine_only(machine: Option<Extension<Machine>>) -> Result<Machine, ApiError> {
    machine.map(|Extension(machine)| machine).ok_or_else(|| {
        ApiError::forbidden("Only a command on the server's own machine may do this: see `tidewater --help`")
    })
}
