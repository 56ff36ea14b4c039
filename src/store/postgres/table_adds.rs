//! Adds the rows of tables and views.

use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::name::TableIdent;

use super::connection::Transaction;
use super::convert::Failure;
use super::digests::namespace_digest;
use super::events::event_add;
use super::generations::raise;
use super::location_rows::{others_text, reserve_locations};
use super::namespaces;
use super::old_documents::set_origin;
use super::params::params;
use super::pointers::POINTER_AFTER;
use super::state_rows::{Affected, State};
use super::table_rows::{kind_of_name, kind_text, resource};
use crate::store::{Change, EventObject, NewTable, Operation, Origin, Resource, StoreError, TableKind, WarehouseRef};

type Outcome<T> = Result<T, Failure>;

/// Adds a table or view if its namespace exists, and its name and id are free.
const INSERT: &str =
    "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, others,
                                           created_ms, updated_ms, owner)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10,
           coalesce((SELECT principal FROM api_key WHERE organisation = $1 AND id = $11),
                    (SELECT id FROM principal WHERE organisation = $1 AND id = $11 AND issuer IS NOT NULL))
    FROM namespace WHERE organisation = $1 AND warehouse = $2 AND digest = $12 AND key = $3
    ON CONFLICT DO NOTHING RETURNING 1";

/// Adds the row of a table or view, with its event and its locations. Checks neither whether these are free nor the limit of tables. The
/// caller holds the organisation's lock.
pub(super) async fn insert(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    new: &NewTable<'_>,
    change: &Change,
) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    let inserted = transaction
        .count(
            INSERT,
            params![
                organisation.0,
                warehouse.0,
                new.ident.namespace.as_key(),
                new.ident.name(),
                new.id.0,
                kind_text(new.kind),
                new.metadata_location,
                new.locations.own().as_str(),
                others_text(new.locations.others()),
                change.at_ms,
                change.actor.id(),
                namespace_digest(&new.ident.namespace)
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(not_inserted(transaction, warehouse_ref, new.ident, new.kind).await?.into());
    }
    let operation = match new.origin {
        Origin::Foreign => Operation::register(new.kind),
        Origin::Catalog => Operation::create(new.kind),
    };
    let mut details = new.details.clone();
    details.insert(POINTER_AFTER.to_owned(), new.metadata_location.into());
    let object = EventObject::new(new.kind, Some(new.id.0), new.ident.to_string());
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await?;
    if new.origin == Origin::Foreign {
        set_origin(transaction, warehouse_ref, new.id, new.metadata_location).await?;
    }
    reserve_locations(transaction, warehouse_ref, new.id, new.locations.reserved()).await?;
    added_or_removed(transaction, warehouse_ref.organisation, new.id).await
}

/// Returns why a table or view was not added.
pub(super) async fn not_inserted(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
    kind: TableKind,
) -> Outcome<StoreError> {
    if !namespaces::exists(transaction, warehouse_ref, &ident.namespace).await? {
        return Ok(StoreError::NotFound(Resource::Namespace));
    }
    // The name is taken, or the id, if a caller uses one twice.
    let taken_by = kind_of_name(transaction, warehouse_ref, ident).await?.unwrap_or(kind);
    Ok(StoreError::AlreadyExists(resource(taken_by)))
}

/// Records whose access changes because a table or view was added to a namespace, or is about to be removed from it.
pub(super) async fn added_or_removed(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: TableId,
) -> Outcome<()> {
    raise(transaction, organisation, &[Affected::GrantOn(id), Affected::OwnerOfOne(id)]).await
}

/// Fails if the organisation has more tables and views than `limit`.
pub(super) fn check_limit(state: &State, limit: Option<u64>) -> Result<(), StoreError> {
    match limit {
        Some(limit) if state.tables > limit => Err(StoreError::LimitReached { limit }),
        _ => Ok(()),
    }
}
