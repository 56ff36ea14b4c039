//! `/management/v1/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/preview`: the first rows of a table.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use tidewater_core::name::TableIdent;

use crate::access::action::ReadTableData;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::path::Named;
use crate::api::permission::Scope;
use crate::api::security_headers::NO_STORE;
use crate::upkeep::{Preview, PreviewColumn};

/// The first rows of a table.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PreviewEntry {
    columns: Vec<ColumnEntry>,
    /// The names of columns that are not shown.
    left_out: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    deletes_applied: bool,
    partial: bool,
}

#[derive(Serialize)]
struct ColumnEntry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl From<PreviewColumn> for ColumnEntry {
    fn from(PreviewColumn { name, kind }: PreviewColumn) -> Self {
        Self { name, kind }
    }
}

impl From<Preview> for PreviewEntry {
    fn from(Preview { columns, left_out, rows, has_deletes, is_partial }: Preview) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { columns, left_out, rows, deletes_applied: has_deletes, partial: is_partial }
    }
}

/// Shows the first rows of a table, to a caller who may read its data.
pub(in crate::api) async fn show(
    State(api): State<Arc<Api>>,
    scope: Scope<ReadTableData>,
    Named(ident): Named<TableIdent>,
) -> Result<impl IntoResponse, ApiError> {
    let table = scope.table(&api, ident).await?;
    if api.preview_rows == 0 {
        return Err(ApiError::forbidden("The preview of rows is turned off on this server (console.preview_rows)"));
    }
    let rows = usize::try_from(api.preview_rows).unwrap_or(usize::MAX);
    let preview = PreviewEntry::from(api.upkeep.preview(&table, rows, &api.heavy).await?);
    Ok(([(CACHE_CONTROL, NO_STORE)], Json(preview)))
}
