//! `/management/v1/warehouses/{warehouse}/dropped`: lists, shows, restores and removes dropped tables and views.
//!
//! A caller who may drop may also list and restore. Only an admin may remove for good.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::TableId;
use tidewater_core::request_limits::RequestKind;

use super::scoped::Scoped;
use crate::access::action;
use crate::api::Api;
use crate::api::body::{Body, Parameters};
use crate::api::error::ApiError;
use crate::api::namespaces::levels;
use crate::api::path::PathParameters;
use crate::api::requests::{Identifier, flag, namespace_parameter};
use crate::api::timed_paging::{TimedPaging, token_before};
use crate::store::{Dropped, DroppedFilter, DroppedState, TableKind};

/// The filters of a list of dropped tables and views.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    namespace: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Overrides the drop's choice about files.
#[derive(Deserialize)]
pub(in crate::api) struct Removal {
    #[serde(rename = "purge-requested", alias = "purgeRequested")]
    purge_requested: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct DroppedList {
    next_page_token: Option<String>,
    dropped: Vec<DroppedEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct DroppedEntry {
    id: TableId,
    identifier: Identifier,
    r#type: &'static str,
    metadata_location: String,
    location: String,
    dropped_ms: i64,
    restorable_until_ms: i64,
    restorable: bool,
    purge_requested: bool,
    state: &'static str,
    attempts: u32,
    next_attempt_ms: Option<i64>,
    message: Option<String>,
}

impl DroppedEntry {
    fn new(dropped: Dropped, now_ms: i64) -> Self {
        let restorable = dropped.not_restorable(now_ms).is_none();
        let waits = matches!(dropped.state, DroppedState::Kept | DroppedState::Replaced);
        Self {
            id: dropped.id,
            identifier: Identifier::new(levels(&dropped.ident.namespace), dropped.ident.name().to_owned()),
            r#type: match dropped.kind {
                TableKind::Table => "table",
                TableKind::View => "view",
            },
            metadata_location: dropped.metadata_location,
            location: dropped.location,
            dropped_ms: dropped.dropped_ms,
            restorable_until_ms: dropped.restorable_until_ms,
            restorable,
            purge_requested: dropped.purge,
            state: dropped.state.as_str(),
            attempts: dropped.attempts,
            next_attempt_ms: dropped.due_ms.filter(|_| !waits),
            message: dropped.message,
        }
    }
}

#[derive(Default, Deserialize)]
pub(in crate::api) struct Restore {
    identifier: Option<Identifier>,
}

/// Lists dropped tables and views that are not yet forgotten, newest drop first. Those whose files are being removed are listed
/// too.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<action::ListDropped>,
    Parameters(paging): Parameters<TimedPaging>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<DroppedList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let kind = match wanted.kind.as_deref() {
        None => None,
        Some("table") => Some(TableKind::Table),
        Some("view") => Some(TableKind::View),
        Some(_) => return Err(ApiError::bad_request("type must be table or view")),
    };
    let namespace = wanted.namespace.as_deref().map(namespace_parameter).transpose()?;
    let filter = DroppedFilter { namespace, name: None, kind };
    let found = api.catalog.dropped_list(&scope.warehouse()?, &filter, &page).await?;
    let next_page_token = found.before.map(token_before);
    let now_ms = api.clock.now_ms();
    let dropped = found.items.into_iter().map(|dropped| DroppedEntry::new(dropped, now_ms)).collect();
    Ok(Json(DroppedList { next_page_token, dropped }))
}

/// Shows a dropped table or view.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<action::ShowDropped>,
    parts: Parts,
) -> Result<Json<DroppedEntry>, ApiError> {
    let dropped = api.catalog.dropped_find(scope.authorizer, scope.warehouse, id(&parts)?).await?;
    Ok(Json(DroppedEntry::new(dropped.into_object().dropped, api.clock.now_ms())))
}

/// Restores a dropped table or view, under its old name or another.
pub(in crate::api) async fn restore(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<action::RestoreDropped>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let id = id(&parts)?;
    let request: Restore =
        if body.bytes.is_empty() { Restore::default() } else { body.json(&api, RequestKind::Other).await? };
    let ident = request.identifier.as_ref().map(Identifier::ident).transpose()?;
    if !scope.once.is_done() {
        let dropped = scope.dropped(&api, id).await?;
        api.catalog.dropped_restore(&dropped, ident, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the restore time of a dropped table or view. `purgeRequested` replaces the terms of its drop: the background removes the
/// files, or they stay.
pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    Scoped(scope): Scoped<action::RemoveDropped>,
    parts: Parts,
    Parameters(Removal { purge_requested }): Parameters<Removal>,
) -> Result<StatusCode, ApiError> {
    let (id, purge) = (id(&parts)?, flag("purge-requested", purge_requested.as_deref())?);
    if !scope.once.is_done() {
        let dropped = scope.dropped(&api, id).await?;
        let is_gone = api.catalog.dropped_remove(&dropped, purge, &scope.change(&api)).await?;
        if !is_gone && purge == Some(false) {
            // An answer that files stay must be true: stop a removal that has begun first.
            api.maintenance.stop_purge(id).await;
        } else {
            api.maintenance.wake();
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

fn id(parts: &Parts) -> Result<TableId, ApiError> {
    let text = PathParameters::from_parts(parts).get("id")?.unwrap_or_default();
    text.parse().map_err(|_| {
        ApiError::bad_request("The id of a dropped table or view must be a UUID: see the list of dropped objects")
    })
}
