//! Tables and views: names and pointers.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::convert::{Violation, kind_text, violation};
use super::dropped_rows::{insert_dropped, replace_dropped};
use super::events::event_add;
use super::grants::grants_forget;
use super::location_rows::{check_free, location_forget};
use super::maintenance::maintenance_forget;
use super::namespaces::namespace_exists;
use super::pages::{one_more, page_of};
use super::pointers::{
    POINTER_AFTER, POINTER_BEFORE, check_limit, check_pointer, insert, move_pointer, move_pointer_and_tell, name_at,
    resource, table_count,
};
use super::reports::report_forget;
use super::restricted::restrictions_forget;
use super::table_rows::{record_at, table_get};
use super::{Found, SqliteStore, receipts, transact};
use crate::store::{
    Answer, Change, DropTerms, EventDetails, EventObject, NewTable, Operation, Origin, Page, PageRequest, Past,
    Resource, Result, SharedPage, StoreError, Swap, TableChange, TableKind, TableRecord, TableStore, Undo,
    WarehouseRef, note_name, note_new_name,
};

pub(super) const LIST: &str = "SELECT name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND kind = ?4 AND name > ?5
    ORDER BY name LIMIT ?6";

/// The most point reads that run on the caller's thread. More run on a thread for blocking work.
const READS_IN_PLACE: usize = 16;

/// Adds a table or view. The caller must undo the statements after an error.
pub(super) fn table_create(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    new: &NewTable<'_>,
    max_tables: Option<u64>,
    change: &Change,
) -> Result<()> {
    insert(connection, warehouse_ref, new, change)?;
    replace_dropped(connection, warehouse_ref, new.id, new.locations.own(), change.at_ms)?;
    check_free(connection, warehouse_ref, new.id, new.locations.reserved())?;
    check_limit(connection, warehouse_ref.organisation, max_tables)
}

pub(super) fn table_by_id(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
) -> Result<Option<TableRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, metadata_location, owner, labels FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
    )?;
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        id.0.as_bytes()
    ])?;
    rows.next()?.map(record_at).transpose()
}

pub(super) fn table_get_all(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    idents: &[TableIdent],
) -> Result<Vec<Option<TableRecord>>> {
    idents.iter().map(|ident| table_get(connection, warehouse_ref, ident)).collect()
}

pub(super) fn table_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    kind: TableKind,
    page: &PageRequest,
) -> Result<Page<String>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let names = statement.query_map(
        params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            namespace.as_key(),
            kind_text(kind),
            page.after.as_deref().unwrap_or(""),
            one_more(page),
        ],
        |row| row.get(0),
    )?;
    let found = page_of(names.collect::<rusqlite::Result<Vec<_>>>()?, page);
    if found.items.is_empty() && !namespace_exists(connection, warehouse_ref, namespace)? {
        return Err(StoreError::NotFound(Resource::Namespace));
    }
    Ok(found)
}

/// Moves a pointer. The caller must undo the statements after an error.
pub(super) fn table_swap(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    change: &Change,
) -> Result<()> {
    let before = move_pointer_and_tell(connection, warehouse_ref, swap, change)?;
    check_moved_locations(connection, warehouse_ref, swap, before.as_deref(), change.at_ms)
}

/// Checks the locations of a table after a move of its pointer, and replaces dropped tables there. `before` are its former
/// locations. None means that the locations did not change.
fn check_moved_locations(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    before: Option<&[Location]>,
    at_ms: i64,
) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    replace_dropped(connection, warehouse_ref, swap.id, swap.locations.own(), at_ms)?;
    check_free(connection, warehouse_ref, swap.id, swap.locations.beyond(before))
}

/// Undoes a registration. The caller must undo the statements after an error.
pub(super) fn table_undo(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    undo: &Undo<'_>,
    change: &Change,
) -> Result<()> {
    let Undo { id, made, before } = *undo;
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), made.into());
    let (kind, name) = match before {
        Some((pointer, locations)) => {
            details.insert(POINTER_AFTER.to_owned(), pointer.into());
            let (origin, past, details) = (Origin::Foreign, &Past::Kept, &EventDetails::new());
            let ident = None;
            let swap = Swap { id, ident, expected: made, new: pointer, locations, origin, past, details };
            let moved = move_pointer(connection, warehouse_ref, &swap, change.at_ms)?;
            check_moved_locations(connection, warehouse_ref, &swap, moved.before.as_deref(), change.at_ms)?;
            (moved.kind, moved.name)
        }
        None => remove_registered(connection, warehouse_ref, id, made)?,
    };
    let object = EventObject::new(kind, Some(id.0), name);
    event_add(connection, change, warehouse_ref, Operation::undo_register(kind), &object, &details)
}

