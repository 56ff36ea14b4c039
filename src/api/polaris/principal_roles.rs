//! `/api/management/v1/principal-roles`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;

use super::details::{Update, check, created};
use super::list::{all, whole};
use super::objects::{
    CatalogRoleList, NamedPrincipalRole, NamedRole, PrincipalList, PrincipalRoleEntry, PrincipalRoleList,
    catalog_roles, principal_roles, principals,
};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::management::access_manager::AccessManager;
use crate::api::management::administrator::OfOrganisation;
use crate::api::management::fields::Fields;
use crate::api::path::PathParameters;
use crate::store::Entity;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Assign {
    catalog_role: NamedRole,
}

/// Lists principal roles by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
) -> Result<Json<PrincipalRoleList>, ApiError> {
    let roles = all(api.admin.principal_role_list(&of.organisation, &whole()).await?)?;
    Ok(Json(principal_roles(&api, of.organisation.id, roles).await?))
}

/// Adds a principal role.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(NamedPrincipalRole { principal_role: new }): Fields<NamedPrincipalRole>,
) -> Result<(StatusCode, Json<PrincipalRoleEntry>), ApiError> {
    if new.federated {
        return Err(ApiError::bad_request(
            "`federated` must be false: roles of an identity provider are set up in the server",
        ));
    }
    check(new.properties.as_ref())?;
    let change = of.change(&api);
    let role = api.admin.principal_role_create(&of.organisation, &new.name, &change).await?;
    let entity = Entity::PrincipalRole(role.id);
    let details = created(&api, of.organisation.id, entity, new.properties.as_ref(), &change).await?;
    Ok((StatusCode::CREATED, Json(PrincipalRoleEntry::new(role, details))))
}

/// Shows a principal role.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<PrincipalRoleEntry>, ApiError> {
    let role = api.admin.principal_role(&of.organisation, &named(&parts)?).await?;
    let details = api.admin.entity_get(of.organisation.id, Entity::PrincipalRole(role.id)).await?;
    Ok(Json(PrincipalRoleEntry::new(role, details)))
}

/// Replaces the properties of a principal role.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<PrincipalRoleEntry>, ApiError> {
    let role = api.admin.principal_role(&of.organisation, &named(&parts)?).await?;
    let (entity, expected) = (Entity::PrincipalRole(role.id), Some(update.current_entity_version));
    let (organisation, change) = (of.organisation.id, of.change(&api));
    let set = api.admin.entity_set_properties(organisation, entity, expected, &update.properties, &change);
    Ok(Json(PrincipalRoleEntry::new(role, set.await?)))
}

/// Removes a principal role, with its assignments.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    api.admin.principal_role_delete(&of.organisation, &named(&parts)?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the principals that have a principal role.
pub(in crate::api) async fn members(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<PrincipalList>, ApiError> {
    let members = all(api.admin.principal_role_members(&of.organisation, &named(&parts)?, &whole()).await?)?;
    let mut found = api.admin.key_principal_list(&of.organisation).await?;
    found.retain(|principal| members.iter().any(|member| member.id == principal.id()));
    Ok(Json(principals(&api, of.organisation.id, found).await?))
}

/// Lists the catalog roles of a warehouse that a principal role has.
pub(in crate::api) async fn assigned(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<CatalogRoleList>, ApiError> {
    of.warehouse()?;
    let at = (&of.organisation, of.warehouse_ref());
    let roles = all(api.admin.catalog_role_list_of(at, &named(&parts)?, &whole()).await?)?;
    Ok(Json(catalog_roles(&api, of.warehouse_ref(), roles).await?))
}

/// Assigns a catalog role to a principal role.
pub(in crate::api) async fn assign(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Fields(Assign { catalog_role }): Fields<Assign>,
) -> Result<StatusCode, ApiError> {
    set_assigned(&api, &of, (&catalog_role.name, &named(&parts)?), true).await?;
    Ok(StatusCode::CREATED)
}

/// Revokes a catalog role from a principal role.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let catalog_role = PathParameters::from_parts(&parts).get("catalog-role")?.unwrap_or_default();
    set_assigned(&api, &of, (&catalog_role, &named(&parts)?), false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_assigned(api: &Api, of: &AccessManager, roles: (&str, &str), assigned: bool) -> Result<(), ApiError> {
    of.warehouse()?;
    let at = (&of.organisation, of.warehouse_ref());
    Ok(api.admin.catalog_role_assign(at, roles, assigned, &of.change(api)).await?)
}

fn named(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get("principal-role")?.unwrap_or_default())
}
