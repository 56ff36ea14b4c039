//! Tables and views: names and pointers.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::{change, transact};
use super::connection::Transaction;
use super::convert::{Failure, count, get};
use super::digests::namespace_digest;
use super::dropped_rows::{insert_dropped, replace_dropped};
use super::events::event_add;
use super::forget_rows::forget_access_and_reports;
use super::generations::raise;
use super::location_rows::{check_free, location_forget};
use super::namespaces::missing_namespace;
use super::pages::{after_name, one_more, page_of};
use super::params::params;
use super::pointers::{
    POINTER_AFTER, POINTER_BEFORE, lock_pointer, move_pointer, move_pointer_and_tell, name_at, pointer_answer,
};
use super::receipts::receipt_forget;
use super::state_rows::{Added, Affected, lock, lock_for};
use super::table_adds::{added_or_removed, check_limit, insert};
use super::table_rows::{kind_of_name, kind_text, record_at, resource};
use super::{namespaces, transact as transactions};
use crate::store::{
    Answer, Change, DropTerms, EventDetails, EventObject, NewTable, Operation, Origin, PageRequest, Past, Resource,
    Result, SharedPage, StoreError, Swap, TableChange, TableKind, TableRecord, TableStore, Undo, WarehouseRef,
    note_name, note_new_name,
};

type Outcome<T> = std::result::Result<T, Failure>;

pub(super) const LIST: &str = "SELECT name FROM tabular
    WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = $7 AND namespace = $3 AND kind = $4 AND name > $5
    ORDER BY name LIMIT $6";

pub(super) const GET_BY_ID: &str = "SELECT state.generation, tabular.id, kind, metadata_location, owner, tabular.labels
    FROM organisation_state AS state
    LEFT JOIN tabular ON tabular.organisation = $1 AND warehouse = $2 AND tabular.id = $3
    WHERE state.organisation = $1";

/// Reads the tables and views with these names, in their order: one step in the index for each.
pub(super) const GET_ALL: &str = "SELECT state.generation, found.id, found.kind, found.metadata_location, found.owner,
           found.labels
    FROM organisation_state AS state
    CROSS JOIN unnest($3::text[], $4::text[], $5::bytea[]) WITH ORDINALITY AS wanted (namespace, name, digest, number)
    LEFT JOIN LATERAL
        (SELECT id, kind, metadata_location, owner, labels FROM tabular
         WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = wanted.digest AND namespace = wanted.namespace
               AND name = wanted.name) AS found ON true
    WHERE state.organisation = $1 ORDER BY wanted.number";

pub(super) const COUNT: &str = "SELECT tables FROM organisation_state WHERE organisation = $1";

async fn table_create(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    new: &NewTable<'_>,
    max_tables: Option<u64>,
    change: &Change,
) -> Outcome<()> {
    let added = Added { tables: 1, ..Added::default() };
    let state = lock(transaction, warehouse_ref.organisation, added).await.map_err(missing_namespace)?;
    insert(transaction, warehouse_ref, new, change).await?;
    replace_dropped(transaction, warehouse_ref, new.id, new.locations.own(), change.at_ms).await?;
    check_free(transaction, warehouse_ref, new.id, &new.locations.beyond(&[])).await?;
    Ok(check_limit(&state, max_tables)?)
}

/// Moves a pointer, with the table's locations or its origin.
async fn table_swap(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    change: &Change,
) -> Outcome<()> {
    lock_for(transaction, warehouse_ref.organisation, Resource::Table).await?;
    let before = move_pointer_and_tell(transaction, warehouse_ref, swap, change).await?;
    check_moved_locations(transaction, warehouse_ref, swap, before.as_deref(), change.at_ms).await
}

/// Checks the locations of a table after a move of its pointer, and replaces dropped tables there. `before` are its former
/// locations. None means that the locations did not change.
async fn check_moved_locations(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    before: Option<&[tidewater_core::location::Location]>,
    at_ms: i64,
) -> Outcome<()> {
    let Some(before) = before else { return Ok(()) };
    replace_dropped(transaction, warehouse_ref, swap.id, swap.locations.own(), at_ms).await?;
    check_free(transaction, warehouse_ref, swap.id, &swap.locations.beyond(before)).await
}

/// Undoes a registration.
async fn table_undo(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    undo: &Undo<'_>,
    change: &Change,
) -> Outcome<()> {
    let Undo { id, made, before } = *undo;
    lock_for(transaction, warehouse_ref.organisation, Resource::Table).await?;
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), made.into());
    let (kind, name) = match before {
        Some((pointer, locations)) => {
            details.insert(POINTER_AFTER.to_owned(), pointer.into());
            let (origin, past, details) = (Origin::Foreign, &Past::Kept, &EventDetails::new());
            let ident = None;
            let swap = Swap { id, ident, expected: made, new: pointer, locations, origin, past, details };
            let moved = move_pointer(transaction, warehouse_ref, &swap, change.at_ms).await?;
            check_moved_locations(transaction, warehouse_ref, &swap, moved.before.as_deref(), change.at_ms).await?;
            (moved.kind, moved.name)
        }
        None => remove_registered(transaction, warehouse_ref, id, made).await?,
    };
    let object = EventObject::new(kind, Some(id.0), name);
    event_add(transaction, change, warehouse_ref, Operation::undo_register(kind), &object, &details).await?;
    match &change.receipt {
        Some(receipt) => receipt_forget(transaction, warehouse_ref.organisation, receipt).await,
        None => Ok(()),
    }
}

