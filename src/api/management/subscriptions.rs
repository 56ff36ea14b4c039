//! `/management/v1/organisations/{organisation}/subscriptions`, and `/management/v1/subscriptions` of the operators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidewater_core::ids::WarehouseId;
use uuid::Uuid;

use super::administrator::{Asking, Manager, OfOrganisation};
use super::fields::{Fields, nullable};
use super::paging::ListPaging;
use crate::admin::{IssuedSubscription, SubscriptionRequest};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::path::PathParameters;
use crate::store::{
    DeadLetter, FeedScope, Organisation, Subscription, SubscriptionFilter, SubscriptionUpdate, UnknownOperation,
};

/// The owner of subscriptions: the path's organisation, or the operators.
pub(in crate::api) struct Owner {
    asking: Asking,
    organisation: Option<Organisation>,
}

impl Owner {
    fn scope(&self) -> FeedScope {
        self.organisation.as_ref().map(|organisation| organisation.id).into()
    }

    /// Finds the path's subscription.
    async fn subscription(&self, api: &Api, parts: &Parts) -> Result<Subscription, ApiError> {
        let named = PathParameters::from_parts(parts).get("subscription")?.unwrap_or_default();
        Ok(api.admin.subscription_find(self.scope(), &named).await?)
    }

    /// Returns the warehouse of a filter, by its name or id.
    async fn warehouse(&self, api: &Api, named: Option<&str>) -> Result<Option<WarehouseId>, ApiError> {
        match (named, &self.organisation) {
            (None, _) => Ok(None),
            (Some(named), Some(organisation)) => Ok(Some(api.admin.warehouse_find(organisation, named).await?.id)),
            (Some(_), None) => {
                Err(ApiError::bad_request("A warehouse belongs to an organisation: subscribe to its events instead"))
            }
        }
    }
}

