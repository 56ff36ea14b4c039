//! Reads a table or view by its name.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use tidewater_core::ids::{PrincipalId, TableId};
use tidewater_core::name::TableIdent;

use super::convert::{id, kind};
use crate::store::labels::labels_of_column;
use crate::store::{Result, TableRecord, WarehouseRef};

/// The statement of every load, so it has to stay fast.
pub(super) const GET: &str = "SELECT id, kind, metadata_location, owner, labels FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4";

pub(super) fn record_at(row: &Row<'_>) -> Result<TableRecord> {
    Ok(TableRecord {
        id: id(TableId, row.get(0)?),
        kind: kind(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        metadata_location: row.get(2)?,
        owner: row.get::<_, Option<[u8; 16]>>(3)?.map(|owner| id(PrincipalId, owner)),
        labels: labels_of_column(row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?)?.map(Arc::new),
    })
}

pub(super) fn table_get(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
) -> Result<Option<TableRecord>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        ident.namespace.as_key(),
        ident.name(),
    ])?;
    rows.next()?.map(record_at).transpose()
}