/// Removes a table that a registration added, if its pointer did not move since.
async fn remove_registered(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    made: &str,
) -> Outcome<(TableKind, String)> {
    let organisation = warehouse_ref.organisation;
    let row = lock_pointer(transaction, warehouse_ref, (id, None), made).await?;
    let name = name_at(&row)?;
    added_or_removed(transaction, organisation, id).await?;
    transaction.query("DELETE FROM tabular WHERE organisation = $1 AND id = $2", params![organisation.0, id.0]).await?;
    super::state_rows::add(transaction, organisation, Added { tables: -1, ..Added::default() }).await?;
    location_forget(transaction, organisation, &[id.0]).await?;
    forget_access_and_reports(transaction, organisation, id).await?;
    Ok(name)
}

pub(super) async fn table_drop(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (ident, id, kind): (&TableIdent, TableId, TableKind),
    terms: Option<&DropTerms>,
    change: &Change,
) -> Outcome<TableRecord> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    let not_found = resource(kind);
    let removed = Added { tables: -1, ..Added::default() };
    lock_for(transaction, organisation, not_found).await?;
    if let Some(terms) = terms {
        insert_dropped(transaction, warehouse_ref, (ident, id, kind), terms, change.at_ms).await?;
    }
    added_or_removed(transaction, organisation, id).await?;
    let row = transaction
        .query_first(
            "DELETE FROM tabular
             WHERE organisation = $1 AND id = $6 AND warehouse = $2 AND namespace = $3 AND name = $4 AND kind = $5
             RETURNING id, kind, metadata_location, owner, labels",
            params![organisation.0, warehouse.0, ident.namespace.as_key(), ident.name(), kind_text(kind), id.0],
        )
        .await?
        .ok_or(StoreError::NotFound(not_found))?;
    let dropped = record_at(&row, 0)?.ok_or(StoreError::NotFound(not_found))?;
    super::state_rows::add(transaction, organisation, removed).await?;
    if terms.is_none() || kind == TableKind::View {
        // A dropped view has only metadata documents, with which no new table's files can be confused.
        location_forget(transaction, organisation, &[id.0]).await?;
    }
    if terms.is_none() {
        forget_access_and_reports(transaction, organisation, id).await?;
    }
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), dropped.metadata_location.clone().into());
    if let Some(terms) = terms {
        details.insert("restorable-until-ms".to_owned(), terms.restorable_until_ms.into());
        details.insert("purge".to_owned(), terms.purge.into());
    }
    note_name(&mut details, ident);
    let object = EventObject::new(kind, Some(dropped.id.0), ident.to_string());
    event_add(transaction, change, warehouse_ref, Operation::drop(kind), &object, &details).await?;
    Ok(dropped)
}

async fn table_rename(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (from, id, kind): (&TableIdent, TableId, TableKind),
    to: &TableIdent,
    change: &Change,
) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    lock_for(transaction, organisation, resource(kind)).await?;
    let row = transaction
        .query_first(
            "SELECT owner FROM tabular
             WHERE organisation = $1 AND id = $6 AND warehouse = $2 AND namespace = $3 AND name = $4 AND kind = $5
             FOR UPDATE",
            params![organisation.0, warehouse.0, from.namespace.as_key(), from.name(), kind_text(kind), id.0],
        )
        .await?
        .ok_or(StoreError::NotFound(resource(kind)))?;
    // Its own name is taken too, by itself.
    if let Some(taken_by) = kind_of_name(transaction, warehouse_ref, to).await? {
        return Err(StoreError::AlreadyExists(resource(taken_by)).into());
    }
    if !namespaces::exists(transaction, warehouse_ref, &to.namespace).await? {
        return Err(StoreError::NotFound(Resource::Namespace).into());
    }
    transaction
        .query(
            "UPDATE tabular SET namespace = $3, name = $4 WHERE organisation = $1 AND id = $2",
            params![organisation.0, id.0, to.namespace.as_key(), to.name()],
        )
        .await?;
    let owner = get::<Option<Uuid>>(&row, 0)?.map(|owner| Affected::Principal(PrincipalId(owner)));
    let affected: Vec<_> = std::iter::once(Affected::GrantOn(id)).chain(owner).collect();
    raise(transaction, organisation, &affected).await?;
    let object = EventObject::new(kind, Some(id.0), from.to_string()).renamed(to.to_string());
    let mut details = EventDetails::new();
    note_name(&mut details, from);
    note_new_name(&mut details, to);
    event_add(transaction, change, warehouse_ref, Operation::rename(kind), &object, &details).await
}

