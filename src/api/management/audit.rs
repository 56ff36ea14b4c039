//! `GET /management/v1/organisations/{organisation}/audit`: an organisation's audit records. `GET /management/v1/audit`: those of all
//! organisations, of the server itself and of unknown actors. Both have changes and all other records as one stream.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::OrganisationId;

use super::administrator::{Manager, OfOrganisation};
use super::paging::ListPaging;
use super::parameters::{TIME, number};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::audit::{AuditLine, audit_page};
use crate::store::{AuditFilter, AuditType};

/// The filters and the page of a list of audit records.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Wanted {
    r#type: Option<String>,
    actor: Option<String>,
    operation: Option<String>,
    object: Option<String>,
    decision: Option<String>,
    address: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(flatten)]
    paging: ListPaging,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct AuditList {
    next_page_token: Option<String>,
    records: Vec<AuditLine>,
}

/// Lists an organisation's audit records that match the filters, newest first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<AuditList>, ApiError> {
    page(&api, Some(of.organisation.id), wanted).await
}

/// Lists the audit records of all organisations, of the server and of unknown actors that match the filters, newest first.
pub(in crate::api) async fn list_all(
    State(api): State<Arc<Api>>,
    _: Manager,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<AuditList>, ApiError> {
    page(&api, None, wanted).await
}

async fn page(api: &Api, of: Option<OrganisationId>, wanted: Wanted) -> Result<Json<AuditList>, ApiError> {
    let types = AuditType::ALL.map(AuditType::as_str).join(", ");
    let filter = AuditFilter {
        kind: wanted.r#type.as_deref().map(|text| named("type", &format!("one of {types}"), text)).transpose()?,
        actor: wanted.actor,
        operation: wanted.operation,
        object: wanted.object,
        decision: wanted.decision.as_deref().map(|text| named("decision", "allowed or denied", text)).transpose()?,
        address: wanted
            .address
            .as_deref()
            .map(|text| number::<IpAddr>("address", "an IP address", text))
            .transpose()?,
        since_ms: wanted.since.as_deref().map(|text| number("since", TIME, text)).transpose()?,
        until_ms: wanted.until.as_deref().map(|text| number("until", TIME, text)).transpose()?,
    };
    let (token, limit) = (wanted.paging.token()?, wanted.paging.size(api.settings.default_page_size)?);
    let page = audit_page(&*api.store, of, &filter, token, limit).await?;
    Ok(Json(AuditList { next_page_token: page.next.map(|next| next.to_string()), records: page.lines }))
}

/// Parses a word that names a value.
fn named<T: DeserializeOwned>(parameter: &str, form: &str, text: &str) -> Result<T, ApiError> {
    serde_json::from_value(text.into()).map_err(|_| ApiError::bad_request(format!("{parameter} must be {form}")))
}
