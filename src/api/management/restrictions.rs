//! `.../warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/restrictions`: what principal roles may not read of a table, and
//! `/management/v1/organisations/{organisation}/trusted-engines`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidewater_core::document::{Schema, SchemaIndex, TableMetadata};
use tidewater_core::name::TableIdent;
use tidewater_core::restrictions::{ColumnReference, Mask, Others, Restriction};

use super::access_manager::AccessManager;
use super::administrator::OfOrganisation;
use super::fields::Fields;
use super::paging::ListPaging;
use super::principal_roles::{PrincipalList, named};
use crate::access::action::ManageAccess;
use crate::access::{Permit, Table};
use crate::admin::AdminError;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::path::Named;
use crate::store::{Page, RestrictionRecord};

/// A restriction in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct NewRestriction {
    #[serde(default)]
    filter: Option<Box<RawValue>>,
    #[serde(default)]
    masks: Vec<NewMask>,
    #[serde(default)]
    others: Option<String>,
}

/// A mask in a body. The column is named, or given by its field id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NewMask {
    column: Option<String>,
    field_id: Option<i32>,
    action: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MaskEntry {
    field_id: i32,
    /// The column's name. Absent if the current schema does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    action: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct RestrictionEntry {
    principal_role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Box<RawValue>>,
    masks: Vec<MaskEntry>,
    others: &'static str,
    updated_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct RestrictionList {
    next_page_token: Option<String>,
    restrictions: Vec<RestrictionEntry>,
}

impl RestrictionEntry {
    fn new(record: RestrictionRecord, index: Option<&SchemaIndex<'_>>) -> Result<Self, ApiError> {
        let RestrictionRecord { role_name, restriction, updated_ms, .. } = record;
        let name = |id: i32| index.map(|index| index.full_name(id)).filter(|name| !name.is_empty());
        let mask = |(id, mask): (&i32, &Mask)| MaskEntry { field_id: *id, column: name(*id), action: mask.as_str() };
        let filter = restriction.filter_json().map(RawValue::from_string).transpose();
        Ok(Self {
            principal_role: role_name,
            filter: filter.map_err(|error| ApiError::internal(&error))?,
            masks: restriction.masks().iter().map(mask).collect(),
            others: restriction.others().as_str(),
            updated_ms,
        })
    }
}

/// Returns the index of the current schema, which names columns.
fn columns(table: &TableMetadata) -> Result<Option<SchemaIndex<'_>>, ApiError> {
    let index = table.schema(table.current_schema_id()).map(Schema::index).transpose();
    index.map_err(|error| ApiError::bad_request(error.to_string()))
}

impl NewRestriction {
    /// Names columns by id, and checks the restriction against the table's current schema.
    fn into_restriction(self, table: &TableMetadata) -> Result<Restriction, ApiError> {
        let invalid = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
        let masks = self.masks.into_iter().map(|NewMask { column, field_id, action }| {
            let column = match (column, field_id) {
                (Some(name), None) => ColumnReference::Name(name),
                (None, Some(id)) => ColumnReference::Id(id),
                _ => return Err(ApiError::bad_request("Give `column` or `field-id` of a mask")),
            };
            Ok((column, action.parse::<Mask>().map_err(|error| invalid(&error))?))
        });
        let masks = masks.collect::<Result<Vec<_>, _>>()?;
        let others = self.others.as_deref().map_or(Ok(Others::default()), str::parse);
        let schema =
            table.schema(table.current_schema_id()).ok_or_else(|| invalid(&"The table has no current schema"))?;
        let index = schema.index().map_err(|error| invalid(&error))?;
        let filter = self.filter.as_deref().map(RawValue::get);
        let restriction = Restriction::new(filter, &masks, others.map_err(AdminError::from)?, &index);
        Ok(restriction.map_err(AdminError::from)?)
    }
}

/// Finds the path's table, and checks that the caller may manage access to it.
async fn table(api: &Api, of: &AccessManager, ident: TableIdent) -> Result<Permit<ManageAccess, Table>, ApiError> {
    let (authorizer, warehouse) = of.authorizer()?;
    Ok(api.catalog.table_find(authorizer, warehouse, ident).await?)
}

/// Lists the restrictions on a table, a page at a time.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Named(ident): Named<TableIdent>,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<RestrictionList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let permit = table(&api, &of, ident).await?;
    let Page { items, more } = api.admin.restriction_list(of.warehouse_ref(), permit.record.id, &page).await?;
    let next_page_token = items.last().filter(|_| more).map(|last| token_after(&last.role_name));
    let loaded = api.catalog.table_to_restrict(&permit).await?;
    let columns = columns(&loaded.document.metadata)?;
    let entry = |record| RestrictionEntry::new(record, columns.as_ref());
    let restrictions = items.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Json(RestrictionList { next_page_token, restrictions }))
}

/// Returns the restriction of a principal role on a table.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Named(ident): Named<TableIdent>,
    parts: Parts,
) -> Result<Json<RestrictionEntry>, ApiError> {
    let permit = table(&api, &of, ident).await?;
    let role = named(&parts, "principal-role")?;
    let at = (&of.organisation, of.warehouse_ref());
    let record = api.admin.restriction_get(at, (permit.record.id, &role)).await?;
    let loaded = api.catalog.table_to_restrict(&permit).await?;
    let columns = columns(&loaded.document.metadata)?;
    Ok(Json(RestrictionEntry::new(record, columns.as_ref())?))
}

/// Sets the restriction of a principal role on a table.
pub(in crate::api) async fn set(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Named(ident): Named<TableIdent>,
    parts: Parts,
    Fields(new): Fields<NewRestriction>,
) -> Result<StatusCode, ApiError> {
    let permit = table(&api, &of, ident).await?;
    let role = named(&parts, "principal-role")?;
    let (loaded, owner) = (api.catalog.table_to_restrict(&permit).await?, of.organisation.id.0);
    let bytes = loaded.document.json.len() as u64;
    let check = move || new.into_restriction(&loaded.document.metadata);
    let restriction = api.heavy.run(owner, bytes, check).await??;
    let at = (&of.organisation, of.warehouse_ref());
    api.admin.restriction_set(at, (permit.record.id, &role), &restriction, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the restriction of a principal role on a table.
pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    of: AccessManager,
    Named(ident): Named<TableIdent>,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let permit = table(&api, &of, ident).await?;
    let role = named(&parts, "principal-role")?;
    let at = (&of.organisation, of.warehouse_ref());
    api.admin.restriction_remove(at, (permit.record.id, &role), &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the trusted engines.
pub(in crate::api) async fn engines(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(paging): Parameters<ListPaging>,
) -> Result<Json<PrincipalList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    Ok(Json(api.admin.trusted_engine_list(&of.organisation, &page).await?.into()))
}

/// Marks a principal as a trusted engine.
pub(in crate::api) async fn trust(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let principal = named(&parts, "principal")?;
    api.admin.trusted_engine_set(&of.organisation, &principal, true, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the mark of a trusted engine.
pub(in crate::api) async fn distrust(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let principal = named(&parts, "principal")?;
    api.admin.trusted_engine_set(&of.organisation, &principal, false, &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}
