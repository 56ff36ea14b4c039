//! Tables: create, load, list, rename, drop. Commits are in `commit.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use serde::Deserialize;
use tidewater_core::commit::CreateTable;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::additions::{self, Additions};
use super::body::{Body, Parameters};
use super::delegation::{self, Delegated};
use super::entity_tag::{EntityTag, KnownTags, Snapshots};
use super::error::ApiError;
use super::list_body::ListBody;
use super::load_result;
use super::paging::Paging;
use super::path::Named;
use super::permission::Scope;
use super::referenced_by;
use super::requests::{PURGE_WAIT, Purge, Rename};
use super::security_headers::NO_STORE;
use crate::access::action;
use crate::catalog::{CatalogError, CreatedTable};
use crate::metadata::LoadResult;
use crate::store::TableKind;

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    snapshots: Option<String>,
    #[serde(rename = "referenced-by")]
    referenced_by: Option<String>,
}

/// The query of a request for credentials. `planId`, the plan that they are for, is ignored: they are the same for every plan.
#[derive(Deserialize)]
pub(super) struct Through {
    #[serde(rename = "referenced-by")]
    referenced_by: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ListTables>,
    Named(namespace): Named<NamespaceIdent>,
    Parameters(paging): Parameters<Paging>,
) -> Result<ListBody, ApiError> {
    let page = paging.request(api.settings.default_page_size)?;
    let namespace = scope.namespace(namespace)?;
    let page = api.catalog.table_list(&namespace, &page).await?;
    Ok(ListBody::of_tables(&namespace.ident, &page))
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CreateTable>,
    Named(namespace): Named<NamespaceIdent>,
    delegated: Delegated,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Create, CreateTable::parse).await?;
    let scope = scope.present(&api).await?;
    let ident = TableIdent::new(namespace.clone(), &request.name).map_err(CatalogError::from)?;
    scope.note_object(ident.name());
    if let Some(kept) = scope.once.document() {
        let answered = scope.answered(ident.clone(), TableKind::Table, kept)?;
        let table = api.catalog.table_again(&answered).await?;
        let vended = delegation::vend_after_change(&api, &answered, delegated, &ident, &table).await;
        return Ok(delegation::mark(
            &answered,
            None,
            &vended,
            load_result::created(&answered.warehouse, &table, &vended),
        ));
    }
    let namespace = scope.namespace(namespace)?;
    match api.catalog.table_create(&namespace, request, &scope.change(&api)).await? {
        CreatedTable::Created(table) => {
            let vended = delegation::vend_after_change(&api, &namespace, delegated, &ident, &table).await;
            Ok(delegation::mark(&namespace, None, &vended, load_result::created(&namespace.warehouse, &table, &vended)))
        }
        CreatedTable::Staged(table, locations) => {
            let vended = delegation::vend_for_staged(&api, &namespace, delegated, &ident, &locations).await?;
            let (owner, bytes) = (body.owner(), body.bytes.len() as u64);
            let (gives, warehouse) = (Arc::clone(&vended), Arc::clone(&namespace.warehouse));
            let answer = api.heavy.run(owner, bytes, move || load_result::staged(&warehouse, &table, &vended)).await?;
            Ok(delegation::mark(&namespace, None, &gives, answer))
        }
    }
}

