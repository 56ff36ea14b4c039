//! Tables: create, load, list, rename, drop. Commits are in `commit.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tidewater_core::commit::CreateTable;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::{Body, Parameters};
use super::caller::{Read, Scope, Write};
use super::delegation::{self, Delegated};
use super::entity_tag::{EntityTag, KnownTags, Snapshots};
use super::error::ApiError;
use super::load_result;
use super::namespaces::levels;
use super::paging::{Paging, token_after};
use super::path::Named;
use crate::catalog::{CatalogError, CreatedTable};
use crate::store::Page;
use crate::vending::Vended;

/// A table's or view's name in a body.
#[derive(Serialize, Deserialize)]
pub(super) struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl Identifier {
    pub(super) const fn new(namespace: Vec<String>, name: String) -> Self {
        Self { namespace, name }
    }

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

/// How long the answer to a purge waits for files that go at once: clients of other catalogs expect them to be gone, and
/// their place to be free. Those of most tables are by then.
pub(super) const PURGE_WAIT: Duration = Duration::from_secs(2);

/// Whether files are to be removed.
#[derive(Deserialize)]
pub(super) struct Purge {
    #[serde(rename = "purgeRequested")]
    requested: Option<String>,
}

impl Purge {
    /// What is asked for, if anything is. Clients send it in any case: PyIceberg `False`, others `false`.
    ///
    /// # Errors
    /// 400 when it is neither true nor false.
    pub(super) fn requested(&self) -> Result<Option<bool>, ApiError> {
        match self.requested.as_deref() {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::bad_request("purgeRequested must be true or false")),
        }
    }

    /// Whether they are; not, unless it is said.
    fn is_requested(&self) -> Result<bool, ApiError> {
        self.requested().map(|requested| requested.unwrap_or(false))
    }
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
    delegated: Delegated,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Create, CreateTable::parse).await?;
    let ident = TableIdent::new(namespace.clone(), &request.name).map_err(CatalogError::from)?;
    scope.note_object(ident.name());
    let max_tables = scope.caller.tier().max_tables;
    if let Some(kept) = scope.once.document() {
        let table = api.catalog.table_again(&scope.warehouse, kept).await?;
        let vended = delegation::after_change(&api, &scope, delegated, &ident, &table).await;
        return Ok(load_result::created(&table, &vended));
    }
    match api.catalog.table_create(&scope.warehouse, &namespace, request, max_tables, &scope.change(&api)).await? {
        CreatedTable::Created(table) => {
            let vended = delegation::after_change(&api, &scope, delegated, &ident, &table).await;
            Ok(load_result::created(&table, &vended))
        }
        CreatedTable::Staged(table, locations) => {
            let vended = delegation::of_staged(&api, &scope, delegated, &ident, &locations).await?;
            let (owner, bytes) = (body.owner(), body.bytes.len() as u64);
            Ok(api.heavy.run(owner, bytes, move || load_result::staged(&table, &vended)).await?)
        }
    }
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
    known: KnownTags,
    delegated: Delegated,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, ApiError> {
    let snapshots = Snapshots::parse(wanted.snapshots.as_deref())?;
    let table = api.catalog.table_load(&scope.warehouse, &ident).await?;
    let tag = EntityTag::of(&table.document, snapshots);
    if known.hold(&tag) {
        return Ok(tag.put(load_result::not_modified()));
    }
    // What few loads need is boxed: the future of the others is moved several times, whole.
    let vended = match scope.warehouse.vendor.is_none() {
        true => Vended::default(),
        false => Box::pin(delegation::of_table(&api, &scope, delegated, &ident, &table)).await?,
    };
    match snapshots {
        Snapshots::All => Ok(load_result::loaded(&table.document.load_result, &vended, tag)),
        Snapshots::Refs => {
            let refs = Box::pin(api.catalog.load_result_of_refs(&scope.warehouse, &table)).await?;
            Ok(load_result::loaded(&refs, &vended, tag))
        }
    }
}

/// Credentials alone, for clients whose own are about to expire.
pub(super) async fn credentials(
    State(api): State<Arc<Api>>,
    scope: Scope<Read>,
    Named(ident): Named<TableIdent>,
    delegated: Delegated,
) -> Result<Response, ApiError> {
    let table = api.catalog.table_load(&scope.warehouse, &ident).await?;
    let vended = delegation::of_table(&api, &scope, delegated, &ident, &table).await?;
    Ok(load_result::credentials(&vended))
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
    Parameters(purge): Parameters<Purge>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        let purge = purge.is_requested()?;
        let id = api.catalog.table_drop(&scope.warehouse, &ident, purge, &scope.change(&api)).await?;
        if purge && api.catalog.purges_at_once(&scope.warehouse) {
            api.maintenance.wake_and_wait(scope.warehouse.place, id, PURGE_WAIT).await;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json(&api, RequestKind::Other).await?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    scope.note_object(format_args!("{from} to {to}"));
    if !scope.once.is_done() {
        api.catalog.table_rename(&scope.warehouse, &from, &to, &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