/// Removes a table that a registration added, if its pointer did not move since.
fn remove_registered(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    made: &str,
) -> Result<(TableKind, String)> {
    check_pointer(connection, warehouse_ref, (id, None), made)?;
    let name = connection
        .prepare_cached(
            "DELETE FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 RETURNING kind, namespace, name",
        )?
        .query_and_then(params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), id.0.as_bytes()], name_at)?
        .collect::<Result<Vec<_>>>()?
        .pop();
    location_forget(connection, warehouse_ref.organisation, id)?;
    report_forget(connection, warehouse_ref.organisation, id)?;
    maintenance_forget(connection, warehouse_ref.organisation, id)?;
    grants_forget(connection, warehouse_ref.organisation, id)?;
    restrictions_forget(connection, warehouse_ref.organisation, id)?;
    name.ok_or(StoreError::NotFound(Resource::Table))
}

pub(super) fn table_drop(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
    id: TableId,
    kind: TableKind,
    terms: Option<&DropTerms>,
    change: &Change,
) -> Result<TableRecord> {
    if let Some(terms) = terms {
        insert_dropped(connection, warehouse_ref, id, kind, terms, change.at_ms)?;
    }
    let mut statement = connection.prepare_cached(
        "DELETE FROM tabular
         WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5 AND id = ?6
         RETURNING id, kind, metadata_location, owner, labels",
    )?;
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        ident.namespace.as_key(),
        ident.name(),
        kind_text(kind),
        id.0.as_bytes(),
    ])?;
    let dropped = match rows.next()? {
        Some(row) => record_at(row)?,
        None => return Err(StoreError::NotFound(resource(kind))),
    };
    // Run the statement to its end, where SQLite checks the constraints.
    rows.next()?;
    if terms.is_none() || kind == TableKind::View {
        // A dropped view has only metadata documents, with which no new table's files can be confused.
        location_forget(connection, warehouse_ref.organisation, dropped.id)?;
    }
    if terms.is_none() {
        report_forget(connection, warehouse_ref.organisation, dropped.id)?;
        maintenance_forget(connection, warehouse_ref.organisation, dropped.id)?;
        grants_forget(connection, warehouse_ref.organisation, dropped.id)?;
        restrictions_forget(connection, warehouse_ref.organisation, dropped.id)?;
    }
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), dropped.metadata_location.clone().into());
    if let Some(terms) = terms {
        details.insert("restorable-until-ms".to_owned(), terms.restorable_until_ms.into());
        details.insert("purge".to_owned(), terms.purge.into());
    }
    note_name(&mut details, ident);
    let object = EventObject::new(kind, Some(dropped.id.0), ident.to_string());
    event_add(connection, change, warehouse_ref, Operation::drop(kind), &object, &details)?;
    Ok(dropped)
}

pub(super) fn table_rename(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    from: &TableIdent,
    id: TableId,
    to: &TableIdent,
    kind: TableKind,
    change: &Change,
) -> Result<()> {
    let renamed = connection
        .prepare_cached(
            "UPDATE tabular SET namespace = ?6, name = ?7
             WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5 AND id = ?8",
        )?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            from.namespace.as_key(),
            from.name(),
            kind_text(kind),
            to.namespace.as_key(),
            to.name(),
            id.0.as_bytes(),
        ]);
    match renamed {
        Ok(0) => Err(StoreError::NotFound(resource(kind))),
        // Its own name is taken too, by itself.
        Ok(_) if from == to => Err(StoreError::AlreadyExists(resource(kind))),
        Ok(_) => {
            let object = EventObject::new(kind, Some(id.0), from.to_string()).renamed(to.to_string());
            let mut details = EventDetails::new();
            note_name(&mut details, from);
            note_new_name(&mut details, to);
            event_add(connection, change, warehouse_ref, Operation::rename(kind), &object, &details)
        }
        Err(error) => Err(match violation(&error) {
            Some(Violation::Unique) => {
                let taken_by = table_get(connection, warehouse_ref, to)?.map_or(kind, |taken| taken.kind);
                StoreError::AlreadyExists(resource(taken_by))
            }
            Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
            None => error.into(),
        }),
    }
}

/// Returns the answer that a receipt keeps for a change that set a pointer.
fn pointer_answer(document: Option<&str>, id: TableId) -> Answer {
    document.map_or(Answer::Done, |location| Answer::document(location, id))
}

#[async_trait]
impl TableStore for SqliteStore {
    async fn table_create(
        &self,
        warehouse_ref: WarehouseRef,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let NewTable { id, kind, origin, .. } = *new;
        let (ident, details) = (new.ident.clone(), new.details.clone());
        let (metadata_location, locations) = (new.metadata_location.to_owned(), new.locations.clone());
        let document = change.receipt.as_ref().map(|_| metadata_location.clone());
        let work = move |connection: &Connection, change: &Change| {
            let (ident, metadata_location, locations, details) = (&ident, &metadata_location, &locations, &details);
            let new = NewTable { id, ident, kind, metadata_location, locations, origin, details };
            table_create(connection, warehouse_ref, &new, max_tables, change)
        };
        self.change(warehouse_ref.organisation, change, work, move |()| pointer_answer(document.as_deref(), id)).await
    }

