//! Namespaces, tables and views for administrators of their organisation:
//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/namespaces` and `tables`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::administrator::WarehouseContents;
use super::fields::Fields;
use super::paging::ListPaging;
use crate::admin::{CheckedTable, Finding};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::namespaces::levels;
use crate::api::paging::token_after;
use crate::api::path::PathParameters;
use crate::api::requests::{Identifier, namespace_parameter};
use crate::store::{Properties, TableKind, TableRecord};

#[derive(Deserialize)]
pub(in crate::api) struct Below {
    parent: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct NamespaceList {
    next_page_token: Option<String>,
    namespaces: Vec<Vec<String>>,
}

#[derive(Serialize)]
pub(in crate::api) struct NamespaceEntry {
    namespace: Vec<String>,
    properties: Properties,
    namespaces: Vec<Vec<String>>,
    tables: Vec<String>,
    views: Vec<String>,
}

#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    namespace: String,
    name: Option<String>,
    kind: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TableEntry {
    name: String,
    id: TableId,
    metadata_location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct TableList {
    next_page_token: Option<String>,
    tables: Vec<TableEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct CheckRequest {
    kind: Option<String>,
    identifier: Option<Identifier>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FindingEntry {
    identifier: Identifier,
    metadata_location: String,
    problems: Vec<String>,
    newer_document: Option<String>,
}

impl From<Finding> for FindingEntry {
    fn from(one: Finding) -> Self {
        Self {
            identifier: Identifier::new(levels(&one.ident.namespace), one.ident.name().to_owned()),
            metadata_location: one.metadata_location,
            problems: one.problems,
            newer_document: one.newer_document.map(|path| path.display().to_string()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Checked {
    checked: usize,
    next_page_token: Option<String>,
    findings: Vec<FindingEntry>,
}

/// Lists the top-level namespaces, or those directly below a namespace.
pub(in crate::api) async fn namespaces(
    State(api): State<Arc<Api>>,
    WarehouseContents(of): WarehouseContents,
    Parameters(paging): Parameters<ListPaging>,
    Parameters(Below { parent }): Parameters<Below>,
) -> Result<Json<NamespaceList>, ApiError> {
    let parent = parent.as_deref().filter(|parent| !parent.is_empty()).map(namespace_parameter).transpose()?;
    let page = paging.request(api.settings.default_page_size)?;
    let found = api.admin.namespace_list(of.warehouse.warehouse_ref, parent.as_ref(), &page).await?;
    let next_page_token = found.items.last().filter(|_| found.more).map(|last| token_after(last.as_key()));
    Ok(Json(NamespaceList { next_page_token, namespaces: found.items.iter().map(levels).collect() }))
}

/// Shows a namespace's properties, and the first page of its child namespaces, tables and views.
pub(in crate::api) async fn namespace(
    State(api): State<Arc<Api>>,
    WarehouseContents(of): WarehouseContents,
    parts: Parts,
) -> Result<Json<NamespaceEntry>, ApiError> {
    let ident = PathParameters::from_parts(&parts).namespace()?;
    let found = api.admin.namespace_show(of.warehouse.warehouse_ref, &ident).await?;
    Ok(Json(NamespaceEntry {
        namespace: levels(&ident),
        properties: found.properties,
        namespaces: found.namespaces.iter().map(levels).collect(),
        tables: found.tables,
        views: found.views,
    }))
}

/// Lists the tables or views of a namespace. With a name, returns only that table or view, with its metadata.
pub(in crate::api) async fn tables(
    State(api): State<Arc<Api>>,
    WarehouseContents(of): WarehouseContents,
    Parameters(paging): Parameters<ListPaging>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<TableList>, ApiError> {
    let (namespace, kind) = (namespace_parameter(&wanted.namespace)?, kind(wanted.kind.as_deref())?);
    if let Some(name) = &wanted.name {
        let ident = ident(namespace, name)?;
        let (record, json) = api.admin.table_show(&of.warehouse, &ident, kind).await?;
        let text = String::from_utf8(json.to_vec()).map_err(|error| ApiError::internal(&error))?;
        let metadata = Some(RawValue::from_string(text).map_err(|error| ApiError::internal(&error))?);
        let (name, metadata_location) = (ident.name().to_owned(), record.metadata_location);
        let table = TableEntry { name, id: record.id, metadata_location, metadata };
        return Ok(Json(TableList { next_page_token: None, tables: vec![table] }));
    }
    let page = paging.request(api.settings.default_page_size)?;
    let (found, next) = api.admin.table_list(of.warehouse.warehouse_ref, &namespace, kind, &page).await?;
    let entry = |(name, record): (String, TableRecord)| TableEntry {
        name,
        id: record.id,
        metadata_location: record.metadata_location,
        metadata: None,
    };
    let next_page_token = next.as_deref().map(token_after);
    Ok(Json(TableList { next_page_token, tables: found.into_iter().map(entry).collect() }))
}

/// Checks that every engine can read the metadata of a table or view, or of a page of the warehouse's tables or views.
pub(in crate::api) async fn check(
    State(api): State<Arc<Api>>,
    WarehouseContents(of): WarehouseContents,
    Parameters(paging): Parameters<ListPaging>,
    Fields(request): Fields<CheckRequest>,
) -> Result<Json<Checked>, ApiError> {
    let kind = kind(request.kind.as_deref())?;
    let page = paging.request(api.settings.default_page_size)?;
    let CheckedTable { checked, findings, next } = match &request.identifier {
        Some(identifier) => api.admin.table_check(&of.warehouse, &identifier.ident()?, kind).await?,
        None => api.admin.table_check_all(&of.warehouse, kind, &page).await?,
    };
    let findings = findings.into_iter().map(FindingEntry::from).collect();
    Ok(Json(Checked { checked, next_page_token: next.as_deref().map(token_after), findings }))
}

fn ident(namespace: NamespaceIdent, name: &str) -> Result<TableIdent, ApiError> {
    TableIdent::new(namespace, name).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn kind(name: Option<&str>) -> Result<TableKind, ApiError> {
    match name {
        None | Some("table") => Ok(TableKind::Table),
        Some("view") => Ok(TableKind::View),
        Some(_) => Err(ApiError::bad_request("kind must be table or view")),
    }
}