impl FromRequestParts<Arc<Api>> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if PathParameters::from_parts(parts).get("organisation")?.is_some() {
            let OfOrganisation { asking, organisation } = OfOrganisation::from_request_parts(parts, api).await?;
            return Ok(Self { asking, organisation: Some(organisation) });
        }
        let Manager(asking) = Manager::from_request_parts(parts, api).await?;
        Ok(Self { asking, organisation: None })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Create {
    name: String,
    url: String,
    warehouse: Option<String>,
    #[serde(default)]
    objects: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Update {
    name: Option<String>,
    url: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    warehouse: Option<Option<String>>,
    objects: Option<Vec<String>>,
    operations: Option<Vec<String>>,
    disabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Rotate {
    overlap_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Events {
    /// The ids of events. Without them, all dead letters are meant.
    events: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct SubscriptionEntry {
    id: Uuid,
    name: String,
    url: String,
    warehouse_id: Option<Uuid>,
    objects: Vec<String>,
    operations: Vec<&'static str>,
    state: &'static str,
    created_ms: i64,
    disabled_ms: Option<i64>,
    delivered_ms: Option<i64>,
    failing_since_ms: Option<i64>,
    last_error: Option<String>,
    previous_secret_until_ms: Option<i64>,
    /// Only in the answer to a creation or a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Subscription> for SubscriptionEntry {
    fn from(from: Subscription) -> Self {
        let state = match (from.disabled_ms, from.health.failing_since_ms) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "failing",
            (None, None) => "active",
        };
        Self {
            id: from.id,
            name: from.name,
            url: from.url,
            warehouse_id: from.filter.warehouse.map(|warehouse| warehouse.0),
            objects: from.filter.objects,
            operations: from.filter.operations.iter().map(|operation| operation.as_str()).collect(),
            state,
            created_ms: from.created_ms,
            disabled_ms: from.disabled_ms,
            delivered_ms: from.health.delivered_ms,
            failing_since_ms: from.health.failing_since_ms,
            last_error: from.health.last_error,
            previous_secret_until_ms: from.previous_secret.map(|previous| previous.until_ms),
            secret: None,
        }
    }
}

impl From<IssuedSubscription> for SubscriptionEntry {
    fn from(issued: IssuedSubscription) -> Self {
        Self { secret: Some(issued.secret.expose().clone()), ..issued.subscription.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct SubscriptionList {
    next_page_token: Option<String>,
    subscriptions: Vec<SubscriptionEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct TestResult {
    accepted: bool,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct DeadLetterEntry {
    event_id: String,
    reason: String,
    at_ms: i64,
    replay: bool,
    event: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct DeadLetterList {
    next_page_token: Option<String>,
    dead_letters: Vec<DeadLetterEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Count {
    dead_letters: u64,
}

fn operations(names: &[String]) -> Result<Vec<crate::store::Operation>, ApiError> {
    let parsed = names.iter().map(|name| name.parse()).collect::<Result<_, UnknownOperation>>();
    parsed.map_err(|error| ApiError::bad_request(format!("`operations`: {error}")))
}

/// Creates a subscription.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    owner: Owner,
    Fields(new): Fields<Create>,
) -> Result<Json<SubscriptionEntry>, ApiError> {
    let filter = SubscriptionFilter {
        warehouse: owner.warehouse(&api, new.warehouse.as_deref()).await?,
        objects: new.objects,
        operations: operations(&new.operations)?,
    };
    let request = SubscriptionRequest { name: new.name, url: new.url, filter };
    let issued = api.admin.subscription_create(owner.scope(), request, &owner.asking.change(&api)).await?;
    Ok(Json(issued.into()))
}

/// Lists subscriptions by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    owner: Owner,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<SubscriptionList>, ApiError> {
    let all = api.admin.subscription_list(owner.scope()).await?;
    let (all, next_page_token) = paging.part(api.settings.default_page_size, all, |one| one.id.to_string())?;
    Ok(Json(SubscriptionList { next_page_token, subscriptions: all.into_iter().map(Into::into).collect() }))
}

/// Shows a subscription.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
) -> Result<Json<SubscriptionEntry>, ApiError> {
    Ok(Json(owner.subscription(&api, &parts).await?.into()))
}

/// Changes a subscription.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<SubscriptionEntry>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    let warehouse = match update.warehouse {
        Some(warehouse) => Some(owner.warehouse(&api, warehouse.as_deref()).await?),
        None => None,
    };
    let update = SubscriptionUpdate {
        name: update.name,
        url: update.url,
        warehouse,
        objects: update.objects,
        operations: update.operations.as_deref().map(operations).transpose()?,
        disabled: update.disabled,
        secret: None,
    };
    let updated = api.admin.subscription_update(&subscription, &update, &owner.asking.change(&api)).await?;
    Ok(Json(updated.into()))
}

/// Replaces the secret of a subscription.
pub(in crate::api) async fn rotate(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
    Fields(Rotate { overlap_s }): Fields<Rotate>,
) -> Result<Json<SubscriptionEntry>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    let issued = api.admin.subscription_rotate(&subscription, overlap_s, &owner.asking.change(&api)).await?;
    Ok(Json(issued.into()))
}

/// Sends a test event to a subscription's receiver.
pub(in crate::api) async fn test(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
) -> Result<Json<TestResult>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    let error = api.admin.subscription_test(&subscription).await.err().map(|refusal| refusal.reason);
    Ok(Json(TestResult { accepted: error.is_none(), error }))
}

/// Removes a subscription.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    api.admin.subscription_delete(&subscription, &owner.asking.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl TryFrom<DeadLetter> for DeadLetterEntry {
    type Error = ApiError;

    fn try_from(letter: DeadLetter) -> Result<Self, ApiError> {
        let event = RawValue::from_string(letter.body).map_err(|error| ApiError::internal(&error))?;
        let DeadLetter { event: event_id, reason, at_ms, replay, .. } = letter;
        Ok(Self { event_id, reason, at_ms, replay, event })
    }
}

/// Lists the dead letters of a subscription.
pub(in crate::api) async fn dead_letters(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<DeadLetterList>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    let page = paging.request(api.settings.default_page_size)?;
    let limit = page.limit.unwrap_or(api.settings.default_page_size).min(MAX_DEAD_LETTERS);
    let mut letters = api.admin.dead_letter_list(&subscription, page.after.as_deref(), limit + 1).await?;
    let more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    let next_page_token = letters.last().filter(|_| more).map(|last| token_after(&last.event));
    let dead_letters = letters.into_iter().map(DeadLetterEntry::try_from).collect::<Result<_, _>>()?;
    Ok(Json(DeadLetterList { next_page_token, dead_letters }))
}

/// The most dead letters of a page: each has a whole event.
const MAX_DEAD_LETTERS: u32 = 100;

/// Sends dead letters of a subscription again.
pub(in crate::api) async fn replay(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
    Fields(Events { events }): Fields<Events>,
) -> Result<Json<Count>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    Ok(Json(Count { dead_letters: api.admin.dead_letter_replay(&subscription, events.as_deref()).await? }))
}

/// Removes dead letters of a subscription.
pub(in crate::api) async fn discard(
    State(api): State<Arc<Api>>,
    owner: Owner,
    parts: Parts,
    Fields(Events { events }): Fields<Events>,
) -> Result<Json<Count>, ApiError> {
    let subscription = owner.subscription(&api, &parts).await?;
    Ok(Json(Count { dead_letters: api.admin.dead_letter_discard(&subscription, events.as_deref()).await? }))
}
