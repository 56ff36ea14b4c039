//! `POST /management/v1/reload`: reads the settings of the server again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;

use super::administrator::Machine;
use super::process::Reloaded;
use super::status::machine_only;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::config::SettingChange;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Changes {
    taken: Vec<SettingChange>,
    needs_restart: Vec<SettingChange>,
}

/// Takes the settings as they are now, as far as they can change while the server runs.
pub(crate) async fn reload(
    State(api): State<Arc<Api>>,
    machine: Option<Extension<Machine>>,
) -> Result<Json<Changes>, ApiError> {
    machine_only(machine)?;
    match api.process.reload("tidewater reload").await {
        Some(Ok(Reloaded { taken, needs_restart })) => Ok(Json(Changes { taken, needs_restart })),
        Some(Err(reason)) => Err(ApiError::bad_request(reason)),
        None => Err(ApiError::new(StatusCode::CONFLICT, "ConflictException", "No server runs in this process")),
    }
}
