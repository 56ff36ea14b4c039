//! `/management/v1/warehouses/{warehouse}`: no part of the Iceberg API.
//!
//! Lists, restores and removes dropped tables and views; the reports are in `metrics.rs`. Whoever may drop may list and
//! restore; only an admin removes for good.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::TableId;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::request_limits::RequestKind;
use uuid::Uuid;

use super::scoped::Scoped;
use crate::api::Api;
use crate::api::body::{Body, Parameters};
use crate::api::caller::{Administer, Write};
use crate::api::error::ApiError;
use crate::api::namespaces::levels;
use crate::api::paging::MAX_PAGE_SIZE;
use crate::api::path::PathParameters;
use crate::api::tables::{Identifier, Purge};
use crate::store::{Dropped, DroppedFilter, DroppedState, Moment, TableKind, TimedPage};

/// The parameters of a list that begins with the newest. It always comes in pages.
#[derive(Debug, Default, Deserialize)]
pub(in crate::api) struct TimedPaging {
    #[serde(rename = "pageToken", alias = "page-token")]
    token: Option<String>,
    #[serde(rename = "pageSize", alias = "page-size")]
    size: Option<String>,
}

impl TimedPaging {
    /// The part that is wanted.
    ///
    /// # Errors
    /// 400 for a token that we did not give, and for a size that is not a positive number.
    pub(in crate::api) fn request(&self, default_size: u32) -> Result<TimedPage, ApiError> {
        let size = match self.size.as_deref().map(str::parse::<u32>) {
            None => default_size,
            Some(Ok(size)) if size > 0 => size,
            Some(_) => return Err(ApiError::bad_request("pageSize must be a whole number above 0")),
        };
        let before = match self.token.as_deref() {
            None | Some("") => None,
            Some(token) => Some(read_token(token)?),
        };
        Ok(TimedPage { before, limit: Some(size.min(MAX_PAGE_SIZE)) })
    }
}

/// The token that leads to what is older than `last`.
pub(in crate::api) fn token_before(last: Moment) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", last.at_ms, last.id))
}

fn read_token(token: &str) -> Result<Moment, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (at_ms, id) = text.split_once(' ')?;
        Some(Moment { at_ms: at_ms.parse().ok()?, id: Uuid::parse_str(id).ok()? })
    };
    read().ok_or_else(|| {
        ApiError::bad_request("pageToken is not one that this catalog gave: start again with an empty one")
    })
}

/// A namespace in a parameter, its levels joined by the unit separator, as in a path.
pub(in crate::api) fn namespace_parameter(text: &str) -> Result<NamespaceIdent, ApiError> {
    NamespaceIdent::from_key(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// Which of what was dropped is wanted.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    namespace: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
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
    fn of(dropped: Dropped, now_ms: i64) -> Self {
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

/// What was dropped and is not gone for good, the newest drop first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scoped<Write>,
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
    let found = api.catalog.dropped_list(&scope.warehouse, &filter, &page).await?;
    let last = found.items.last().filter(|_| found.more);
    let next_page_token = last.map(|last| token_before(Moment { at_ms: last.dropped_ms, id: last.id.0 }));
    let now_ms = api.clock.now_ms();
    let dropped = found.items.into_iter().map(|dropped| DroppedEntry::of(dropped, now_ms)).collect();
    Ok(Json(DroppedList { next_page_token, dropped }))
}

/// One of them.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    scope: Scoped<Write>,
    parts: Parts,
) -> Result<Json<DroppedEntry>, ApiError> {
    let dropped = api.catalog.dropped_get(&scope.warehouse, id(&parts)?).await?;
    Ok(Json(DroppedEntry::of(dropped, api.clock.now_ms())))
}

/// Restores one, under its old name or another.
pub(in crate::api) async fn restore(
    State(api): State<Arc<Api>>,
    scope: Scoped<Write>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let id = id(&parts)?;
    let request: Restore =
        if body.bytes.is_empty() { Restore::default() } else { body.json(&api, RequestKind::Other).await? };
    let ident = request.identifier.as_ref().map(Identifier::ident).transpose()?;
    if !scope.once.is_done() {
        api.catalog.dropped_restore(&scope.warehouse, id, ident, scope.max_tables, &scope.change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one for good, now.
pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    scope: Scoped<Administer>,
    parts: Parts,
    Parameters(purge): Parameters<Purge>,
) -> Result<StatusCode, ApiError> {
    let (id, purge) = (id(&parts)?, purge.requested()?);
    if !scope.once.is_done() {
        let is_gone = api.catalog.dropped_remove(&scope.warehouse, id, purge, &scope.change).await?;
        if !is_gone && purge == Some(false) {
            // Whoever is told that files stay looks at what is left.
            api.maintenance.stop_purge(id).await;
        } else {
            api.maintenance.wake();
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

fn id(parts: &Parts) -> Result<TableId, ApiError> {
    let text = PathParameters::of(parts).get("id")?.unwrap_or_default();
    text.parse().map_err(|_| ApiError::bad_request("The id of what was dropped must be a UUID: list what was dropped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_way_to_the_client_and_back() {
        for at_ms in [i64::MIN, -1, 0, 1_790_000_000_000, i64::MAX] {
            let moment = Moment { at_ms, id: Uuid::from_u128(7) };
            assert_eq!(read_token(&token_before(moment)).unwrap(), moment);
        }
    }

    #[test]
    fn what_we_did_not_give_is_refused() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in ["%".to_owned(), encoded("x"), encoded("1 x"), encoded("x 1"), encoded("1")] {
            assert!(read_token(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_list_always_comes_in_pages() {
        let request = |size: Option<&str>| TimedPaging { token: None, size: size.map(str::to_owned) }.request(100);
        assert_eq!(request(None).unwrap().limit, Some(100));
        assert_eq!(request(Some("7")).unwrap().limit, Some(7));
        assert_eq!(request(Some("4000000000")).unwrap().limit, Some(MAX_PAGE_SIZE));
        assert!(request(Some("0")).is_err() && request(Some("x")).is_err());
    }
}
