//! Reads tables and views by their names, and converts the columns of their rows.

use std::sync::Arc;

use tidewater_core::ids::{PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::digests::namespace_digest;
use super::params::params;
use crate::store::labels::labels_of_column;
use crate::store::{Resource, Result, StoreError, TableKind, TableRecord, WarehouseRef};

/// The statement of every load, so it has to stay fast. The organisation's generation comes first, then the columns of
/// [`record_at`], which are NULL if there is no such table.
pub(super) const GET: &str = "SELECT state.generation, tabular.id, kind, metadata_location, owner, labels
    FROM organisation_state AS state
    LEFT JOIN tabular ON tabular.organisation = $1 AND warehouse = $2 AND namespace_digest = $5 AND namespace = $3 AND name = $4
    WHERE state.organisation = $1";

/// Reads a table or view from the columns id, kind, metadata_location, owner and labels, the first of which is `first`.
pub(super) fn record_at(row: &Row, first: usize) -> Result<Option<TableRecord>> {
    let Some(id) = get::<Option<Uuid>>(row, first)? else { return Ok(None) };
    Ok(Some(TableRecord {
        id: TableId(id),
        kind: kind(get(row, first + 1)?)?,
        metadata_location: get(row, first + 2)?,
        owner: get::<Option<Uuid>>(row, first + 3)?.map(PrincipalId),
        labels: labels_of_column(get(row, first + 4)?)?.map(Arc::new),
    }))
}

/// Returns the kind of the table or view that has a name.
pub(super) async fn kind_of_name(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
) -> std::result::Result<Option<TableKind>, Failure> {
    let row = transaction
        .query_first(
            "SELECT kind FROM tabular
             WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = $5 AND namespace = $3 AND name = $4",
            params![
                warehouse_ref.organisation.0,
                warehouse_ref.warehouse.0,
                ident.namespace.as_key(),
                ident.name(),
                namespace_digest(&ident.namespace)
            ],
        )
        .await?;
    Ok(row.map(|row| kind(get(&row, 0)?)).transpose()?)
}

/// Returns the text of a kind in its column.
pub(super) const fn kind_text(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
    }
}

/// Parses a kind from its column.
pub(super) fn kind(text: &str) -> Result<TableKind> {
    match text {
        "table" => Ok(TableKind::Table),
        "view" => Ok(TableKind::View),
        other => Err(StoreError::Corrupt(format!("tabular.kind: '{other}' is neither table nor view"))),
    }
}

/// Returns the resource of a kind, for errors.
pub(super) const fn resource(kind: TableKind) -> Resource {
    match kind {
        TableKind::Table => Resource::Table,
        TableKind::View => Resource::View,
    }
}

/// Parses a namespace from its column.
pub(super) fn namespace(key: &str) -> Result<NamespaceIdent> {
    NamespaceIdent::from_key(key).map_err(|error| StoreError::Corrupt(format!("namespace.key: {error}")))
}
