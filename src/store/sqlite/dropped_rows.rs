//! Rows of dropped tables and views: how a drop writes them, and how a new table takes the location of one.

use rusqlite::{Connection, params};
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::convert::{id, kind_text};
use super::location_rows::location_forget;
use super::restricted::restrictions_copy;
use crate::store::{DropTerms, Result, TableKind, WarehouseRef};

/// Adds the row of a dropped table or view. Call it before the drop deletes the row in `tabular`.
pub(super) fn insert_dropped(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    dropped: TableId,
    kind: TableKind,
    terms: &DropTerms,
    now_ms: i64,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dropped (organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin,
                                  created_ms, updated_ms, dropped_ms, restorable_until_ms, purge, state, attempts, due_ms,
                                  owner, labels)
             SELECT organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin, created_ms,
                    updated_ms, ?5, ?6, ?7, 'kept', 0, max(?5, ?6), owner, labels
             FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = ?4",
        )?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            dropped.0.as_bytes(),
            kind_text(kind),
            now_ms,
            terms.restorable_until_ms,
            terms.purge && kind == TableKind::Table,
        ])?;
    Ok(())
}

/// Lists the dropped tables and views at exactly this location that give way to a new table or view: those whose files no purge
/// is removing or due to remove.
pub(super) fn replaceable(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    location: &Location,
    now_ms: i64,
) -> Result<Vec<TableId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM dropped WHERE organisation = ?1 AND warehouse = ?2 AND location = ?3
         AND (state = 'blocked' OR (state = 'kept' AND (purge = 0 OR due_ms > ?4)))",
    )?;
    let ids = statement.query_map(
        params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            location.as_str(),
            now_ms
        ],
        |row| Ok(id(TableId, row.get(0)?)),
    )?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Replaces the dropped tables and views at exactly this location by the stored table or view `by`. They can no longer be
/// restored, and their locations become free. Their files are never removed, since the new table may use them: so it gets their
/// restrictions.
pub(super) fn replace_dropped(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    by: TableId,
    location: &Location,
    now_ms: i64,
) -> Result<()> {
    for replaced in replaceable(connection, warehouse_ref, location, now_ms)? {
        connection
            .prepare_cached(
                "UPDATE dropped SET state = 'replaced', purge = 0, due_ms = max(restorable_until_ms, ?4),
                                    message = (SELECT 'Its location was given to ' || kind || ' '
                                                      || replace(namespace, char(31), '.') || '.' || name
                                               FROM tabular WHERE organisation = ?1 AND id = ?3)
                 WHERE organisation = ?1 AND id = ?2",
            )?
            .execute(params![
                warehouse_ref.organisation.0.as_bytes(),
                replaced.0.as_bytes(),
                by.0.as_bytes(),
                now_ms
            ])?;
        location_forget(connection, warehouse_ref.organisation, replaced)?;
        restrictions_copy(connection, warehouse_ref.organisation, (replaced, by))?;
    }
    Ok(())
}
