//! Rows of dropped tables and views: how a drop writes them, and how a new table takes the location of one.

use rusqlite::{Connection, params};
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::convert::{id, kind_text};
use super::location_rows::location_forget;
use crate::store::{DropTerms, Place, Result, TableKind};

/// Keeps what is about to leave `tabular`.
pub(super) fn keep(
    connection: &Connection,
    place: Place,
    ident: &TableIdent,
    kind: TableKind,
    terms: &DropTerms,
    now_ms: i64,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dropped (organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin,
                                  created_ms, updated_ms, dropped_ms, restorable_until_ms, purge, state, attempts, due_ms,
                                  owner)
             SELECT organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin, created_ms,
                    updated_ms, ?6, ?7, ?8, 'kept', 0, max(?6, ?7), owner
             FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5",
        )?
        .execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            ident.namespace.as_key(),
            ident.name(),
            kind_text(kind),
            now_ms,
            terms.restorable_until_ms,
            terms.purge && kind == TableKind::Table,
        ])?;
    Ok(())
}

/// Those that were dropped at exactly that location and give way to a new table or view: nobody removes their files, and
/// none are due to be.
pub(super) fn replaceable(
    connection: &Connection,
    place: Place,
    location: &Location,
    now_ms: i64,
) -> Result<Vec<TableId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM dropped WHERE organisation = ?1 AND warehouse = ?2 AND location = ?3
         AND (state = 'blocked' OR (state = 'kept' AND (purge = 0 OR due_ms > ?4)))",
    )?;
    let ids = statement.query_map(
        params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), location.as_str(), now_ms],
        |row| Ok(id(TableId, row.get(0)?)),
    )?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Lets the table or view `by`, which is stored, take the place of those that were dropped at exactly its own location.
/// They can no longer be restored, their locations are free, and none of their files is ever removed: they may be the new
/// table's by then.
pub(super) fn replace_dropped(
    connection: &Connection,
    place: Place,
    by: TableId,
    location: &Location,
    now_ms: i64,
) -> Result<()> {
    for replaced in replaceable(connection, place, location, now_ms)? {
        connection
            .prepare_cached(
                "UPDATE dropped SET state = 'replaced', purge = 0, due_ms = max(restorable_until_ms, ?4),
                                    message = (SELECT 'Its location was given to ' || kind || ' '
                                                      || replace(namespace, char(31), '.') || '.' || name
                                               FROM tabular WHERE organisation = ?1 AND id = ?3)
                 WHERE organisation = ?1 AND id = ?2",
            )?
            .execute(params![place.organisation.0.as_bytes(), replaced.0.as_bytes(), by.0.as_bytes(), now_ms])?;
        location_forget(connection, place.organisation, replaced)?;
    }
    Ok(())
}
