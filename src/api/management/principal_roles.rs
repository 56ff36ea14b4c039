//! `/management/v1/organisations/{organisation}/principals` and `principal-roles`.

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
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::path::PathParameters;
use crate::store::{Page, PrincipalRecord, RoleRecord};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct CreateRole {
    pub(super) name: String,
}

/// A principal role or a catalog role.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct RoleEntry<I> {
    id: I,
    name: String,
    created_ms: i64,
}

impl<I> From<RoleRecord<I>> for RoleEntry<I> {
    fn from(RoleRecord { id, name, created_ms }: RoleRecord<I>) -> Self {
        Self { id, name, created_ms }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct RoleList<I> {
    next_page_token: Option<String>,
    roles: Vec<RoleEntry<I>>,
}

impl<I> From<Page<RoleRecord<I>>> for RoleList<I> {
    fn from(page: Page<RoleRecord<I>>) -> Self {
        let next_page_token = page.items.last().filter(|_| page.more).map(|last| token_after(&last.name));
        Self { next_page_token, roles: page.items.into_iter().map(RoleEntry::from).collect() }
    }
}

/// A principal. Its role is that of a user, or the highest built-in role of its keys that are not revoked.
#[derive(Serialize)]
pub(in crate::api) struct PrincipalEntry {
    id: PrincipalId,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: Option<&'static str>,
}

impl From<PrincipalRecord> for PrincipalEntry {
    fn from(PrincipalRecord { id, name, role, is_user }: PrincipalRecord) -> Self {
        Self {
            id,
            name,
            kind: if is_user { "user" } else { "key" },
            role: role.map(tidewater_core::access::Role::as_str),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct PrincipalList {
    next_page_token: Option<String>,
    principals: Vec<PrincipalEntry>,
}

impl From<Page<PrincipalRecord>> for PrincipalList {
    fn from(page: Page<PrincipalRecord>) -> Self {
        let next_page_token = page.items.last().filter(|_| page.more).map(|last| token_after(&last.id.to_string()));
        Self { next_page_token, principals: page.items.into_iter().map(PrincipalEntry::from).collect() }
    }
}

/// Returns a parameter of the path.
pub(super) fn named(parts: &Parts, parameter: &str) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get(parameter)?.unwrap_or_default())
}

/// Lists principals.
pub(in crate::api) async fn principals(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<PrincipalList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    Ok(Json(api.admin.principal_list(&of.organisation, &page).await?.into()))
}

/// Lists principal roles by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<RoleList<tidewater_core::ids::PrincipalRoleId>>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    Ok(Json(api.admin.principal_role_list(&of.organisation, &page).await?.into()))
}

/// Adds a principal role.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(new): Fields<CreateRole>,
) -> Result<Json<RoleEntry<tidewater_core::ids::PrincipalRoleId>>, ApiError> {
    Ok(Json(api.admin.principal_role_create(&of.organisation, &new.name, &of.change(&api)).await?.into()))
}

/// Removes a principal role, with its assignments.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let role = named(&parts, "principal-role")?;
    api.admin.principal_role_delete(&of.organisation, &role, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the principals that have a principal role.
pub(in crate::api) async fn members(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
    parts: Parts,
) -> Result<Json<PrincipalList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let role = named(&parts, "principal-role")?;
    Ok(Json(api.admin.principal_role_members(&of.organisation, &role, &page).await?.into()))
}

/// Assigns a principal role to a principal.
pub(in crate::api) async fn assign(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    set(&api, &of, &parts, true).await
}

/// Revokes a principal role from a principal.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    set(&api, &of, &parts, false).await
}

async fn set(api: &Api, of: &OfOrganisation, parts: &Parts, assigned: bool) -> Result<StatusCode, ApiError> {
    let (role, principal) = (named(parts, "principal-role")?, named(parts, "principal")?);
    let change = of.change(api);
    api.admin.principal_role_assign(&of.organisation, (&role, &principal), assigned, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}
