//! `POST /v1/{prefix}/events`: clients read the events of what they may load, in order and page by page, in the shape of the proposal
//! <https://github.com/apache/iceberg/pull/12584>.

mod answer;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidewater_core::request_limits::RequestKind;
use uuid::Uuid;

use self::answer::{EventsAnswer, STANDARD, operation_type};
use super::Api;
use super::body::Body;
use super::error::{ApiError, cut, no_such_route};
use super::permission::Scope;
use crate::access::action;
use crate::catalog::{EventCursor, EventQuery};
use crate::store::{ObjectKind, WarehouseRef};

/// The number of events of a page without `page-size`, and the most of a page.
const DEFAULT_SIZE: usize = 100;
const MAX_SIZE: u64 = 1_000;

/// The most values of each filter.
const MOST_VALUES: usize = 1_000;

/// The first byte of a token.
const TOKEN_VERSION: u8 = 1;

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wanted {
    continuation_token: Option<String>,
    page_size: Option<i64>,
    since_timestamp_ms: Option<i64>,
    operation_types: Option<Vec<String>>,
    catalog_objects_by_name: Option<Vec<WantedName>>,
    catalog_objects_by_uuid: Option<Vec<String>>,
    object_types: Option<Vec<String>>,
    custom_filters: Option<Map<String, Value>>,
}

/// A name in a filter: all its levels, or the namespace apart from the name.
#[derive(Deserialize)]
#[serde(untagged)]
enum WantedName {
    Levels(Vec<String>),
    Parts { namespace: Vec<String>, name: String },
}

impl WantedName {
    fn into_levels(self) -> Vec<String> {
        match self {
            Self::Levels(levels) => levels,
            Self::Parts { mut namespace, name } => {
                namespace.push(name);
                namespace
            }
        }
    }
}

/// Returns the next page of events after the request's token.
pub(super) async fn query(
    State(api): State<Arc<Api>>,
    (method, uri): (Method, Uri),
    scope: Scope<action::ReadEvents>,
    body: Body,
) -> Result<Json<EventsAnswer>, ApiError> {
    if !api.events_pull {
        return Err(no_such_route(method, uri).await);
    }
    let wanted: Wanted = body.json(&api, RequestKind::Other).await?;
    let scope = scope.present(&api).await?;
    let warehouse = scope.warehouse()?;
    let warehouse_ref = warehouse.0.warehouse_ref;
    let query = wanted.query(warehouse_ref)?;
    let page = api.catalog.event_pull(&warehouse, &query, operation_type).await?;
    Ok(Json(EventsAnswer::new(page.events, write_token(warehouse_ref, page.next))))
}

impl Wanted {
    fn query(self, warehouse_ref: WarehouseRef) -> Result<EventQuery, ApiError> {
        if let Some(name) = self.custom_filters.as_ref().and_then(|filters| filters.keys().next()) {
            let name: String = name.chars().take(80).collect();
            return Err(ApiError::bad_request(format!("Unknown filter '{name}': this catalog has no custom-filters")));
        }
        let limit = match self.page_size {
            None => DEFAULT_SIZE,
            Some(size) => match u64::try_from(size) {
                Ok(size @ 1..) => usize::try_from(size.min(MAX_SIZE)).unwrap_or(DEFAULT_SIZE),
                _ => return Err(ApiError::bad_request("page-size must be a whole number above 0")),
            },
        };
        let token = self.continuation_token.filter(|token| !token.is_empty());
        let names = bounded("catalog-objects-by-name", self.catalog_objects_by_name)?;
        Ok(EventQuery {
            after: token.map(|token| read_token(warehouse_ref, &token)).transpose()?,
            limit,
            since_ms: self.since_timestamp_ms,
            operations: each("operation-types", self.operation_types, operation)?,
            names: names.map(|names| names.into_iter().map(WantedName::into_levels).collect()),
            ids: each("catalog-objects-by-uuid", self.catalog_objects_by_uuid, |text| {
                Uuid::parse_str(&text).map_err(|_| format!("'{}' is not a UUID", cut(&text)))
            })?,
            kinds: each("object-types", self.object_types, kind)?,
        })
    }
}

