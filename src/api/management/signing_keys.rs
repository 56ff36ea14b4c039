//! `/management/v1/signing-keys`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::administrator::Manager;
use super::fields::Fields;
use super::parameters::{TIME, number};
use crate::admin::SigningKeyInfo;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Rotate {
    #[serde(default)]
    remove_older: bool,
}

#[derive(Deserialize)]
pub(in crate::api) struct Removed {
    #[serde(rename = "created-before-ms")]
    created_before_ms: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SigningKeyEntry {
    id: String,
    state: &'static str,
    created_ms: i64,
    signs_from_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct SigningKeyList {
    signing_keys: Vec<SigningKeyEntry>,
}

impl From<Vec<SigningKeyInfo>> for SigningKeyList {
    fn from(keys: Vec<SigningKeyInfo>) -> Self {
        let entry = |key: SigningKeyInfo| SigningKeyEntry {
            id: key.id,
            state: key.state.as_str(),
            created_ms: key.created_ms,
            signs_from_ms: key.signs_from_ms,
        };
        Self { signing_keys: keys.into_iter().map(entry).collect() }
    }
}

/// Lists the keys that sign tokens, newest first.
pub(in crate::api) async fn list(State(api): State<Arc<Api>>, _: Manager) -> Result<Json<SigningKeyList>, ApiError> {
    Ok(Json(api.admin.signing_key_list().await?.into()))
}

/// Adds a key that signs tokens.
pub(in crate::api) async fn rotate(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    Fields(Rotate { remove_older }): Fields<Rotate>,
) -> Result<Json<SigningKeyList>, ApiError> {
    Ok(Json(api.admin.signing_key_rotate(remove_older, &asking.change(&api)).await?.into()))
}

/// Removes older keys that signed tokens.
pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    Parameters(Removed { created_before_ms }): Parameters<Removed>,
) -> Result<StatusCode, ApiError> {
    let created_before_ms = number("created-before-ms", TIME, &created_before_ms)?;
    api.admin.signing_key_remove_before(created_before_ms, &asking.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}
