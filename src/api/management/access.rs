//! Explanations of access: `/management/v1/organisations/{organisation}/warehouses/{warehouse}/access`, and `who-am-i`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidewater_core::access::Action;
use tidewater_core::name::TableIdent;

use super::access_manager::AccessManager;
use super::catalog_roles::GrantEntry;
use super::paging::ListPaging;
use super::principal_roles::PrincipalEntry;
use crate::access::Principal;
use crate::admin::{ExplainedAccess, ExplainedToken, NamedObject, Verdict};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::permission::caller_of;
use crate::api::requests::namespace_parameter;
use crate::store::TableKind;

/// The query parameters of an explanation: a principal, an action and an object. `scope` and `engine` are those of a token.
#[derive(Deserialize)]
pub(in crate::api) struct Question {
    principal: Option<String>,
    scope: Option<String>,
    engine: Option<String>,
    action: String,
    namespace: Option<String>,
    table: Option<String>,
    view: Option<String>,
}

impl Question {
    fn action(&self) -> Result<Action, ApiError> {
        Action::from_name(&self.action).ok_or_else(|| {
            let known: Vec<String> = Action::ALL.into_iter().map(Action::name).collect();
            ApiError::bad_request(format!("action must be one of {}", known.join(", ")))
        })
    }

    fn object(&self) -> Result<NamedObject, ApiError> {
        let tabular = match (&self.table, &self.view) {
            (Some(_), Some(_)) => return Err(ApiError::bad_request("Give `table` or `view`, not both")),
            (Some(name), None) => Some((TableKind::Table, name)),
            (None, Some(name)) => Some((TableKind::View, name)),
            (None, None) => None,
        };
        let namespace = self.namespace.as_deref().map(namespace_parameter).transpose()?;
        Ok(match (namespace, tabular) {
            (None, None) => NamedObject::Warehouse,
            (Some(namespace), None) => NamedObject::Namespace(namespace),
            (Some(namespace), Some((kind, name))) => {
                let ident = TableIdent::new(namespace, name);
                NamedObject::Tabular(kind, ident.map_err(|error| ApiError::bad_request(error.to_string()))?)
            }
            (None, Some(_)) => return Err(ApiError::bad_request("Give the `namespace` of the table or view")),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct ExplainedEntry {
    principal: PrincipalEntry,
    allowed: bool,
    /// The reason why it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Value>,
    /// The privilege that would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'static str>,
    /// The message of the denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The principal roles whose read restrictions apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restricted_by: Vec<String>,
}

impl From<ExplainedAccess> for ExplainedEntry {
    fn from(ExplainedAccess { principal, verdict, restricted_by }: ExplainedAccess) -> Self {
        let principal = PrincipalEntry::from(principal);
        let allowed = |by| (true, Some(by), None, None);
        let (allowed, by, missing, message) = match verdict {
            Verdict::ByRole(role) => allowed(json!({ "type": "role", "role": role.as_str() })),
            Verdict::ByOwnership => allowed(json!({ "type": "owner" })),
            Verdict::BySight => allowed(json!({ "type": "sight" })),
            Verdict::ByGrant { grant, catalog_role, principal_role } => allowed(json!({
                "type": "grant", "grant": GrantEntry::from(grant),
                "catalog-role": catalog_role, "principal-role": principal_role,
            })),
            Verdict::Denied { message, missing } => {
                (false, None, missing.map(tidewater_core::access::Privilege::as_str), Some(message))
            }
        };
        Self { principal, allowed, by, missing, message, restricted_by }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct ExplainedList {
    next_page_token: Option<String>,
    access: Vec<ExplainedEntry>,
}

/// Explains whether a principal may do an action to an object. Without a principal, lists the principals that may.
pub(in crate::api) async fn explain(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Parameters(question): Parameters<Question>,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<ExplainedList>, ApiError> {
    let (action, object, warehouse_ref) = (question.action()?, question.object()?, of.warehouse_ref());
    of.object(&api, &object).await?;
    let (scope, engine) = (question.scope.as_deref(), question.engine.as_deref());
    if let Some(principal) = question.principal.as_deref() {
        let token = ExplainedToken { principal, scope, engine };
        let explained = api.admin.access_explain((&of.organisation, warehouse_ref), token, action, &object).await?;
        return Ok(Json(ExplainedList { next_page_token: None, access: vec![explained.into()] }));
    }
    if scope.is_some() || engine.is_some() {
        return Err(ApiError::bad_request("Give the `principal` of the `scope` or `engine`"));
    }
    let page = paging.request(api.settings.default_page_size)?;
    let (found, next) = api.admin.access_list(warehouse_ref, action, &object, &page).await?;
    let access = found.into_iter().map(ExplainedEntry::from).collect();
    Ok(Json(ExplainedList { next_page_token: next.as_deref().map(token_after), access }))
}

/// Returns the caller's key or user, principal, roles, and the warehouses that it may see.
pub(in crate::api) async fn who_am_i(State(api): State<Arc<Api>>, parts: Parts) -> Result<Json<Value>, ApiError> {
    let caller = caller_of(&parts)?;
    let mut answer = json!({
        "organisation": { "id": caller.organisation(), "name": caller.organisation_name() },
        "role": caller.role().as_str(),
    });
    let principal = caller.principal();
    let selected = caller.selected_roles();
    let holder = if caller.is_user() { "user" } else { "key" };
    answer[holder] = json!({ "id": caller.key(), "name": caller.key_name() });
    let access = api.admin.principal_access(caller.organisation(), principal, selected).await?;
    answer["principal-id"] = json!(principal);
    if let Some(selected) = selected {
        answer["narrowed-to"] = api.admin.role_names(caller.organisation(), principal, selected).await?.into();
    }
    if let Some(engine) = caller.engine() {
        answer["engine"] = json!({ "id": engine.key(), "name": engine.key_name(), "role": engine.role().as_str() });
    }
    answer["warehouses"] = api.catalog.visible_warehouses(&Principal::from(Arc::clone(caller))).await?.into();
    let roles = access.paths.iter().map(|path| {
        json!({ "principal-role": path.principal_role, "catalog-role": path.catalog_role_name,
                "warehouse-id": path.warehouse })
    });
    answer["roles"] = roles.collect();
    Ok(Json(answer))
}