/// Checks the number of a filter's values.
fn bounded<T>(filter: &str, values: Option<Vec<T>>) -> Result<Option<Vec<T>>, ApiError> {
    match values {
        Some(values) if values.len() > MOST_VALUES => {
            Err(ApiError::bad_request(format!("{filter} has {} values, of {MOST_VALUES} allowed", values.len())))
        }
        values => Ok(values),
    }
}

/// Parses each value of a filter.
fn each<T>(
    filter: &str,
    values: Option<Vec<String>>,
    parse: impl Fn(String) -> Result<T, String>,
) -> Result<Option<Vec<T>>, ApiError> {
    let parsed =
        bounded(filter, values)?.map(|values| values.into_iter().map(parse).collect::<Result<Vec<T>, String>>());
    parsed.transpose().map_err(|why| ApiError::bad_request(format!("Invalid {filter}: {why}")))
}

fn operation(name: String) -> Result<String, String> {
    if STANDARD.iter().any(|operation| operation.as_str() == name) || name.starts_with("x-") {
        return Ok(name);
    }
    let known: Vec<_> = STANDARD.iter().map(|operation| operation.as_str()).collect();
    Err(format!("'{}' is not one of {}, and does not begin with x-", cut(&name), known.join(", ")))
}

fn kind(name: String) -> Result<ObjectKind, String> {
    match name.as_str() {
        "namespace" => Ok(ObjectKind::Namespace),
        "table" => Ok(ObjectKind::Table),
        "view" => Ok(ObjectKind::View),
        _ => Err(format!("'{}' is not one of namespace, table, view", cut(&name))),
    }
}

/// Returns the token of a place in a warehouse's events.
fn write_token(WarehouseRef { organisation, warehouse }: WarehouseRef, next: EventCursor) -> String {
    let mut bytes = vec![TOKEN_VERSION];
    bytes.extend(organisation.0.as_bytes());
    bytes.extend(warehouse.0.as_bytes());
    bytes.extend(next.position.to_be_bytes());
    bytes.extend(next.counted_from.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Parses a token of the warehouse.
fn read_token(WarehouseRef { organisation, warehouse }: WarehouseRef, token: &str) -> Result<EventCursor, ApiError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (head, places) = bytes.split_at_checked(33)?;
        let (position, counted_from) = places.split_at_checked(8)?;
        let cursor = EventCursor {
            position: i64::from_be_bytes(position.try_into().ok()?),
            counted_from: i64::from_be_bytes(counted_from.try_into().ok()?),
        };
        let is_valid = head[0] == TOKEN_VERSION && 0 <= cursor.counted_from && cursor.counted_from <= cursor.position;
        is_valid.then(|| (head[1..].to_vec(), cursor))
    };
    let not_ours = "this catalog did not issue continuation-token: start again without one";
    let (owner, cursor) = read().ok_or_else(|| ApiError::bad_request(not_ours))?;
    if owner != [*organisation.0.as_bytes(), *warehouse.0.as_bytes()].concat() {
        return Err(ApiError::bad_request("continuation-token belongs to another warehouse: start again without one"));
    }
    Ok(cursor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidewater_core::ids::{OrganisationId, WarehouseId};

    use super::*;

    fn warehouse_ref(organisation: u128, warehouse: u128) -> WarehouseRef {
        WarehouseRef {
            organisation: OrganisationId(Uuid::from_u128(organisation)),
            warehouse: WarehouseId(Uuid::from_u128(warehouse)),
        }
    }

    proptest! {
        #[test]
        fn token_decodes_to_the_same_place_in_its_own_warehouse_alone(counted_from in 0..=i64::MAX, more in 0..=i64::MAX) {
            let cursor = EventCursor { position: counted_from.saturating_add(more), counted_from };
            let token = write_token(warehouse_ref(1, 2), cursor);
            prop_assert_eq!(read_token(warehouse_ref(1, 2), &token).unwrap(), cursor);
            prop_assert!(read_token(warehouse_ref(1, 3), &token).is_err());
            prop_assert!(read_token(warehouse_ref(3, 2), &token).is_err());
        }

        #[test]
        fn text_that_is_no_token_is_refused(text in ".{0,80}") {
            prop_assert!(read_token(warehouse_ref(1, 2), &text).is_err());
        }
    }
}
