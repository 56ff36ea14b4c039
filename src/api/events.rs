//! `GET /management/v1/organisations/{organisation}/events`: who changed what, for an admin of the organisation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::Parameters;
use super::error::ApiError;
use super::paging::MAX_PAGE_SIZE;
use super::path::PathParameters;
use super::permission::{Allowed, caller_of};
use crate::access::action;
use crate::auth::Caller;
use crate::events::EventEntry;
use crate::store::{EventFilter, Operation, UnknownOperation};

/// Which events are wanted, and which part of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Wanted {
    warehouse: Option<String>,
    object: Option<String>,
    actor: Option<String>,
    operation: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(rename = "pageToken")]
    token: Option<String>,
    #[serde(rename = "pageSize")]
    size: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EventList {
    next_page_token: Option<String>,
    events: Vec<EventEntry>,
}

/// Lists the events of the caller's organisation that fit, the newest first.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    allowed: Allowed<action::Administer>,
    Parameters(wanted): Parameters<Wanted>,
    parts: Parts,
) -> Result<Json<EventList>, ApiError> {
    check_organisation(caller_of(&parts)?, &PathParameters::of(&parts).get("organisation")?.unwrap_or_default())?;
    let organisation = allowed.organisation()?.0;
    let warehouse = match wanted.warehouse.as_deref() {
        Some(name) => Some(api.catalog.warehouse(organisation, Some(name)).await?.place.warehouse),
        None => None,
    };
    let filter = EventFilter {
        warehouse,
        object: wanted.object,
        actor: wanted.actor,
        operation: wanted.operation.as_deref().map(operation).transpose()?,
        since_ms: wanted.since.as_deref().map(|text| time("since", text)).transpose()?,
        until_ms: wanted.until.as_deref().map(|text| time("until", text)).transpose()?,
    };
    let before = wanted.token.as_deref().filter(|token| !token.is_empty()).map(token).transpose()?;
    let limit = match wanted.size.as_deref().map(str::parse::<u32>) {
        None => api.settings.default_page_size,
        Some(Ok(size)) if size > 0 => size.min(MAX_PAGE_SIZE),
        Some(_) => return Err(ApiError::bad_request("pageSize must be a whole number above 0")),
    };
    let page = api.store.event_list(Some(organisation), &filter, before, limit).await?;
    Ok(Json(EventList {
        next_page_token: page.before.map(|before| before.to_string()),
        events: page.events.into_iter().map(EventEntry::from).collect(),
    }))
}

/// Fails unless the path names the caller's own organisation, by its name or id. Of others nothing is said, not even whether
/// they exist.
fn check_organisation(caller: &Caller, named: &str) -> Result<(), ApiError> {
    if named == caller.organisation_name() || named == caller.organisation().to_string() {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "Your key belongs to the organisation '{}': its events are all that it can read",
        caller.organisation_name()
    )))
}

fn operation(name: &str) -> Result<Operation, ApiError> {
    name.parse().map_err(|error: UnknownOperation| ApiError::bad_request(error.to_string()))
}

fn time(parameter: &str, text: &str) -> Result<i64, ApiError> {
    let time = text.parse();
    time.map_err(|_| ApiError::bad_request(format!("{parameter} must be a time in milliseconds since 1970")))
}

fn token(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request("pageToken is not one that this catalog gave: start again with an empty one")
    })
}
