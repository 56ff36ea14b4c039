//! `/api/management/v1/catalogs/{warehouse}/catalog-roles`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;

use super::details::{Update, check, created};
use super::list::{all, whole};
use super::objects::{CatalogRoleEntry, CatalogRoleList, NamedRole, PrincipalRoleList, catalog_roles, principal_roles};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::management::access_manager::AccessManager;
use crate::api::management::fields::Fields;
use crate::api::path::PathParameters;
use crate::store::{CatalogRole, Entity, Place};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Create {
    catalog_role: NamedRole,
}

fn entity(place: Place, role: &CatalogRole) -> Entity {
    Entity::CatalogRole(place.warehouse, role.id)
}

/// Lists a warehouse's catalog roles by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: AccessManager,
) -> Result<Json<CatalogRoleList>, ApiError> {
    of.warehouse()?;
    let roles = all(api.admin.catalog_role_list(of.place(), &whole()).await?)?;
    Ok(Json(catalog_roles(&api, of.place(), roles).await?))
}

/// Adds a catalog role.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Fields(Create { catalog_role: new }): Fields<Create>,
) -> Result<(StatusCode, Json<CatalogRoleEntry>), ApiError> {
    of.warehouse()?;
    check(new.properties.as_ref())?;
    let (place, change) = (of.place(), of.change(&api));
    let role = api.admin.catalog_role_create(place, &new.name, &change).await?;
    let set = created(&api, place.organisation, entity(place, &role), new.properties.as_ref(), &change);
    let details = set.await?;
    Ok((StatusCode::CREATED, Json(CatalogRoleEntry::new(role, details))))
}

/// Shows a catalog role.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<CatalogRoleEntry>, ApiError> {
    of.warehouse()?;
    let role = api.admin.catalog_role(of.place(), &named(&parts)?).await?;
    let details = api.admin.entity_get(of.place().organisation, entity(of.place(), &role)).await?;
    Ok(Json(CatalogRoleEntry::new(role, details)))
}

/// Replaces the properties of a catalog role.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<CatalogRoleEntry>, ApiError> {
    of.warehouse()?;
    let role = api.admin.catalog_role(of.place(), &named(&parts)?).await?;
    let (entity, expected) = (entity(of.place(), &role), Some(update.current_entity_version));
    let (organisation, change) = (of.place().organisation, of.change(&api));
    let set = api.admin.entity_set_properties(organisation, entity, expected, &update.properties, &change);
    Ok(Json(CatalogRoleEntry::new(role, set.await?)))
}

/// Removes a catalog role, with its assignments and grants.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    of.warehouse()?;
    api.admin.catalog_role_delete(of.place(), &named(&parts)?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the principal roles that have a catalog role.
pub(in crate::api) async fn members(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<PrincipalRoleList>, ApiError> {
    of.warehouse()?;
    let roles = all(api.admin.catalog_role_members(of.place(), &named(&parts)?, &whole()).await?)?;
    Ok(Json(principal_roles(&api, of.place().organisation, roles).await?))
}

fn named(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::of(parts).get("catalog-role")?.unwrap_or_default())
}
