//! `/api/management/v1/catalogs/{warehouse}/catalog-roles/{catalog-role}/grants`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::access::Securable;

use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::management::access_manager::AccessManager;
use crate::api::management::catalog_roles::{GrantEntry, permitted_grant};
use crate::api::management::fields::Fields;
use crate::api::namespaces::levels;
use crate::api::path::PathParameters;
use crate::store::Grant;

/// A grant. Its object has a namespace, and the name of a table, view or policy.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GrantResource {
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    view_name: Option<String>,
    #[serde(default, skip_serializing)]
    policy_name: Option<String>,
    privilege: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct GrantRequest {
    grant: GrantResource,
}

#[derive(Deserialize)]
pub(in crate::api) struct Revocation {
    #[serde(default)]
    cascade: Option<bool>,
}

#[derive(Serialize)]
pub(in crate::api) struct GrantResources {
    grants: Vec<GrantResource>,
}

impl GrantResource {
    /// Returns a grant on an object that is not dropped.
    fn from_grant(Grant { on, privilege }: Grant) -> Option<Self> {
        let (mut namespace, mut table_name, mut view_name) = (None, None, None);
        let r#type = on.kind().as_str().to_owned();
        match on {
            Securable::Warehouse => {}
            Securable::Namespace(ident) => namespace = Some(levels(&ident)),
            Securable::Table(_, name) => {
                let name = name?;
                (namespace, table_name) = (Some(levels(&name.namespace)), Some(name.name().to_owned()));
            }
            Securable::View(_, name) => {
                let name = name?;
                (namespace, view_name) = (Some(levels(&name.namespace)), Some(name.name().to_owned()));
            }
        }
        let privilege = privilege.as_str().to_owned();
        Some(Self { r#type, namespace, table_name, view_name, policy_name: None, privilege })
    }

    /// Returns the grant in the form of `/management/v1`.
    fn into_entry(self) -> Result<GrantEntry, ApiError> {
        let name = match (&*self.r#type, self.table_name, self.view_name, self.policy_name) {
            ("policy", ..) => {
                return Err(ApiError::bad_request(
                    "Tidewater has no policies: grant on a catalog, namespace, table or view",
                ));
            }
            ("table", name, None, None) | ("view", None, name, None) | (_, None, None, name @ None) => name,
            (kind, ..) => {
                return Err(ApiError::bad_request(format!(
                    "A grant of the type '{kind}' has a field that it cannot have"
                )));
            }
        };
        Ok(GrantEntry { privilege: self.privilege, r#type: self.r#type, namespace: self.namespace, name, id: None })
    }
}

/// Lists the grants of a catalog role. Leaves out those on dropped tables and views, which have no name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<GrantResources>, ApiError> {
    of.warehouse()?;
    let grants = api.admin.grant_list(of.warehouse_ref(), &role(&parts)?).await?;
    Ok(Json(GrantResources { grants: grants.into_iter().filter_map(GrantResource::from_grant).collect() }))
}

/// Grants a privilege to a catalog role.
pub(in crate::api) async fn add(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Fields(GrantRequest { grant }): Fields<GrantRequest>,
) -> Result<StatusCode, ApiError> {
    let grant = permitted_grant(&api, &of, &grant.into_entry()?).await?;
    api.admin.grant_change(of.warehouse_ref(), &role(&parts)?, grant, true, &of.change(&api)).await?;
    Ok(StatusCode::CREATED)
}

/// Revokes a privilege from a catalog role. With `cascade`, also on all objects in the object.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Parameters(Revocation { cascade }): Parameters<Revocation>,
    Fields(GrantRequest { grant }): Fields<GrantRequest>,
) -> Result<StatusCode, ApiError> {
    let grant = permitted_grant(&api, &of, &grant.into_entry()?).await?;
    let (role, change) = (role(&parts)?, of.change(&api));
    match cascade {
        Some(true) => api.admin.grant_revoke_below(of.warehouse_ref(), &role, grant, &change).await?,
        _ => api.admin.grant_change(of.warehouse_ref(), &role, grant, false, &change).await?,
    }
    Ok(StatusCode::CREATED)
}

fn role(parts: &Parts) -> Result<String, ApiError> {
    Ok(PathParameters::from_parts(parts).get("catalog-role")?.unwrap_or_default())
}
