//! A dropped table or view as the store keeps it: its columns, its lock and its removal.

use tidewater_core::ids::{OrganisationId, PrincipalId, TableId, WarehouseId};
use tidewater_core::name::TableIdent;
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, count, get};
use super::params::params;
use super::table_rows::{kind, namespace};
use crate::store::{Dropped, DroppedState, EventObject, Resource, Result, StoreError, WarehouseRef};

type Outcome<T> = std::result::Result<T, Failure>;

/// The columns of [`dropped_at`].
macro_rules! columns {
    () => {
        "dropped.organisation, dropped.warehouse, dropped.id, namespace, name, kind, metadata_location, location, dropped_ms,
         restorable_until_ms, purge, state, attempts, dropped.due_ms, message, owner"
    };
}

pub(super) use columns;

pub(super) const NOT_FOUND: StoreError = StoreError::NotFound(Resource::Table);

/// Reads a dropped table or view, and locks its row.
const LOCK: &str =
    concat!("SELECT ", columns!(), " FROM dropped WHERE organisation = $1 AND id = $3 AND warehouse = $2 FOR UPDATE");

/// Reads a row with these columns.
pub(super) fn dropped_at(row: &Row) -> Result<Dropped> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("dropped: {error}"));
    let namespace = namespace(get(row, 3)?)?;
    Ok(Dropped {
        warehouse_ref: WarehouseRef {
            organisation: OrganisationId(get(row, 0)?),
            warehouse: WarehouseId(get(row, 1)?),
        },
        id: TableId(get(row, 2)?),
        ident: TableIdent::new(namespace, get(row, 4)?).map_err(|error| corrupt(&error))?,
        kind: kind(get(row, 5)?)?,
        metadata_location: get(row, 6)?,
        location: get(row, 7)?,
        dropped_ms: get(row, 8)?,
        restorable_until_ms: get(row, 9)?,
        purge: get(row, 10)?,
        state: match get(row, 11)? {
            "kept" => DroppedState::Kept,
            "removing" => DroppedState::Removing,
            "finishing" => DroppedState::Finishing,
            "blocked" => DroppedState::Blocked,
            "replaced" => DroppedState::Replaced,
            other => return Err(corrupt(&format!("the state '{other}'"))),
        },
        attempts: u32::try_from(count(get(row, 12)?)).unwrap_or(u32::MAX),
        due_ms: get(row, 13)?,
        message: get(row, 14)?,
        owner: get::<Option<Uuid>>(row, 15)?.map(PrincipalId),
    })
}

/// Reads a dropped table or view, and locks its row, so that no purge claims it meanwhile.
pub(super) async fn lock_dropped(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
) -> Outcome<Dropped> {
    let row = transaction
        .query_first(LOCK, params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0])
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(dropped_at(&row)?)
}

/// Returns the object of an event about a dropped table or view.
pub(super) fn event_object(dropped: &Dropped) -> EventObject {
    EventObject::new(dropped.kind, Some(dropped.id.0), dropped.ident.to_string())
}

/// Removes the row of a dropped table or view.
pub(super) async fn remove_row(transaction: &Transaction, organisation: OrganisationId, id: TableId) -> Outcome<()> {
    transaction.query("DELETE FROM dropped WHERE organisation = $1 AND id = $2", params![organisation.0, id.0]).await?;
    Ok(())
}