pub(super) async fn load(
    State(api): State<Arc<Api>>,
    scope: Scope<action::LoadTable>,
    Named(ident): Named<TableIdent>,
    known: KnownTags,
    delegated: Delegated,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, ApiError> {
    let snapshots = Snapshots::parse(wanted.snapshots.as_deref())?;
    // This is on the way of most requests: the parts of the scope are moved, not cloned.
    let permit = match wanted.referenced_by.as_deref() {
        None => api.catalog.table_find(scope.authorizer, scope.warehouse, ident).await?,
        Some(views) => {
            let views = referenced_by::parse(views)?;
            Box::pin(api.catalog.table_find_through(scope.authorizer, scope.warehouse, ident, &views)).await?
        }
    };
    let table = api.catalog.table_load(&permit).await?;
    let tag = EntityTag::from_document(&table.document, snapshots);
    let tag = match permit.warehouse.vendor.is_none() {
        true => tag,
        false => tag.with_access(permit.storage_access()),
    };
    let mut tag = tag.with_planning_mode(permit.warehouse.options.scan_planning);
    // Boxed for the same reason as below. Looking for restrictions and labels is a search in memory.
    let restriction = permit.restriction();
    let additions = match restriction.is_some() || additions::labelled(&permit).may_have_any() {
        false => None,
        true => Some(Box::pin(Additions::new(&api, &permit, &table, restriction)).await?),
    };
    if let Some(additions) = &additions {
        tag = additions.tag(tag);
    }
    if known.contain(&tag) {
        return Ok(tag.put(load_result::not_modified()));
    }
    // Boxed because few loads need it: it would enlarge the future of all others, which is moved several times.
    let vended = match permit.warehouse.vendor.is_none() {
        true => None,
        false => Some(Box::pin(delegation::vend_for_table(&api, &permit, delegated, &permit.ident, &table)).await?),
    };
    let (vended, mode) = (vended.as_deref(), load_result::planning_mode(&permit.warehouse, &table.document.metadata));
    let answer = |result: &LoadResult| match &additions {
        None => load_result::loaded(result, vended, mode, tag),
        Some(additions) => additions.answer(result, vended, mode, tag),
    };
    let answer = match snapshots {
        Snapshots::All => answer(&table.document.load_result),
        Snapshots::Refs => {
            let refs = Box::pin(api.catalog.load_result_of_refs(&permit.warehouse, &table)).await?;
            answer(&refs)
        }
    };
    Ok(match vended {
        None => answer,
        Some(vended) => delegation::mark(&permit, Some(permit.record.id), vended, answer),
    })
}

/// Returns only credentials, for clients whose credentials are about to expire.
pub(super) async fn credentials(
    State(api): State<Arc<Api>>,
    scope: Scope<action::ReadTableData>,
    Named(ident): Named<TableIdent>,
    delegated: Delegated,
    Parameters(through): Parameters<Through>,
) -> Result<Response, ApiError> {
    let views = through.referenced_by.as_deref().map_or(Ok(Vec::new()), referenced_by::parse)?;
    let find = |authorizer, warehouse| api.catalog.table_find_through(authorizer, warehouse, ident.clone(), &views);
    let permit = scope.decided(&api, find).await?;
    let table = api.catalog.table_files(&permit).await?;
    let vended = delegation::vend_for_table(&api, &permit, delegated, &permit.ident, &table).await?;
    let mut response = load_result::credentials(&vended);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    Ok(delegation::mark(&permit, Some(permit.record.id), &vended, response))
}

pub(super) async fn exists(
    State(api): State<Arc<Api>>,
    scope: Scope<action::CheckTable>,
    Named(ident): Named<TableIdent>,
) -> Result<StatusCode, ApiError> {
    scope.table(&api, ident).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    scope: Scope<action::DropTable>,
    Named(ident): Named<TableIdent>,
    Parameters(purge): Parameters<Purge>,
) -> Result<StatusCode, ApiError> {
    if !scope.once.is_done() {
        let purge = purge.is_requested()?;
        let table = scope.table(&api, ident).await?;
        let id = api.catalog.table_drop(&table, purge, &scope.change(&api)).await?;
        if purge && api.catalog.purges_at_once(&table.warehouse) {
            api.maintenance.wake_and_wait(table.warehouse.warehouse_ref, id, PURGE_WAIT).await;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Renames a table. The caller must also be allowed to create tables in the new name's namespace.
pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    scope: Scope<action::RenameTable>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let request: Rename = body.json(&api, RequestKind::Other).await?;
    let scope = scope.present(&api).await?;
    let (from, to) = (request.source.ident()?, request.destination.ident()?);
    scope.note_object(format_args!("{from} to {to}"));
    if !scope.once.is_done() {
        let table = scope.table(&api, from).await?;
        let namespace = scope.namespace_for::<action::CreateTable>(to.namespace.clone())?;
        api.catalog.table_rename(&table, (&namespace, to.name()), &scope.change(&api)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
