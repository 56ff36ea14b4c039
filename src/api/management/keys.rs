//! `/management/v1/organisations/{organisation}/keys`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::access::Role;
use tidewater_core::ids::KeyId;

use super::administrator::OfOrganisation;
use super::fields::{Fields, nullable};
use super::paging::ListPaging;
use crate::admin::{IssuedKey, KeyRequest, key_state};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::store::{ApiKey, KeyUpdate};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Create {
    name: String,
    role: String,
    expires_ms: Option<i64>,
    expires_s: Option<u64>,
    #[serde(default)]
    no_delete: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Update {
    name: Option<String>,
    role: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    expires_ms: Option<Option<i64>>,
    no_delete: Option<bool>,
    acts_for_users: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Rotate {
    overlap_s: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct KeyEntry {
    id: KeyId,
    name: String,
    role: &'static str,
    no_delete: bool,
    acts_for_users: bool,
    state: &'static str,
    created_ms: i64,
    expires_ms: Option<i64>,
    last_used_ms: Option<i64>,
    revoked_ms: Option<i64>,
    /// Only in the answer to a creation or a rotation.
    #[serde(rename = "api_key", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl KeyEntry {
    fn new(key: ApiKey, now_ms: i64) -> Self {
        Self {
            id: key.id,
            role: key.role.as_str(),
            no_delete: key.no_delete,
            acts_for_users: key.acts_for_users,
            state: key_state(&key, now_ms).as_str(),
            name: key.name,
            created_ms: key.created_ms,
            expires_ms: key.expires_ms,
            last_used_ms: key.last_used_ms,
            revoked_ms: key.revoked_ms,
            text: None,
        }
    }

    fn issued(issued: IssuedKey, now_ms: i64) -> Self {
        Self { text: Some(issued.text.expose().clone()), ..Self::new(issued.key, now_ms) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct KeyList {
    next_page_token: Option<String>,
    keys: Vec<KeyEntry>,
}

/// Creates a key.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(new): Fields<Create>,
) -> Result<Json<KeyEntry>, ApiError> {
    let change = of.change(&api);
    let expires_ms = match (new.expires_ms, new.expires_s) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("Give `expires-ms` or `expires-s`, not both")),
        (None, Some(expires_s)) => {
            let expires_ms = i64::try_from(expires_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
            Some(change.at_ms.saturating_add(expires_ms))
        }
        (expires_ms, None) => expires_ms,
    };
    let request = KeyRequest { name: new.name, role: role(&new.role)?, no_delete: new.no_delete, expires_ms };
    let issued = api.admin.key_create(&of.organisation, &request, &change).await?;
    Ok(Json(KeyEntry::issued(issued, change.at_ms)))
}

/// Lists an organisation's keys, revoked ones included, oldest first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<KeyList>, ApiError> {
    let keys = api.admin.key_list(&of.organisation).await?;
    let (keys, next_page_token) = paging.part(api.settings.default_page_size, keys, |key| key.id.to_string())?;
    let now_ms = api.clock.now_ms();
    Ok(Json(KeyList { next_page_token, keys: keys.into_iter().map(|key| KeyEntry::new(key, now_ms)).collect() }))
}

/// Shows a key.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<KeyEntry>, ApiError> {
    let key = api.admin.key_find(&of.organisation, &named(&parts)?).await?;
    Ok(Json(KeyEntry::new(key, api.clock.now_ms())))
}

/// Changes a key.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(Update { name, role: wanted, expires_ms, no_delete, acts_for_users }): Fields<Update>,
) -> Result<Json<KeyEntry>, ApiError> {
    let change = of.change(&api);
    let key = api.admin.key_find(&of.organisation, &named(&parts)?).await?;
    let role = wanted.as_deref().map(role).transpose()?;
    let update = KeyUpdate { name, role, expires_ms, no_delete, acts_for_users };
    let updated = api.admin.key_update(&of.organisation, &key, &update, &change).await?;
    Ok(Json(KeyEntry::new(updated, change.at_ms)))
}

/// Replaces a key with a new one.
pub(in crate::api) async fn rotate(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(Rotate { overlap_s }): Fields<Rotate>,
) -> Result<Json<KeyEntry>, ApiError> {
    let change = of.change(&api);
    let key = api.admin.key_find(&of.organisation, &named(&parts)?).await?;
    let issued = api.admin.key_rotate(&of.organisation, &key, overlap_s, &change).await?;
    Ok(Json(KeyEntry::issued(issued, change.at_ms)))
}

/// Revokes a key. Has no effect on a revoked key.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    api.admin.key_revoke(&of.organisation, &named(&parts)?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the id or name of the key in the path.
fn named(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get("key")?.unwrap_or_default())
}

fn role(name: &str) -> Result<Role, ApiError> {
    name.parse().map_err(|error: tidewater_core::access::UnknownRole| ApiError::bad_request(error.to_string()))
}
