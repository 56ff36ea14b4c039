//! `/management/v1/operators`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::KeyId;

use super::administrator::Manager;
use super::fields::Fields;
use super::paging::ListPaging;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::store::Operator;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Create {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct OperatorEntry {
    id: KeyId,
    name: String,
    role: &'static str,
    created_ms: i64,
    last_used_ms: Option<i64>,
    revoked_ms: Option<i64>,
    /// Only in the answer to the creation.
    #[serde(rename = "api_key", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<Operator> for OperatorEntry {
    fn from(operator: Operator) -> Self {
        Self {
            id: operator.id,
            name: operator.name,
            role: "operator",
            created_ms: operator.created_ms,
            last_used_ms: operator.last_used_ms,
            revoked_ms: operator.revoked_ms,
            text: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct OperatorList {
    next_page_token: Option<String>,
    operators: Vec<OperatorEntry>,
}

/// Adds an operator.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    Fields(Create { name }): Fields<Create>,
) -> Result<Json<OperatorEntry>, ApiError> {
    let issued = api.admin.operator_create(&name, &asking.change(&api)).await?;
    let text = Some(issued.text.expose().clone());
    Ok(Json(OperatorEntry { text, ..issued.operator.into() }))
}

/// Lists operators, revoked ones included, oldest first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    _: Manager,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<OperatorList>, ApiError> {
    let all = api.admin.operator_list().await?;
    let (part, next_page_token) = paging.part(api.settings.default_page_size, all, |one| one.id.to_string())?;
    Ok(Json(OperatorList { next_page_token, operators: part.into_iter().map(OperatorEntry::from).collect() }))
}

/// Revokes an operator. Has no effect on a revoked operator.
pub(in crate::api) async fn revoke(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let named = PathParameters::from_parts(&parts).get("operator")?.unwrap_or_default();
    api.admin.operator_revoke(&named, &asking.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}
