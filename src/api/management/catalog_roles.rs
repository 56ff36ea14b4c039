//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/catalog-roles`: catalog roles, their
//! assignments and their grants.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::access::{Privilege, Securable, SecurableKind};
use tidewater_core::ids::{CatalogRoleId, PrincipalRoleId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::access_manager::AccessManager;
use super::fields::Fields;
use super::paging::ListPaging;
use super::principal_roles::{CreateRole, RoleEntry, RoleList, named};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::namespaces::levels;
use crate::store::Grant;

/// A grant in a body.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct GrantEntry {
    pub(in crate::api) privilege: String,
    pub(in crate::api) r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::api) namespace: Option<Vec<String>>,
    /// The name of the table or view. Absent while it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::api) name: Option<String>,
    /// The id of the table or view in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::api) id: Option<TableId>,
}

impl From<Grant> for GrantEntry {
    fn from(Grant { on, privilege }: Grant) -> Self {
        let (privilege, r#type) = (privilege.as_str().to_owned(), on.kind().as_str().to_owned());
        let (namespace, name, id) = match on {
            Securable::Warehouse => (None, None, None),
            Securable::Namespace(ident) => (Some(levels(&ident)), None, None),
            Securable::Table(id, ident) | Securable::View(id, ident) => {
                let name = ident.as_ref().map(|ident| ident.name().to_owned());
                (ident.map(|ident| levels(&ident.namespace)), name, Some(id))
            }
        };
        Self { privilege, r#type, namespace, name, id }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct GrantList {
    grants: Vec<GrantEntry>,
}

/// Lists a warehouse's catalog roles by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<RoleList<CatalogRoleId>>, ApiError> {
    of.somewhere()?;
    let page = paging.request(api.settings.default_page_size)?;
    Ok(Json(api.admin.catalog_role_list(of.warehouse_ref(), &page).await?.into()))
}

/// Adds a catalog role.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Fields(new): Fields<CreateRole>,
) -> Result<Json<RoleEntry<CatalogRoleId>>, ApiError> {
    of.warehouse()?;
    Ok(Json(api.admin.catalog_role_create(of.warehouse_ref(), &new.name, &of.change(&api)).await?.into()))
}

/// Removes a catalog role, with its assignments and grants.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    of.warehouse()?;
    api.admin.catalog_role_delete(of.warehouse_ref(), &named(&parts, "catalog-role")?, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the principal roles that have a catalog role.
pub(in crate::api) async fn members(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Parameters(paging): Parameters<ListPaging>,
    parts: Parts,
) -> Result<Json<RoleList<PrincipalRoleId>>, ApiError> {
    of.somewhere()?;
    let page = paging.request(api.settings.default_page_size)?;
    Ok(Json(api.admin.catalog_role_members(of.warehouse_ref(), &named(&parts, "catalog-role")?, &page).await?.into()))
}

/// Assigns a catalog role to a principal role.
pub(in crate::api) async fn assign(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    set_assigned(&api, &of, &parts, true).await
}

/// Revokes a catalog role from a principal role.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    set_assigned(&api, &of, &parts, false).await
}

async fn set_assigned(api: &Api, of: &AccessManager, parts: &Parts, assigned: bool) -> Result<StatusCode, ApiError> {
    of.warehouse()?;
    let roles = (named(parts, "catalog-role")?, named(parts, "principal-role")?);
    let change = of.change(api);
    let (at, roles) = ((&of.organisation, of.warehouse_ref()), (roles.0.as_str(), roles.1.as_str()));
    api.admin.catalog_role_assign(at, roles, assigned, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the grants of a catalog role on objects to which the caller may manage access.
pub(in crate::api) async fn grants(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
) -> Result<Json<GrantList>, ApiError> {
    of.somewhere()?;
    let mut grants = api.admin.grant_list(of.warehouse_ref(), &named(&parts, "catalog-role")?).await?;
    grants.retain(|grant| of.manages(&grant.on));
    Ok(Json(GrantList { grants: grants.into_iter().map(GrantEntry::from).collect() }))
}

/// Grants a privilege to a catalog role.
pub(in crate::api) async fn add_grant(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Fields(grant): Fields<GrantEntry>,
) -> Result<StatusCode, ApiError> {
    change_grant(&api, &of, &parts, &grant, true).await
}

/// Revokes a privilege from a catalog role.
pub(in crate::api) async fn revoke_grant(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    parts: Parts,
    Fields(grant): Fields<GrantEntry>,
) -> Result<StatusCode, ApiError> {
    change_grant(&api, &of, &parts, &grant, false).await
}

async fn change_grant(
    api: &Api,
    of: &AccessManager,
    parts: &Parts,
    grant: &GrantEntry,
    granted: bool,
) -> Result<StatusCode, ApiError> {
    let grant = permitted_grant(api, of, grant).await?;
    let role = named(parts, "catalog-role")?;
    api.admin.grant_change(of.warehouse_ref(), &role, grant, granted, &of.change(api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Parses a grant, finds its object, and checks that the caller may manage access to it.
///
/// # Errors
/// 400 for an unknown privilege or type; 403; 404 if the object does not exist or is hidden from the caller.
pub(in crate::api) async fn permitted_grant(
    api: &Api,
    of: &AccessManager,
    grant: &GrantEntry,
) -> Result<(Privilege, Securable), ApiError> {
    let privilege: Result<Privilege, _> = grant.privilege.parse();
    let privilege = privilege.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok((privilege, securable(api, of, grant).await?))
}

/// Finds the object of a grant, and checks that the caller may manage access to it.
async fn securable(api: &Api, of: &AccessManager, grant: &GrantEntry) -> Result<Securable, ApiError> {
    let namespace = || {
        let levels = grant.namespace.as_deref().unwrap_or_default();
        NamespaceIdent::new(levels).map_err(|error| ApiError::bad_request(error.to_string()))
    };
    let kinds = [SecurableKind::Warehouse, SecurableKind::Namespace, SecurableKind::Table, SecurableKind::View];
    let Some(kind) = kinds.into_iter().find(|kind| kind.as_str() == grant.r#type) else {
        return Err(ApiError::bad_request("`type` must be catalog, namespace, table or view"));
    };
    if matches!(kind, SecurableKind::Warehouse | SecurableKind::Namespace) {
        if grant.name.is_some() || (kind == SecurableKind::Warehouse && grant.namespace.is_some()) {
            return Err(ApiError::bad_request(format!(
                "A grant of the type '{}' has no `name`, and only a grant on a namespace, table or view has a `namespace`",
                kind.as_str()
            )));
        }
        return match kind {
            SecurableKind::Warehouse => of.warehouse().map(|_| Securable::Warehouse),
            _ => Ok(Securable::Namespace(of.namespace(namespace()?)?.into_object().ident)),
        };
    }
    let name = grant.name.as_deref().ok_or_else(|| ApiError::bad_request("Give the `name` of the table or view"))?;
    let ident = TableIdent::new(namespace()?, name).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let (authorizer, warehouse) = of.authorizer()?;
    if kind == SecurableKind::View {
        let view = api.catalog.view_find(authorizer, warehouse, ident).await?.into_object();
        return Ok(Securable::View(view.record.id, Some(view.ident)));
    }
    let table = api.catalog.table_find(authorizer, warehouse, ident).await?.into_object();
    Ok(Securable::Table(table.record.id, Some(table.ident)))
}
