//! `/management/v1/status`, `tiers`, `settings` and `reload`: the server itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tidewater_core::burst::BurstLimit;
use tidewater_core::limits::Tier;

use super::administrator::{Administrator, Manager};
use super::fields::{Fields, NoFields};
use super::parts::{Part, parts};
use crate::admin::{Reloaded, ServerStatus};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::background::TaskState;
use crate::config::SettingChange;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Status {
    process: u32,
    version: &'static str,
    uptime_s: u64,
    tiers: BTreeMap<String, TierEntry>,
    parts: Vec<Part>,
    background: Vec<BackgroundTask>,
}

/// The state of a background task.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BackgroundTask {
    name: &'static str,
    state: &'static str,
    last_run_ms: Option<i64>,
    last_duration_ms: Option<u64>,
    last_error: Option<String>,
    failures: u32,
    running_since_ms: Option<i64>,
    next_run_ms: Option<i64>,
    /// Ended runs since the start, and those of them that failed.
    runs: u64,
    failed_runs: u64,
    /// Objects that the runs have handled since the start.
    handled: u64,
}

impl From<TaskState> for BackgroundTask {
    fn from(task: TaskState) -> Self {
        let TaskState {
            name,
            stage,
            running_since_ms,
            last_run_ms,
            last_duration_ms,
            last_error,
            failures,
            next_run_ms,
            runs,
            failed_runs,
            handled,
        } = task;
        let state = stage.as_str();
        Self {
            name,
            state,
            last_run_ms,
            last_duration_ms,
            last_error,
            failures,
            running_since_ms,
            next_run_ms,
            runs,
            failed_runs,
            handled,
        }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct Tiers {
    tiers: BTreeMap<String, TierEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TierEntry {
    catalog: bool,
    requests_per_day: Option<u64>,
    max_tables: Option<u64>,
    requests_per_second: Option<u64>,
    burst: Option<u64>,
    requests_per_second_per_key: Option<u64>,
    burst_per_key: Option<u64>,
}

fn tier_entries(tiers: &BTreeMap<String, Tier>) -> BTreeMap<String, TierEntry> {
    let entry = |tier: &Tier| {
        let (organisation, key) = (tier.organisation_burst(), tier.key_burst());
        TierEntry {
            catalog: tier.catalog,
            requests_per_day: tier.requests_per_day,
            max_tables: tier.max_tables,
            requests_per_second: organisation.map(BurstLimit::per_second),
            burst: organisation.map(BurstLimit::size),
            requests_per_second_per_key: key.map(BurstLimit::per_second),
            burst_per_key: key.map(BurstLimit::size),
        }
    };
    tiers.iter().map(|(name, tier)| (name.clone(), entry(tier))).collect()
}

#[derive(Serialize)]
pub(in crate::api) struct Settings {
    settings: BTreeMap<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct ReloadAnswer {
    taken: Vec<SettingChange>,
    needs_restart: Vec<SettingChange>,
}

/// Returns the server's status.
pub(in crate::api) async fn status(State(api): State<Arc<Api>>, _: Manager) -> Json<Status> {
    let ServerStatus { process, version, tiers, uptime_s, background } = api.admin.status();
    let parts = parts(&api, &background).await;
    let background = background.into_iter().map(BackgroundTask::from).collect();
    Json(Status { process, version, uptime_s, tiers: tier_entries(&tiers), parts, background })
}

/// Lists the configured tiers.
pub(in crate::api) async fn tiers(State(api): State<Arc<Api>>, _: Administrator) -> Json<Tiers> {
    Json(Tiers { tiers: tier_entries(api.admin.tiers()) })
}

/// Lists the settings in force, without secrets.
pub(in crate::api) async fn settings(State(api): State<Arc<Api>>, _: Manager) -> Result<Json<Settings>, ApiError> {
    Ok(Json(Settings { settings: api.admin.settings()? }))
}

/// Reads the settings again.
pub(in crate::api) async fn reload(
    State(api): State<Arc<Api>>,
    _: Manager,
    _: Fields<NoFields>,
) -> Result<Json<ReloadAnswer>, ApiError> {
    let Reloaded { taken, needs_restart } = api.admin.reload().await?;
    Ok(Json(ReloadAnswer { taken, needs_restart }))
}