    async fn table_get(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Result<Option<TableRecord>> {
        let read = || self.read(|connection| table_get(connection, warehouse_ref, ident));
        let Some(memory) = &self.memory else { return read() };
        match memory.table(warehouse_ref, ident) {
            Found::Kept(record) => Ok(record),
            Found::Missing(stamp) => {
                let record = read()?;
                memory.keep_table(warehouse_ref, ident, stamp, record.as_ref());
                Ok(record)
            }
        }
    }

    async fn table_by_id(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<TableRecord>> {
        self.read(|connection| table_by_id(connection, warehouse_ref, id))
    }

    async fn table_get_all(
        &self,
        warehouse_ref: WarehouseRef,
        idents: &[TableIdent],
    ) -> Result<Vec<Option<TableRecord>>> {
        if idents.len() <= READS_IN_PLACE {
            return self.read(|connection| table_get_all(connection, warehouse_ref, idents));
        }
        let idents = idents.to_vec();
        self.read_needed(Some(warehouse_ref.organisation), move |connection| {
            table_get_all(connection, warehouse_ref, &idents)
        })
        .await
    }

    async fn table_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>> {
        let stamp = match self.memory.as_ref().map(|memory| memory.tables(warehouse_ref, namespace, kind, page)) {
            Some(Found::Kept(page)) => return Ok(page),
            Some(Found::Missing(stamp)) => stamp,
            None => None,
        };
        let (of, request) = (namespace.clone(), page.clone());
        let list = move |connection: &Connection| table_list(connection, warehouse_ref, &of, kind, &request);
        let found = self.read_list(Some(warehouse_ref.organisation), list).await?;
        match &self.memory {
            Some(memory) => Ok(memory.keep_tables(warehouse_ref, namespace, kind, page.clone(), stamp, found)),
            None => Ok(SharedPage::for_one(found)),
        }
    }

    async fn table_swap(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<()> {
        let (id, ident, details) = (swap.id, swap.ident.cloned(), swap.details.clone());
        let ([expected, new], locations) = ([swap.expected, swap.new].map(str::to_owned), swap.locations.clone());
        let (origin, past) = (swap.origin, swap.past.clone());
        let document = change.receipt.as_ref().map(|_| new.clone());
        let work = move |connection: &Connection, change: &Change| {
            let (ident, expected, new) = (ident.as_ref(), &expected, &new);
            let (locations, past, details) = (&locations, &past, &details);
            let swap = Swap { id, ident, expected, new, locations, origin, past, details };
            table_swap(connection, warehouse_ref, &swap, change)
        };
        self.change(warehouse_ref.organisation, change, work, move |()| pointer_answer(document.as_deref(), id)).await
    }

    async fn table_undo(&self, warehouse_ref: WarehouseRef, undo: &Undo<'_>, change: &Change) -> Result<()> {
        let (id, change) = (undo.id, change.clone());
        let made = undo.made.to_owned();
        let before = undo.before.map(|(pointer, locations)| (pointer.to_owned(), locations.clone()));
        let work = move |connection: &Connection| {
            let before = before.as_ref().map(|(pointer, locations)| (pointer.as_str(), locations));
            table_undo(connection, warehouse_ref, &Undo { id, made: &made, before }, &change)?;
            let receipt = change.receipt.as_deref();
            receipt.map_or(Ok(()), |receipt| receipts::receipt_forget(connection, warehouse_ref.organisation, receipt))
        };
        self.writer.write_for(Some(warehouse_ref.organisation), work).await
    }

    async fn table_transact(
        &self,
        warehouse_ref: WarehouseRef,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let work = move |connection: &Connection, change: &Change| {
            transact::table_transact(connection, warehouse_ref, &changes, max_tables, change)
        };
        self.change(warehouse_ref.organisation, change, work, |()| Answer::Done).await
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
        let (ident, terms) = (ident.clone(), terms.copied());
        let work = move |connection: &Connection, change: &Change| {
            table_drop(connection, warehouse_ref, &ident, id, kind, terms.as_ref(), change)
        };
        self.change(warehouse_ref.organisation, change, work, |dropped| {
            pointer_answer(Some(&dropped.metadata_location), dropped.id)
        })
        .await
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
        let (from, to) = (from.clone(), to.clone());
        let work = move |connection: &Connection, change: &Change| {
            table_rename(connection, warehouse_ref, &from, id, &to, kind, change)
        };
        self.change(warehouse_ref.organisation, change, work, |()| Answer::Done).await
    }

    async fn table_count(&self, organisation: OrganisationId) -> Result<u64> {
        self.read_needed(Some(organisation), move |connection| table_count(connection, organisation)).await
    }
}
