//! Principals and roles in bodies and answers.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::{KeyId, OrganisationId};

use super::details::{Details, Properties};
use crate::admin::KeyPrincipal;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::store::{CatalogRole, Entity, EntityDetails, PrincipalRole, WarehouseRef};

/// A role in a body. The other fields are those of answers, and are ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NamedRole {
    pub(super) name: String,
    pub(super) properties: Option<Properties>,
    #[serde(default)]
    pub(super) federated: bool,
    #[serde(rename = "createTimestamp")]
    _create_timestamp: Option<IgnoredAny>,
    #[serde(rename = "lastUpdateTimestamp")]
    _last_update_timestamp: Option<IgnoredAny>,
    #[serde(rename = "entityVersion")]
    _entity_version: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct NamedPrincipalRole {
    pub(super) principal_role: NamedRole,
}

#[derive(Serialize)]
pub(in crate::api) struct PrincipalRoleEntry {
    name: String,
    federated: bool,
    #[serde(flatten)]
    details: Details,
}

impl PrincipalRoleEntry {
    pub(super) fn new(role: PrincipalRole, details: EntityDetails) -> Self {
        Self { name: role.name, federated: false, details: Details::new(role.created_ms, details) }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct PrincipalRoleList {
    roles: Vec<PrincipalRoleEntry>,
}

/// Returns principal roles with their details.
pub(super) async fn principal_roles(
    api: &Api,
    organisation: OrganisationId,
    roles: Vec<PrincipalRole>,
) -> Result<PrincipalRoleList, ApiError> {
    let entities: Vec<Entity> = roles.iter().map(|role| Entity::PrincipalRole(role.id)).collect();
    let details = api.admin.entity_list(organisation, &entities).await?;
    let roles = roles.into_iter().zip(details).map(|(role, details)| PrincipalRoleEntry::new(role, details));
    Ok(PrincipalRoleList { roles: roles.collect() })
}

#[derive(Serialize)]
pub(in crate::api) struct CatalogRoleEntry {
    name: String,
    #[serde(flatten)]
    details: Details,
}

impl CatalogRoleEntry {
    pub(super) fn new(role: CatalogRole, details: EntityDetails) -> Self {
        Self { name: role.name, details: Details::new(role.created_ms, details) }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct CatalogRoleList {
    roles: Vec<CatalogRoleEntry>,
}

/// Returns catalog roles of a warehouse with their details.
pub(super) async fn catalog_roles(
    api: &Api,
    warehouse_ref: WarehouseRef,
    roles: Vec<CatalogRole>,
) -> Result<CatalogRoleList, ApiError> {
    let entities: Vec<Entity> =
        roles.iter().map(|role| Entity::CatalogRole(warehouse_ref.warehouse, role.id)).collect();
    let details = api.admin.entity_list(warehouse_ref.organisation, &entities).await?;
    let roles = roles.into_iter().zip(details).map(|(role, details)| CatalogRoleEntry::new(role, details));
    Ok(CatalogRoleList { roles: roles.collect() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PrincipalEntry {
    name: String,
    client_id: KeyId,
    #[serde(flatten)]
    details: Details,
}

impl PrincipalEntry {
    pub(super) fn new(principal: KeyPrincipal, details: EntityDetails) -> Self {
        let details = Details::new(principal.created_ms, details);
        Self { name: principal.key.name, client_id: principal.key.id, details }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct PrincipalList {
    principals: Vec<PrincipalEntry>,
}

/// Returns principals with their details.
pub(super) async fn principals(
    api: &Api,
    organisation: OrganisationId,
    found: Vec<KeyPrincipal>,
) -> Result<PrincipalList, ApiError> {
    let entities: Vec<Entity> = found.iter().map(|principal| Entity::Principal(principal.id())).collect();
    let details = api.admin.entity_list(organisation, &entities).await?;
    let principals = found.into_iter().zip(details).map(|(one, details)| PrincipalEntry::new(one, details));
    Ok(PrincipalList { principals: principals.collect() })
}
