//! Restores dropped tables and views.

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::digests::namespace_digest;
use super::dropped_record::{event_object, lock_dropped, remove_row};
use super::events::event_add;
use super::location_rows::{check_free, replace_locations, reserved};
use super::params::params;
use super::pointers::move_pointer;
use super::state_rows::{Added, lock};
use super::table_adds::{added_or_removed, check_limit, not_inserted};
use crate::store::{
    Change, EventDetails, Operation, Origin, Past, Resource, Restore, StoreError, Swap, TableKind, WarehouseRef,
    name_details, note_new_name,
};

type Outcome<T> = Result<T, Failure>;

/// Moves a row of `dropped` to `tabular`, if the namespace exists and the name is free. Returns the columns of its locations.
const MOVE_BACK: &str = "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location,
                                              others, origin, created_ms, updated_ms, owner, labels)
    SELECT dropped.organisation, dropped.warehouse, $4, $5, dropped.id, kind, metadata_location, location, others, origin,
           created_ms, $6, dropped.owner, dropped.labels
    FROM dropped
    JOIN namespace ON namespace.organisation = $1 AND namespace.warehouse = $2 AND namespace.digest = $7
         AND namespace.key = $4
    WHERE dropped.organisation = $1 AND dropped.warehouse = $2 AND dropped.id = $3
    ON CONFLICT DO NOTHING RETURNING location, others";

/// Restores a dropped table or view, under the organisation's lock and that of its row.
pub(super) async fn restore(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    restore: &Restore<'_>,
    max_tables: Option<u64>,
    change: &Change,
) -> Outcome<()> {
    let &Restore { id, ident, locations: now } = restore;
    let (organisation, now_ms) = (warehouse_ref.organisation, change.at_ms);
    let state = lock(transaction, organisation, Added { tables: 1, ..Added::default() }).await.map_err(no_table)?;
    let dropped = lock_dropped(transaction, warehouse_ref, id).await?;
    if let Some(reason) = dropped.not_restorable(now_ms) {
        return Err(StoreError::NotRestorable(reason).into());
    }
    let restored = transaction
        .query_first(
            MOVE_BACK,
            params![
                organisation.0,
                warehouse_ref.warehouse.0,
                id.0,
                ident.namespace.as_key(),
                ident.name(),
                now_ms,
                namespace_digest(&ident.namespace)
            ],
        )
        .await?;
    let Some(restored) = restored else {
        return Err(not_inserted(transaction, warehouse_ref, ident, dropped.kind).await?.into());
    };
    remove_row(transaction, organisation, id).await?;
    added_or_removed(transaction, warehouse_ref.organisation, id).await?;
    let object = event_object(&dropped);
    let object = if dropped.ident == *ident { object } else { object.renamed(ident.to_string()) };
    let (operation, mut details) = (Operation::restore(dropped.kind), name_details(&dropped.ident));
    note_new_name(&mut details, ident);
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await?;
    if dropped.kind == TableKind::View {
        // A dropped view reserves no locations.
        let locations = match now {
            Some(now) => now.reserved().to_vec(),
            None => reserved(TableKind::View, get(&restored, 0)?, get(&restored, 1)?)?,
        };
        replace_locations(transaction, warehouse_ref, id, &locations).await?;
        check_free(transaction, warehouse_ref, id, &locations.iter().collect::<Vec<_>>()).await?;
    } else if let Some(now) = now {
        // The pointer stays. The locations stay too, unless the document names others than the store has.
        let pointer = &dropped.metadata_location;
        let (origin, past, details) = (Origin::Catalog, &Past::Kept, &EventDetails::new());
        let ident = Some(ident);
        let swap = Swap { id, ident, expected: pointer, new: pointer, locations: now, origin, past, details };
        if let Some(before) = move_pointer(transaction, warehouse_ref, &swap, now_ms).await?.before {
            check_free(transaction, warehouse_ref, id, &now.beyond(&before)).await?;
        }
    }
    Ok(check_limit(&state, max_tables)?)
}

/// Converts the error about a missing organisation: its tables are missing too.
fn no_table(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(StoreError::NotFound(Resource::Organisation)) => StoreError::NotFound(Resource::Table).into(),
        failure => failure,
    }
}