#[async_trait]
impl TableStore for PostgresStore {
    async fn table_create(
        &self,
        warehouse_ref: WarehouseRef,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            table_create(transaction, warehouse_ref, new, max_tables, change),
            |(): &()| pointer_answer(new.metadata_location, new.id))
    }

    async fn table_get(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Result<Option<TableRecord>> {
        self.get_by_name(warehouse_ref, ident).await
    }

    async fn table_by_id(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<TableRecord>> {
        let row =
            self.read_first(GET_BY_ID, params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0]).await?;
        self.record_seen(warehouse_ref.organisation, row.as_ref()).await
    }

    async fn table_get_all(
        &self,
        warehouse_ref: WarehouseRef,
        idents: &[TableIdent],
    ) -> Result<Vec<Option<TableRecord>>> {
        let namespaces: Vec<_> = idents.iter().map(|ident| ident.namespace.as_key()).collect();
        let names: Vec<_> = idents.iter().map(TableIdent::name).collect();
        let digests: Vec<_> = idents.iter().map(|ident| namespace_digest(&ident.namespace)).collect();
        let values = params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, namespaces, names, digests];
        let rows = self.read_needed(GET_ALL, values).await?;
        let generation = rows.first().map(|row| get(row, 0)).transpose()?;
        if !idents.is_empty() {
            self.seen(warehouse_ref.organisation, generation).await?;
        }
        // Without its organisation, there is no row and no table.
        if rows.is_empty() {
            return Ok(vec![None; idents.len()]);
        }
        rows.iter().map(|row| record_at(row, 1)).collect()
    }

    async fn table_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>> {
        let rows = self
            .read(
                LIST,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    namespace.as_key(),
                    kind_text(kind),
                    after_name(page),
                    one_more(page),
                    namespace_digest(namespace)
                ],
            )
            .await?;
        let found = page_of(rows.iter().map(|row| get(row, 0)).collect::<Result<Vec<String>>>()?, page);
        if found.items.is_empty() && !self.namespace_exists(warehouse_ref, namespace).await? {
            return Err(StoreError::NotFound(Resource::Namespace));
        }
        Ok(SharedPage::for_one(found))
    }

    async fn table_swap(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<()> {
        let swapped = self.swap_in_place_or_move(warehouse_ref, swap, change).await;
        match swapped {
            Err(error) => Err(self.repeated_or(warehouse_ref.organisation, change, error).await),
            Ok(done) => Ok(done),
        }
    }

    async fn table_undo(&self, warehouse_ref: WarehouseRef, undo: &Undo<'_>, change: &Change) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction =>
            table_undo(transaction, warehouse_ref, undo, change))
    }

    async fn table_transact(
        &self,
        warehouse_ref: WarehouseRef,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        match self.swaps_in_place(warehouse_ref, &changes, change).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(self.repeated_or(warehouse_ref.organisation, change, error).await),
        }
        change!(self, warehouse_ref.organisation, change, transaction =>
            transactions::table_transact(transaction, warehouse_ref, &changes, max_tables, change),
            |(): &()| Answer::Done)
    }

    async fn table_drop(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
        id: TableId,
        kind: TableKind,
        terms: Option<&DropTerms>,
        change: &Change,
    ) -> Result<TableRecord> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            table_drop(transaction, warehouse_ref, (ident, id, kind), terms, change),
            |dropped: &TableRecord| pointer_answer(&dropped.metadata_location, dropped.id))
    }

    async fn table_rename(
        &self,
        warehouse_ref: WarehouseRef,
        from: &TableIdent,
        id: TableId,
        to: &TableIdent,
        kind: TableKind,
        change: &Change,
    ) -> Result<()> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            table_rename(transaction, warehouse_ref, (from, id, kind), to, change), |(): &()| Answer::Done)
    }

    async fn table_count(&self, organisation: OrganisationId) -> Result<u64> {
        let row = self.read_first(COUNT, params![organisation.0]).await?;
        row.map_or(Ok(0), |row| Ok(count(get(&row, 0)?)))
    }
}

impl PostgresStore {
    /// Moves a pointer in one statement if the table's locations do not change, and in a transaction otherwise.
    async fn swap_in_place_or_move(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<()> {
        if swap.origin == Origin::Catalog {
            if self.swap_in_place(warehouse_ref, swap, change).await? {
                return Ok(());
            }
            self.check_pointer_of_swap(warehouse_ref, swap).await?;
        }
        change!(self, warehouse_ref.organisation, change, transaction =>
            table_swap(transaction, warehouse_ref, swap, change), |(): &()| pointer_answer(swap.new, swap.id))
    }
}
