//! `POST .../register` and `POST .../tables/{table}/unregister`: adds an existing table to the catalog, or removes it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidewater_core::commit::RegisterTable;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::Body;
use super::delegation::{self, Delegated};
use super::error::ApiError;
use super::load_result;
use super::path::Named;
use super::permission::Scope;
use crate::access::action;
use crate::catalog::CatalogError;
use crate::store::TableKind;

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    scope: Scope<action::RegisterTable>,
    Named(namespace): Named<NamespaceIdent>,
    delegated: Delegated,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Other, RegisterTable::parse).await?;
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
    let table = api.catalog.table_register(&namespace, request, &scope.change(&api)).await?;
    let vended = delegation::vend_after_change(&api, &namespace, delegated, &ident, &table).await;
    Ok(delegation::mark(&namespace, None, &vended, load_result::created(&namespace.warehouse, &table, &vended)))
}

pub(super) async fn unregister(
    State(api): State<Arc<Api>>,
    scope: Scope<action::UnregisterTable>,
    Named(ident): Named<TableIdent>,
) -> Result<Response, ApiError> {
    let document = match scope.once.document() {
        Some(kept) => api.catalog.table_again(&scope.answered(ident, TableKind::Table, kept)?).await?.document,
        None => {
            let table = scope.table(&api, ident).await?;
            api.catalog.table_unregister(table, &scope.change(&api)).await?
        }
    };
    Ok(load_result::unregistered(&document))
}
