//! Changes of several tables in one transaction.

use rusqlite::Connection;
use tidewater_core::location::Location;

use super::dropped_rows::replace_dropped;
use super::location_rows::check_free;
use super::pointers::{check_limit, check_pointer, insert, move_pointer_and_tell};
use crate::store::{Change, NewTable, Origin, Result, StoreError, Swap, TableChange, TableKind, WarehouseRef};

/// Makes all of the changes. The caller undoes the transaction after an error.
pub(super) fn table_transact(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    changes: &[TableChange],
    max_tables: Option<u64>,
    change: &Change,
) -> Result<()> {
    let mut moved = Vec::new();
    let mut creates = false;
    for (at, part) in changes.iter().enumerate() {
        let before = apply_change(connection, warehouse_ref, part, change).map_err(in_transaction(at))?;
        moved.extend(before.map(|before| (at, before)));
        creates |= matches!(part, TableChange::Create { .. });
    }
    // Checked after all changes, since a location may pass from one table to another.
    for (at, before) in moved {
        let (TableChange::Create { id, locations, .. } | TableChange::Swap { id, locations, .. }) = &changes[at] else {
            continue;
        };
        replace_dropped(connection, warehouse_ref, *id, locations.own(), change.at_ms)?;
        check_free(connection, warehouse_ref, *id, locations.beyond(&before)).map_err(in_transaction(at))?;
    }
    check_limit(connection, warehouse_ref.organisation, max_tables.filter(|_| creates))
}

/// Makes one change. Returns the table's former locations if they changed.
fn apply_change(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    part: &TableChange,
    change: &Change,
) -> Result<Option<Vec<Location>>> {
    match part {
        TableChange::Create { id, ident, metadata_location, locations, details } => {
            let (id, kind, origin) = (*id, TableKind::Table, Origin::Catalog);
            let new = NewTable { id, ident, kind, metadata_location, locations, origin, details };
            insert(connection, warehouse_ref, &new, change)?;
            Ok(Some(Vec::new()))
        }
        TableChange::Swap { id, ident, expected, new, locations, past, details } => {
            let (id, ident, origin) = (*id, ident.as_ref(), Origin::Catalog);
            let swap = Swap { id, ident, expected, new, locations, origin, past, details };
            move_pointer_and_tell(connection, warehouse_ref, &swap, change)
        }
        TableChange::Keep { id, ident, expected } => {
            check_pointer(connection, warehouse_ref, (*id, ident.as_ref()), expected).map(|()| None)
        }
    }
}

/// Adds the position of the failed change to an error. Failures of the database belong to no change.
fn in_transaction(at: usize) -> impl Fn(StoreError) -> StoreError {
    move |error| match error {
        error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => error,
        error => StoreError::InTransaction { at, error: Box::new(error) },
    }
}
