//! `/management/v1/organisations/{organisation}/warehouses` and `/management/v1/reseal`.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidewater_core::ids::WarehouseId;
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::PlanningMode;
use tidewater_core::storage::StorageProfile;

use super::administrator::{Manager, OfOrganisation};
use super::fields::Fields;
use super::paging::ListPaging;
use crate::admin::{WarehouseRequest, WarehouseUpdate};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::store::{Warehouse, WarehouseOptions};
use crate::warehouse::{CheckStep, Trial};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Create {
    name: String,
    root: String,
    storage: Option<Value>,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    options: Options,
    #[serde(default = "yes")]
    check: bool,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    purge: Option<String>,
    no_delete: Option<bool>,
    scan_planning_mode: Option<String>,
}

impl Options {
    fn purge(&self) -> Result<Option<PurgeTime>, ApiError> {
        parsed(self.purge.as_deref())
    }

    fn scan_planning(&self) -> Result<Option<PlanningMode>, ApiError> {
        parsed(self.scan_planning_mode.as_deref())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Update {
    storage: Option<Value>,
    default: Option<bool>,
    #[serde(default)]
    options: Options,
    #[serde(default = "yes")]
    check: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Reseal {
    #[serde(default)]
    key_is_lost: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct OptionsEntry {
    purge: &'static str,
    no_delete: bool,
    scan_planning_mode: &'static str,
}

impl From<WarehouseOptions> for OptionsEntry {
    fn from(WarehouseOptions { purge, no_delete, scan_planning }: WarehouseOptions) -> Self {
        Self { purge: purge.as_str(), no_delete, scan_planning_mode: scan_planning.as_str() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct WarehouseEntry {
    id: WarehouseId,
    name: String,
    root: String,
    storage: StorageProfile,
    credentials: &'static str,
    options: OptionsEntry,
    default: bool,
    created_ms: i64,
}

impl From<Warehouse> for WarehouseEntry {
    fn from(one: Warehouse) -> Self {
        Self {
            id: one.id,
            name: one.name,
            root: one.root,
            storage: one.storage.profile,
            credentials: if one.storage.sealed_credentials.is_some() { "sealed" } else { "none" },
            options: one.options.into(),
            default: one.is_default,
            created_ms: one.created_ms,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct WarehouseList {
    next_page_token: Option<String>,
    warehouses: Vec<WarehouseEntry>,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    ok: bool,
    detail: String,
}

#[derive(Serialize)]
pub(in crate::api) struct Check {
    ok: bool,
    steps: Vec<Step>,
}

impl From<Trial> for Check {
    fn from(trial: Trial) -> Self {
        let ok = trial.is_ok();
        let step = |step: CheckStep| {
            let (ok, detail) = match step.outcome {
                Ok(remark) => (true, remark),
                Err(problem) => (false, problem),
            };
            Step { name: step.what, ok, detail }
        };
        Self { ok, steps: trial.steps.into_iter().map(step).collect() }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct Created {
    #[serde(flatten)]
    warehouse: WarehouseEntry,
    check: Option<Check>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Resealed {
    sealed_anew: u64,
    unchanged: u64,
    lost: Vec<String>,
}

/// Creates a warehouse after testing its storage.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(new): Fields<Create>,
) -> Result<Json<Created>, ApiError> {
    let options = WarehouseOptions {
        purge: new.options.purge()?.unwrap_or_default(),
        no_delete: new.options.no_delete.unwrap_or_default(),
        scan_planning: new.options.scan_planning()?.unwrap_or_default(),
    };
    let request = WarehouseRequest {
        name: new.name,
        root: new.root,
        storage: new.storage,
        options,
        is_default: new.default,
        check: new.check,
        dry_run: new.dry_run,
        own_storage: of.own_storage(),
    };
    let (warehouse, trial) = api.admin.warehouse_create(&of.organisation, request, &of.change(&api)).await?;
    Ok(Json(Created { warehouse: warehouse.into(), check: new.check.then(|| trial.into()) }))
}

/// Lists an organisation's warehouses by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<WarehouseList>, ApiError> {
    let all = api.admin.warehouse_list(&of.organisation).await?;
    let (part, next_page_token) = paging.part(api.settings.default_page_size, all, |one| one.name.clone())?;
    Ok(Json(WarehouseList { next_page_token, warehouses: part.into_iter().map(WarehouseEntry::from).collect() }))
}

/// Shows a warehouse, without its credentials.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<WarehouseEntry>, ApiError> {
    Ok(Json(api.admin.warehouse_find(&of.organisation, &named(&parts)?).await?.into()))
}

/// Changes a warehouse.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<WarehouseEntry>, ApiError> {
    let warehouse = api.admin.warehouse_find(&of.organisation, &named(&parts)?).await?;
    let make_default = match update.default {
        Some(false) if warehouse.is_default => {
            return Err(ApiError::bad_request("`default` cannot be false: make another warehouse the default instead"));
        }
        default => default.unwrap_or_default(),
    };
    let update = WarehouseUpdate {
        storage: update.storage,
        make_default,
        purge: update.options.purge()?,
        no_delete: update.options.no_delete,
        scan_planning: update.options.scan_planning()?,
        unchecked: !update.check,
    };
    let (own_storage, change) = (of.own_storage(), of.change(&api));
    let updated = api.admin.warehouse_update(&of.organisation, warehouse, update, own_storage, &change).await?;
    Ok(Json(updated.into()))
}

/// Deletes an empty warehouse.
pub(in crate::api) async fn drop(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    api.admin.warehouse_drop(&of.organisation, &named(&parts)?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests a warehouse's storage.
pub(in crate::api) async fn check(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<Check>, ApiError> {
    let warehouse = api.admin.warehouse_find(&of.organisation, &named(&parts)?).await?;
    Ok(Json(api.admin.warehouse_check(warehouse).await?.into()))
}

/// Reseals all storage credentials with the first master key.
pub(in crate::api) async fn reseal(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    Fields(Reseal { key_is_lost }): Fields<Reseal>,
) -> Result<Json<Resealed>, ApiError> {
    let done = api.admin.reseal(key_is_lost, &asking.change(&api)).await?;
    Ok(Json(Resealed { sealed_anew: done.sealed_anew, unchanged: done.unchanged, lost: done.lost }))
}

/// Returns the id or name of the warehouse in the path.
pub(in crate::api) fn named(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get("warehouse")?.unwrap_or_default())
}

/// Parses the name of an option's value.
fn parsed<T: FromStr<Err: std::fmt::Display>>(name: Option<&str>) -> Result<Option<T>, ApiError> {
    name.map(|name| name.parse().map_err(|error: T::Err| ApiError::bad_request(error.to_string()))).transpose()
}
