//! `/api/management/v1/principals`. A principal is the user of an API key without a built-in role. Its client id is the key's
//! id, and its client secret is the key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tidewater_core::access::Role;
use tidewater_core::ids::KeyId;

use super::details::{Properties, Update, check, created};
use super::list::{all, whole};
use super::objects::{
    NamedPrincipalRole, PrincipalEntry, PrincipalList, PrincipalRoleList, principal_roles, principals,
};
use crate::admin::{IssuedKey, KeyPrincipal, KeyRequest};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::management::administrator::OfOrganisation;
use crate::api::management::fields::Fields;
use crate::api::path::PathParameters;
use crate::store::{Entity, EntityDetails};

/// A new principal. The other fields are those of answers, and are ignored: Polaris' command line sends the caller's own
/// `clientId`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewPrincipal {
    name: String,
    properties: Option<Properties>,
    #[serde(rename = "clientId")]
    _client_id: Option<IgnoredAny>,
    #[serde(rename = "createTimestamp")]
    _create_timestamp: Option<IgnoredAny>,
    #[serde(rename = "lastUpdateTimestamp")]
    _last_update_timestamp: Option<IgnoredAny>,
    #[serde(rename = "entityVersion")]
    _entity_version: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Create {
    principal: NewPrincipal,
    credential_rotation_required: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Reset {
    client_id: Option<String>,
    client_secret: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    client_id: KeyId,
    client_secret: String,
}

#[derive(Serialize)]
pub(in crate::api) struct PrincipalWithCredentials {
    principal: PrincipalEntry,
    credentials: Credentials,
}

impl PrincipalWithCredentials {
    fn new(IssuedKey { key, text }: IssuedKey, created_ms: i64, details: EntityDetails) -> Self {
        let credentials = Credentials { client_id: key.id, client_secret: text.expose().clone() };
        Self { principal: PrincipalEntry::new(KeyPrincipal { key, created_ms }, details), credentials }
    }
}

/// Finds the path's principal.
async fn find(api: &Api, of: &OfOrganisation, parts: &Parts) -> Result<KeyPrincipal, ApiError> {
    let name = PathParameters::from_parts(parts).get("principal")?.unwrap_or_default();
    Ok(api.admin.key_principal_find(&of.organisation, &name).await?)
}

/// Lists principals by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
) -> Result<Json<PrincipalList>, ApiError> {
    let found = api.admin.key_principal_list(&of.organisation).await?;
    Ok(Json(principals(&api, of.organisation.id, found).await?))
}

/// Creates a principal with a key.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(Create { principal: new, credential_rotation_required }): Fields<Create>,
) -> Result<(StatusCode, Json<PrincipalWithCredentials>), ApiError> {
    if credential_rotation_required == Some(true) {
        return Err(ApiError::bad_request(
            "`credentialRotationRequired` must be false: only administrators rotate credentials",
        ));
    }
    check(new.properties.as_ref())?;
    let change = of.change(&api);
    let request = KeyRequest { name: new.name, role: Role::None, no_delete: false, expires_ms: None };
    let issued = api.admin.key_create(&of.organisation, &request, &change).await?;
    let entity = Entity::Principal(issued.key.principal);
    let details = created(&api, of.organisation.id, entity, new.properties.as_ref(), &change).await?;
    let created_ms = issued.key.created_ms;
    Ok((StatusCode::CREATED, Json(PrincipalWithCredentials::new(issued, created_ms, details))))
}

/// Shows a principal.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<PrincipalEntry>, ApiError> {
    let principal = find(&api, &of, &parts).await?;
    let details = api.admin.entity_get(of.organisation.id, Entity::Principal(principal.id())).await?;
    Ok(Json(PrincipalEntry::new(principal, details)))
}

/// Replaces the properties of a principal.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<PrincipalEntry>, ApiError> {
    let principal = find(&api, &of, &parts).await?;
    let (entity, expected) = (Entity::Principal(principal.id()), Some(update.current_entity_version));
    let (organisation, change) = (of.organisation.id, of.change(&api));
    let set = api.admin.entity_set_properties(organisation, entity, expected, &update.properties, &change);
    Ok(Json(PrincipalEntry::new(principal, set.await?)))
}

/// Deletes a principal: revokes its keys.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let principal = find(&api, &of, &parts).await?;
    api.admin.key_principal_revoke(&of.organisation, principal.id(), None, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotates a principal's key. The old key works for another day.
pub(in crate::api) async fn rotate(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<PrincipalWithCredentials>, ApiError> {
    let principal = find(&api, &of, &parts).await?;
    let issued = api.admin.key_rotate(&of.organisation, &principal.key, None, &of.change(&api)).await?;
    with_credentials(&api, &of, issued, principal.created_ms).await
}

/// Resets a principal's key. All older keys are refused from now on.
pub(in crate::api) async fn reset(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(reset): Fields<Reset>,
) -> Result<Json<PrincipalWithCredentials>, ApiError> {
    if reset.client_id.is_some() || reset.client_secret.is_some() {
        return Err(ApiError::bad_request("The server chooses `clientId` and `clientSecret`: leave them out"));
    }
    let (principal, change) = (find(&api, &of, &parts).await?, of.change(&api));
    let issued = api.admin.key_rotate(&of.organisation, &principal.key, Some(0), &change).await?;
    api.admin.key_principal_revoke(&of.organisation, principal.id(), Some(issued.key.id), &change).await?;
    with_credentials(&api, &of, issued, principal.created_ms).await
}

async fn with_credentials(
    api: &Api,
    of: &OfOrganisation,
    issued: IssuedKey,
    created_ms: i64,
) -> Result<Json<PrincipalWithCredentials>, ApiError> {
    let details = api.admin.entity_get(of.organisation.id, Entity::Principal(issued.key.principal)).await?;
    Ok(Json(PrincipalWithCredentials::new(issued, created_ms, details)))
}

/// Lists the principal roles of a principal.
pub(in crate::api) async fn roles(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<PrincipalRoleList>, ApiError> {
    let principal = find(&api, &of, &parts).await?;
    let roles = all(api.admin.principal_role_list_of(&of.organisation, principal.id(), &whole()).await?)?;
    Ok(Json(principal_roles(&api, of.organisation.id, roles).await?))
}

/// Assigns a principal role to a principal.
pub(in crate::api) async fn assign(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(NamedPrincipalRole { principal_role }): Fields<NamedPrincipalRole>,
) -> Result<StatusCode, ApiError> {
    set_assigned(&api, &of, &parts, &principal_role.name, true).await?;
    Ok(StatusCode::CREATED)
}

/// Revokes a principal role from a principal.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let role = PathParameters::from_parts(&parts).get("principal-role")?.unwrap_or_default();
    set_assigned(&api, &of, &parts, &role, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_assigned(
    api: &Api,
    of: &OfOrganisation,
    parts: &Parts,
    role: &str,
    assigned: bool,
) -> Result<(), ApiError> {
    let principal = find(api, of, parts).await?.key.id.to_string();
    let change = of.change(api);
    Ok(api.admin.principal_role_assign(&of.organisation, (role, &principal), assigned, &change).await?)
}
