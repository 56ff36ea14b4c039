//! Rows of dropped tables and views: how a drop writes them, and how a new table takes the location of one.

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::location_rows::location_forget;
use super::params::params;
use super::restricted::restrictions_copy;
use super::table_rows::kind_text;
use crate::store::{DropTerms, Result, TableKind, WarehouseRef};

type Outcome<T> = std::result::Result<T, Failure>;

/// The dropped tables and views at exactly a location (`$3`) that give way to a new table or view at a time (`$4`): those whose files
/// no purge is removing or due to remove.
macro_rules! gives_way {
    () => {
        "organisation = $1 AND warehouse = $2 AND left(location, 600) = left($3, 600) AND location = $3
         AND (state = 'blocked' OR (state = 'kept' AND (NOT purge OR due_ms > $4)))"
    };
}

pub(super) const REPLACEABLE: &str = concat!("SELECT id FROM dropped WHERE ", gives_way!());

/// Replaces dropped tables and views by the table `$5`, and returns their ids.
const REPLACE: &str = concat!(
    "UPDATE dropped SET state = 'replaced', purge = false, due_ms = greatest(restorable_until_ms, $4),
                        message = (SELECT 'Its location was given to ' || kind || ' '
                                          || replace(namespace, chr(31), '.') || '.' || name
                                   FROM tabular WHERE organisation = $1 AND id = $5)
     WHERE ",
    gives_way!(),
    " RETURNING id"
);

/// Adds the row of a dropped table or view. Call it before the drop deletes the row in `tabular`.
pub(super) async fn insert_dropped(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (ident, dropped, kind): (&TableIdent, TableId, TableKind),
    terms: &DropTerms,
    now_ms: i64,
) -> Outcome<()> {
    transaction
        .query(
            "INSERT INTO dropped (organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin,
                                  created_ms, updated_ms, dropped_ms, restorable_until_ms, purge, state, attempts, due_ms,
                                  owner, labels)
             SELECT organisation, warehouse, id, namespace, name, kind, metadata_location, location, others, origin, created_ms,
                    updated_ms, $5, $6, $7, 'kept', 0, greatest($5, $6), owner, labels
             FROM tabular
             WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND kind = $4 AND namespace = $8 AND name = $9
             FOR UPDATE",
            params![
                warehouse_ref.organisation.0,
                warehouse_ref.warehouse.0,
                dropped.0,
                kind_text(kind),
                now_ms,
                terms.restorable_until_ms,
                terms.purge && kind == TableKind::Table,
                ident.namespace.as_key(),
                ident.name(),
            ],
        )
        .await?;
    Ok(())
}

/// Replaces the dropped tables and views at exactly this location by the stored table or view `by`. They can no longer be
/// restored, and their locations become free. Their files are never removed, since the new table may use them: so it gets their
/// restrictions.
///
/// A purge claims such a row without the organisation's lock. The lock of the row decides which of both comes first: the other then
/// does not find it.
pub(super) async fn replace_dropped(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    by: TableId,
    location: &Location,
    now_ms: i64,
) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    let replaced =
        transaction.query(REPLACE, params![organisation.0, warehouse.0, location.as_str(), now_ms, by.0]).await?;
    if replaced.is_empty() {
        return Ok(());
    }
    let ids = replaced.iter().map(|row| get::<Uuid>(row, 0)).collect::<Result<Vec<_>>>()?;
    location_forget(transaction, organisation, &ids).await?;
    restrictions_copy(transaction, organisation, (&ids, by)).await
}
