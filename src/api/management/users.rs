//! `/management/v1/organisations/{organisation}/users`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::PrincipalId;

use super::administrator::OfOrganisation;
use super::fields::Fields;
use super::paging::ListPaging;
use super::principal_roles::named;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::store::{User, UserUpdate};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Update {
    disabled: Option<bool>,
    no_delete: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct UserEntry {
    id: PrincipalId,
    name: String,
    email: Option<String>,
    issuer: String,
    subject: String,
    role: &'static str,
    no_delete: bool,
    state: &'static str,
    created_ms: i64,
    last_seen_ms: Option<i64>,
    disabled_ms: Option<i64>,
}

impl From<User> for UserEntry {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            role: user.role.as_str(),
            no_delete: user.no_delete,
            state: if user.disabled_ms.is_some() { "disabled" } else { "active" },
            name: user.name,
            email: user.email,
            issuer: user.issuer,
            subject: user.subject,
            created_ms: user.created_ms,
            last_seen_ms: user.last_seen_ms,
            disabled_ms: user.disabled_ms,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct UserList {
    next_page_token: Option<String>,
    users: Vec<UserEntry>,
}

/// Lists users in the order in which they were first seen.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<UserList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let page = api.admin.user_list(&of.organisation, &page).await?;
    let next_page_token = page.items.last().filter(|_| page.more).map(|last| token_after(&last.id.to_string()));
    Ok(Json(UserList { next_page_token, users: page.items.into_iter().map(UserEntry::from).collect() }))
}

/// Shows a user.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<UserEntry>, ApiError> {
    Ok(Json(api.admin.user_find(&of.organisation, &named(&parts, "user")?).await?.into()))
}

/// Disables or enables a user, or changes its options.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(Update { disabled, no_delete }): Fields<Update>,
) -> Result<Json<UserEntry>, ApiError> {
    let user = api.admin.user_find(&of.organisation, &named(&parts, "user")?).await?;
    let update = UserUpdate { disabled, no_delete };
    Ok(Json(api.admin.user_update(&of.organisation, &user, update, &of.change(&api)).await?.into()))
}

/// Removes a user.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    api.admin.user_delete(&of.organisation, &named(&parts, "user")?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}
