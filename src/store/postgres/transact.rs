//! Changes of several tables in one transaction.

use tidewater_core::location::Location;

use super::connection::Transaction;
use super::convert::Failure;
use super::dropped_rows::replace_dropped;
use super::location_rows::check_free;
use super::namespaces::missing_namespace;
use super::params::params;
use super::pointers::{lock_pointer, move_pointer_and_tell};
use super::state_rows::{Added, lock};
use super::table_adds::{check_limit, insert};
use crate::store::{Change, NewTable, Origin, StoreError, Swap, TableChange, TableKind, WarehouseRef};

type Outcome<T> = Result<T, Failure>;

/// Makes all of the changes, under the organisation's lock.
pub(super) async fn table_transact(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    changes: &[TableChange],
    max_tables: Option<u64>,
    change: &Change,
) -> Outcome<()> {
    let creates = changes.iter().filter(|part| matches!(part, TableChange::Create { .. })).count();
    let added = Added { tables: i64::try_from(creates).unwrap_or(i64::MAX), ..Added::default() };
    let state = lock(transaction, warehouse_ref.organisation, added).await.map_err(missing_namespace)?;
    lock_rows(transaction, warehouse_ref, changes).await?;
    let mut moved = Vec::new();
    for (at, part) in changes.iter().enumerate() {
        let before = apply_change(transaction, warehouse_ref, part, change).await.map_err(in_transaction(at))?;
        moved.extend(before.map(|before| (at, before)));
    }
    // Checked after all changes, since a location may pass from one table to another.
    for (at, before) in moved {
        let (TableChange::Create { id, locations, .. } | TableChange::Swap { id, locations, .. }) = &changes[at] else {
            continue;
        };
        replace_dropped(transaction, warehouse_ref, *id, locations.own(), change.at_ms).await?;
        check_free(transaction, warehouse_ref, *id, &locations.beyond(&before)).await.map_err(in_transaction(at))?;
    }
    Ok(check_limit(&state, max_tables.filter(|_| creates > 0))?)
}

/// Locks the rows of all tables in the order of their ids, as the statement without the organisation's lock does (`swaps.rs`).
async fn lock_rows(transaction: &Transaction, warehouse_ref: WarehouseRef, changes: &[TableChange]) -> Outcome<()> {
    let ids: Vec<_> = changes
        .iter()
        .filter_map(|part| match part {
            TableChange::Swap { id, .. } | TableChange::Keep { id, .. } => Some(id.0),
            TableChange::Create { .. } => None,
        })
        .collect();
    transaction
        .query(
            "SELECT 1 FROM tabular WHERE organisation = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
            params![warehouse_ref.organisation.0, ids],
        )
        .await?;
    Ok(())
}

/// Makes one change. Returns the table's former locations if they changed.
async fn apply_change(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    part: &TableChange,
    change: &Change,
) -> Outcome<Option<Vec<Location>>> {
    match part {
        TableChange::Create { id, ident, metadata_location, locations, details } => {
            let (id, kind, origin) = (*id, TableKind::Table, Origin::Catalog);
            let new = NewTable { id, ident, kind, metadata_location, locations, origin, details };
            insert(transaction, warehouse_ref, &new, change).await?;
            Ok(Some(Vec::new()))
        }
        TableChange::Swap { id, ident, expected, new, locations, past, details } => {
            let (id, ident, origin) = (*id, ident.as_ref(), Origin::Catalog);
            let swap = Swap { id, ident, expected, new, locations, origin, past, details };
            move_pointer_and_tell(transaction, warehouse_ref, &swap, change).await
        }
        TableChange::Keep { id, ident, expected } => {
            lock_pointer(transaction, warehouse_ref, (*id, ident.as_ref()), expected).await.map(|_| None)
        }
    }
}

/// Adds the position of the failed change to an error. Failures of the database belong to no change.
fn in_transaction(at: usize) -> impl Fn(Failure) -> Failure {
    move |failure| match failure {
        Failure::Refused(error @ (StoreError::Unavailable(_) | StoreError::NotMade(_) | StoreError::Corrupt(_))) => {
            Failure::Refused(error)
        }
        Failure::Refused(error) => StoreError::InTransaction { at, error: Box::new(error) }.into(),
        failure => failure,
    }
}
