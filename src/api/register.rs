//! `POST .../register` and `POST .../tables/{table}/unregister`: tables whose metadata exists.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidewater_core::commit::RegisterTable;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestKind;

use super::Api;
use super::body::Body;
use super::caller::{Scope, Write};
use super::delegation::{self, Delegated};
use super::error::ApiError;
use super::load_result;
use super::path::Named;
use crate::catalog::CatalogError;

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(namespace): Named<NamespaceIdent>,
    delegated: Delegated,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.parse(&api, RequestKind::Other, RegisterTable::parse).await?;
    let ident = TableIdent::new(namespace.clone(), &request.name).map_err(CatalogError::from)?;
    scope.note_object(ident.name());
    let max_tables = scope.caller.tier().max_tables;
    let table = match scope.once.document() {
        Some(kept) => api.catalog.table_again(&scope.warehouse, kept).await?,
        None => {
            let change = scope.change(&api);
            api.catalog.table_register(&scope.warehouse, &namespace, request, max_tables, &change).await?
        }
    };
    let vended = delegation::after_change(&api, &scope, delegated, &ident, &table).await;
    Ok(load_result::created(&table, &vended))
}

pub(super) async fn unregister(
    State(api): State<Arc<Api>>,
    scope: Scope<Write>,
    Named(ident): Named<TableIdent>,
) -> Result<Response, ApiError> {
    let document = match scope.once.document() {
        Some(kept) => api.catalog.table_again(&scope.warehouse, kept).await?.document,
        None => api.catalog.table_unregister(&scope.warehouse, ident, &scope.change(&api)).await?,
    };
    Ok(load_result::unregistered(&document))
}
