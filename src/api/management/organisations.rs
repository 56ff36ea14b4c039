//! `/management/v1/organisations`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::OrganisationId;

use super::administrator::{Manager, ManagerOfOrganisation, OfOrganisation};
use super::fields::Fields;
use super::paging::ListPaging;
use super::parameters::number;
use crate::admin::{Admin, DeleteRequest};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::requests::flag;
use crate::store::{Organisation, OrganisationUpdate};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Create {
    name: String,
    tier: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Update {
    name: Option<String>,
    tier: Option<String>,
    suspended: Option<bool>,
}

#[derive(Deserialize)]
pub(in crate::api) struct Deletion {
    #[serde(rename = "grace-s")]
    grace_s: Option<String>,
    purge: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct OrganisationEntry {
    id: OrganisationId,
    name: String,
    tier: String,
    served_by_tier: Option<String>,
    created_ms: i64,
    suspended: bool,
    suspended_ms: Option<i64>,
    delete_after_ms: Option<i64>,
    purge: bool,
}

impl OrganisationEntry {
    fn new(admin: &Admin, organisation: Organisation) -> Self {
        let standing = organisation.standing;
        Self {
            id: organisation.id,
            served_by_tier: admin.serving_tier(&organisation).map(str::to_owned),
            name: organisation.name,
            tier: organisation.tier,
            created_ms: organisation.created_ms,
            suspended: standing.suspended_ms.is_some(),
            suspended_ms: standing.suspended_ms,
            delete_after_ms: standing.deletion.map(|deletion| deletion.after_ms),
            purge: standing.deletion.is_some_and(|deletion| deletion.purge),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct OrganisationDetails {
    #[serde(flatten)]
    organisation: OrganisationEntry,
    warehouses: Vec<String>,
    keys: usize,
    tables: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct OrganisationList {
    next_page_token: Option<String>,
    organisations: Vec<OrganisationEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Deleted {
    delete_after_ms: i64,
    purge: bool,
}

/// Adds an organisation.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    Manager(asking): Manager,
    Fields(new): Fields<Create>,
) -> Result<Json<OrganisationEntry>, ApiError> {
    let created = api.admin.organisation_create(&new.name, new.tier.as_deref(), &asking.change(&api)).await?;
    Ok(Json(OrganisationEntry::new(&api.admin, created)))
}

/// Lists organisations by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    _: Manager,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<OrganisationList>, ApiError> {
    let found = api.admin.organisation_list(&paging.request(api.settings.default_page_size)?).await?;
    let next_page_token = found.items.last().filter(|_| found.more).map(|last| token_after(&last.name));
    let organisations = found.items.into_iter().map(|one| OrganisationEntry::new(&api.admin, one)).collect();
    Ok(Json(OrganisationList { next_page_token, organisations }))
}

/// Shows an organisation, with its warehouses and its numbers of keys and tables.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
) -> Result<Json<OrganisationDetails>, ApiError> {
    let has = api.admin.organisation_details(of.organisation.id).await?;
    Ok(Json(OrganisationDetails {
        organisation: OrganisationEntry::new(&api.admin, of.organisation),
        warehouses: has.warehouses,
        keys: has.keys,
        tables: has.tables,
    }))
}

/// Changes an organisation's name or tier, or suspends or resumes it.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    ManagerOfOrganisation(of): ManagerOfOrganisation,
    Fields(Update { name, tier, suspended }): Fields<Update>,
) -> Result<Json<OrganisationEntry>, ApiError> {
    let update = OrganisationUpdate { name, tier, suspended };
    let updated = api.admin.organisation_update(of.organisation.id, &update, &of.change(&api)).await?;
    Ok(Json(OrganisationEntry::new(&api.admin, updated)))
}

/// Marks an organisation as deleted. The background removes it after the grace time.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    ManagerOfOrganisation(of): ManagerOfOrganisation,
    Parameters(Deletion { grace_s, purge }): Parameters<Deletion>,
) -> Result<Json<Deleted>, ApiError> {
    let grace_s = grace_s.as_deref().map(|text| number("grace-s", "a whole number of seconds", text)).transpose()?;
    let request = DeleteRequest { grace_s, purge: flag("purge", purge.as_deref())? };
    let deletion = api.admin.organisation_delete(&of.organisation, request, &of.change(&api)).await?;
    api.maintenance.wake();
    Ok(Json(Deleted { delete_after_ms: deletion.after_ms, purge: deletion.purge }))
}

/// Restores a deleted organisation during its grace time.
pub(in crate::api) async fn restore(
    State(api): State<Arc<Api>>,
    ManagerOfOrganisation(of): ManagerOfOrganisation,
) -> Result<Json<OrganisationEntry>, ApiError> {
    let restored = api.admin.organisation_restore(&of.organisation, &of.change(&api)).await?;
    Ok(Json(OrganisationEntry::new(&api.admin, restored)))
}
