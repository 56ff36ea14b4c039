//! Changes of several tables as one.

use rusqlite::Connection;

use super::tables::{check_limit, check_location_is_free, check_pointer, insert, move_pointer};
use crate::store::{NewTable, Place, Result, StoreError, Swap, TableChange, TableKind};

/// All of the changes, or an error that undoes them.
pub(super) fn table_transact(
    connection: &Connection,
    place: Place,
    changes: &[TableChange],
    max_tables: Option<u64>,
) -> Result<()> {
    let mut moved = Vec::new();
    let mut creates = false;
    for (at, change) in changes.iter().enumerate() {
        if make(connection, place, change).map_err(in_transaction(at))? {
            moved.push(at);
        }
        creates |= matches!(change, TableChange::Create { .. });
    }
    // Only now, since a location may pass from one table to another.
    for at in moved {
        let (TableChange::Create { id, location, .. } | TableChange::Swap { id, location, .. }) = &changes[at] else {
            continue;
        };
        check_location_is_free(connection, place, *id, location).map_err(in_transaction(at))?;
    }
    check_limit(connection, place.organisation, max_tables.filter(|_| creates))
}

/// Makes one change. Gives whether the table's files are at a location where they were not.
fn make(connection: &Connection, place: Place, change: &TableChange) -> Result<bool> {
    match change {
        TableChange::Create { id, ident, metadata_location, location, now_ms } => {
            let (id, kind, now_ms) = (*id, TableKind::Table, *now_ms);
            let takes_over = false;
            insert(connection, place, &NewTable { id, ident, kind, metadata_location, location, takes_over, now_ms })?;
            Ok(true)
        }
        TableChange::Swap { id, expected, new, location, now_ms } => {
            let (takes_over, now_ms) = (false, *now_ms);
            move_pointer(connection, place, &Swap { id: *id, expected, new, location, takes_over, now_ms })
        }
        TableChange::Keep { id, expected } => check_pointer(connection, place, *id, expected).map(|()| false),
    }
}

/// Says which change was in the way; that the database fails is no change's fault.
fn in_transaction(at: usize) -> impl Fn(StoreError) -> StoreError {
    move |error| match error {
        error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => error,
        error => StoreError::InTransaction { at, error: Box::new(error) },
    }
}
