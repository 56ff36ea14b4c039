//! `/api/catalog/polaris/v1`: lists of policies and generic tables. Tidewater has neither, so the lists are empty. Polaris'
//! command line reads them to summarize and to export catalogs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidewater_core::name::NamespaceIdent;

use crate::access::action;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::path::Named;
use crate::api::permission::Scope;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct ApplicablePolicies {
    applicable_policies: [(); 0],
    next_page_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Identifiers {
    identifiers: [(); 0],
    next_page_token: Option<String>,
}

/// Returns no policies, for callers who see the warehouse.
pub(in crate::api) async fn applicable_policies(
    scope: Scope<action::ReadConfig>,
) -> Result<Json<ApplicablePolicies>, ApiError> {
    scope.warehouse()?;
    Ok(Json(ApplicablePolicies { applicable_policies: [], next_page_token: None }))
}

/// Returns no policies or generic tables of a namespace, for callers who see it.
pub(in crate::api) async fn in_namespace(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CheckNamespace>,
    Named(namespace): Named<NamespaceIdent>,
) -> Result<Json<Identifiers>, ApiError> {
    api.catalog.namespace_check(&scope.namespace(namespace)?).await?;
    Ok(Json(Identifiers { identifiers: [], next_page_token: None }))
}
