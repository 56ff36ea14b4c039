//! Tables: create, load, list, rename, drop. Commits are in `commit.rs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tidewater_core::access::Action;
use tidewater_core::commit::CreateTable;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::Api;
use super::body::{Body, Parameters};
use super::caller::{Read, Scope, Write};
use super::entity_tag::{EntityTag, KnownTags, Snapshots};
use super::error::ApiError;
use super::load_result;
use super::namespaces::levels;
use super::paging::{Paging, token_after};
use super::path::Named;
use crate::catalog::{CatalogError, CreatedTable};
use crate::store::Page;
use crate::vending::Access;

/// A table's or view's name in a body.
#[derive(Serialize, Deserialize)]
pub(super) struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl Identifier {
    pub(super) fn ident(&self) -> Result<TableIdent, ApiError> {
        let namespace = NamespaceIdent::new(&self.namespace);
        let ident = namespace.and_then(|namespace| TableIdent::new(namespace, &self.name));
        ident.map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TableList {
    next_page_token: Option<String>,
    identifiers: Vec<Identifier>,
}

impl TableList {
    /// A page of the names in a namespace.
    pub(super) fn of(namespace: &NamespaceIdent, page: Page<String>) -> Self {
        let next_page_token = page.items.last().filter(|_| page.more).map(|last| token_after(last));
        let levels = levels(namespace);
        let identifiers = page.items.into_iter().map(|name| Identifier { namespace: levels.clone(), name }).collect();
        Self { next_page_token, identifiers }
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    snapshots: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Rename {
    pub(super) source: Identifier,
    pub(super) destination: Identifier,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<TableList>, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let page = api.catalog.table_list(&scope.warehouse, &namespace, &page).await?;
    Ok(Json(TableList::of(&namespace, page)))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(namespace): Named<NamespaceIdent>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = CreateTable::parse(&body.0).map_err(CatalogError::from)?;
    let max_tables = scope.caller.tier().max_tables;
    if let Some(location) = scope.once.document() {
        let table = api.catalog.table_at(&scope.warehouse, location).await?;
        return load_result::created(&table);
    }
    match api.catalog.table_create(&scope.warehouse, &namespace, request, max_tables, scope.once.receipt()).await? {
        CreatedTable::Created(table) => load_result::created(&table),
        CreatedTable::Staged(table, locations) => load_result::staged(&table, &locations),
    }
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
    known: KnownTags,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, ApiError> {
    let snapshots = Snapshots::parse(wanted.snapshots.as_deref())?;
    let table = api.catalog.table_load(&scope.warehouse, &ident).await?;
    let tag = EntityTag::of(&table.document, snapshots);
    if known.hold(&tag) {
        return Ok(tag.put(StatusCode::NOT_MODIFIED.into_response()));
    }
    load_result::loaded(&table, access_of(&scope), snapshots, tag)
}

/// Credentials alone, for clients whose own are about to expire.
pub(super) async fn credentials(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
) -> Result<Response, ApiError> {
    let table = api.catalog.table_load(&scope.warehouse, &ident).await?;
    load_result::credentials(&table, access_of(&scope))
}

fn access_of(scope: &Scope<Read>) -> Access {
    if scope.caller.role().allows(Action::Write) { Access::ReadWrite } else { Access::Read }
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    api.catalog.table_record(&scope.warehouse, &ident).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        api.catalog.table_drop(&scope.warehouse, &ident, scope.once.receipt()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json()?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    if !scope.once.is_done() {
        api.catalog.table_rename(&scope.warehouse, &from, &to, scope.once.receipt()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
