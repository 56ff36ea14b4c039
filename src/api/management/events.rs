//! `GET /management/v1/organisations/{organisation}/events`: an organisation's events. `GET /management/v1/events`: the
//! events of all organisations and of the server itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::administrator::{Manager, OfOrganisation};
use super::paging::ListPaging;
use super::parameters::{TIME, number};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::history::events::EventEntry;
use crate::store::{EventFilter, Operation, Organisation, UnknownOperation};

/// The filters and the page of a list of events.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Wanted {
    warehouse: Option<String>,
    object: Option<String>,
    actor: Option<String>,
    operation: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(flatten)]
    paging: ListPaging,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct EventList {
    next_page_token: Option<String>,
    events: Vec<EventEntry>,
}

/// Lists an organisation's events that match the filters, newest first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<EventList>, ApiError> {
    page(&api, Some(&of.organisation), wanted).await
}

/// Lists the events of all organisations and of the server that match the filters, newest first.
pub(in crate::api) async fn list_all(
    State(api): State<Arc<Api>>,
    _: Manager,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<EventList>, ApiError> {
    page(&api, None, wanted).await
}

async fn page(api: &Api, of: Option<&Organisation>, wanted: Wanted) -> Result<Json<EventList>, ApiError> {
    let warehouse = match (&wanted.warehouse, of) {
        (None, _) => None,
        (Some(name), Some(of)) => Some(api.catalog.warehouse(of.id, Some(name)).await?.warehouse_ref.warehouse),
        (Some(_), None) => {
            return Err(ApiError::bad_request(
                "A warehouse belongs to an organisation: list the organisation's events instead",
            ));
        }
    };
    let filter = EventFilter {
        warehouse,
        object: wanted.object,
        actor: wanted.actor,
        operation: wanted.operation.as_deref().map(operation).transpose()?,
        since_ms: wanted.since.as_deref().map(|text| number("since", TIME, text)).transpose()?,
        until_ms: wanted.until.as_deref().map(|text| number("until", TIME, text)).transpose()?,
    };
    let (before, limit) = (wanted.paging.token()?, wanted.paging.size(api.settings.default_page_size)?);
    let page = api.store.event_list(of.map(|of| of.id), &filter, before, limit).await?;
    Ok(Json(EventList {
        next_page_token: page.before.map(|before| before.to_string()),
        events: page.events.into_iter().map(EventEntry::from).collect(),
    }))
}

fn operation(name: &str) -> Result<Operation, ApiError> {
    name.parse().map_err(|error: UnknownOperation| ApiError::bad_request(error.to_string()))
}
