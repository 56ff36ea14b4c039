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
use crate::store::{CatalogRole, Entity, WarehouseRef};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Create {
    catalog_role: NamedRole,
}

fn entity(warehouse_ref: WarehouseRef, role: &CatalogRole) -> Entity {
    Entity::CatalogRole(warehouse_ref.warehouse, role.id)
}

/// Lists a warehouse's catalog roles by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: AccessManager,
) -> Result<Json<CatalogRoleList>, ApiError> {
    of.warehouse()?;
    let roles = all(api.admin.catalog_role_list(of.warehouse_ref(), &whole()).await?)?;
    Ok(Json(catalog_roles(&api, of.warehouse_ref(), roles).await?))
}

/// Adds a catalog role.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Fields(Create { catalog_role: new }): Fields<Create>,
) -> Result<(StatusCode, Json<CatalogRoleEntry>), ApiError> {
    of.warehouse()?;
    check(new.properties.as_ref())?;
    let (warehouse_ref, change) = (of.warehouse_ref(), of.change(&api));
    let role = api.admin.catalog_role_create(warehouse_ref, &new.name, &change).await?;
    let set = created(&api, warehouse_ref.organisation, entity(warehouse_ref, &role), new.properties.as_ref(), &change);
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
    let role = api.admin.catalog_role(of.warehouse_ref(), &named(&parts)?).await?;
    let details = api.admin.entity_get(of.warehouse_ref().organisation, entity(of.warehouse_ref(), &role)).await?;
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
    let role = api.admin.catalog_role(of.warehouse_ref(), &named(&parts)?).await?;
    let (entity, expected) = (entity(of.warehouse_ref(), &role), Some(update.current_entity_version));
    let (organisation, change) = (of.warehouse_ref().organisation, of.change(&api));
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
    api.admin.catalog_role_delete(of.warehouse_ref(), &named(&parts)?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the principal roles that have a catalog role.
pub(in crate::api) async fn members(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<PrincipalRoleList>, ApiError> {
    of.warehouse()?;
    let roles = all(api.admin.catalog_role_members(of.warehouse_ref(), &named(&parts)?, &whole()).await?)?;
    Ok(Json(principal_roles(&api, of.warehouse_ref().organisation, roles).await?))
}

fn named(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get("catalog-role")?.unwrap_or_default())
}
