//! Tables and views: names and pointers.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::convert::{Violation, count, id, kind, kind_text, namespace, violation};
use super::dropped::{keep, replace_dropped};
use super::events::event_add;
use super::locations::{check_free, hold, hold_instead, location_forget, others_text, remove_unread, reserved};
use super::namespaces::{namespace_exists, one_more, page_of};
use super::old_documents::{adopt, note_past};
use super::reports::report_forget;
use crate::store::{
    Change, DropTerms, EventDetails, EventObject, NewTable, Operation, Page, PageRequest, Past, Place, Resource,
    Result, StoreError, Swap, TableKind, TableRecord, Undo,
};

/// The hot path of a load.
pub(super) const GET: &str = "SELECT id, kind, metadata_location FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4";
pub(super) const LIST: &str = "SELECT name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND kind = ?4 AND name > ?5
    ORDER BY name LIMIT ?6";

/// The whole of nearly every commit.
pub(super) const SWAP_IN_PLACE: &str = "UPDATE tabular SET metadata_location = ?5, updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4 AND location = ?6 AND others = ?7
    RETURNING kind, namespace, name";
pub(super) const COUNT: &str = "SELECT tables FROM tabular_count WHERE organisation = ?1";
/// What a table wrote where it was before may be another's by the time that it comes back.
const SWAP_AND_MOVE: &str = "UPDATE tabular SET metadata_location = ?5, location = ?6, others = ?7, origin = ?4,
                                            updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4
    RETURNING kind, namespace, name";

/// The details of an event that say where a pointer was, and where it is.
const POINTER_BEFORE: &str = "pointer-before";
const POINTER_AFTER: &str = "pointer-after";

pub(super) const fn resource(kind: TableKind) -> Resource {
    match kind {
        TableKind::Table => Resource::Table,
        TableKind::View => Resource::View,
    }
}

pub(super) fn record_at(row: &Row<'_>) -> Result<TableRecord> {
    Ok(TableRecord {
        id: id(TableId, row.get(0)?),
        kind: kind(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        metadata_location: row.get(2)?,
    })
}

/// An error undoes what was done before it.
pub(super) fn table_create(
    connection: &Connection,
    place: Place,
    new: &NewTable<'_>,
    max_tables: Option<u64>,
    change: &Change,
) -> Result<()> {
    insert(connection, place, new, change)?;
    replace_dropped(connection, place, new.id, new.locations.own(), change.at_ms)?;
    check_free(connection, place, new.id, new.locations.reserved())?;
    check_limit(connection, place.organisation, max_tables)
}

/// Adds a table, wherever its files are and however many there are.
pub(super) fn insert(connection: &Connection, place: Place, new: &NewTable<'_>, change: &Change) -> Result<()> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location,
                                  others, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
        )?
        .execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            new.ident.namespace.as_key(),
            new.ident.name(),
            new.id.0.as_bytes(),
            kind_text(new.kind),
            new.metadata_location,
            new.locations.own().as_str(),
            others_text(new.locations.others()),
            change.at_ms,
        ]);
    let Err(error) = inserted else {
        let operation = if new.registered { Operation::register(new.kind) } else { Operation::create(new.kind) };
        let mut details = new.details.clone();
        details.insert(POINTER_AFTER.to_owned(), new.metadata_location.into());
        let object = EventObject::new(new.kind, Some(new.id.0), new.ident.to_string());
        event_add(connection, change, place, operation, &object, &details)?;
        if new.registered {
            adopt(connection, place, new.id, new.metadata_location)?;
        }
        return hold(connection, place, new.id, new.locations.reserved());
    };
    Err(match violation(&error) {
        // The name is taken or, should a caller ever give an id twice, that is.
        Some(Violation::Unique) => {
            let taken_by = table_get(connection, place, new.ident)?.map_or(new.kind, |taken| taken.kind);
            StoreError::AlreadyExists(resource(taken_by))
        }
        Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
        None => error.into(),
    })
}

/// Whether the organisation has no more tables and views than it may have.
pub(super) fn check_limit(connection: &Connection, organisation: OrganisationId, limit: Option<u64>) -> Result<()> {
    match limit {
        Some(limit) if table_count(connection, organisation)? > limit => Err(StoreError::LimitReached { limit }),
        _ => Ok(()),
    }
}

pub(super) fn table_get(connection: &Connection, place: Place, ident: &TableIdent) -> Result<Option<TableRecord>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query(params![
        place.organisation.0.as_bytes(),
        place.warehouse.0.as_bytes(),
        ident.namespace.as_key(),
        ident.name(),
    ])?;
    rows.next()?.map(record_at).transpose()
}

pub(super) fn table_by_id(connection: &Connection, place: Place, id: TableId) -> Result<Option<TableRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, metadata_location FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
    )?;
    let mut rows =
        statement.query(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), id.0.as_bytes()])?;
    rows.next()?.map(record_at).transpose()
}

pub(super) fn table_get_all(
    connection: &Connection,
    place: Place,
    idents: &[TableIdent],
) -> Result<Vec<Option<TableRecord>>> {
    idents.iter().map(|ident| table_get(connection, place, ident)).collect()
}

pub(super) fn table_list(
    connection: &Connection,
    place: Place,
    namespace: &NamespaceIdent,
    kind: TableKind,
    page: &PageRequest,
) -> Result<Page<String>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let names = statement.query_map(
        params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            namespace.as_key(),
            kind_text(kind),
            page.after.as_deref().unwrap_or(""),
            one_more(page),
        ],
        |row| row.get(0),
    )?;
    let found = page_of(names.collect::<rusqlite::Result<Vec<_>>>()?, page);
    if found.items.is_empty() && !namespace_exists(connection, place, namespace)? {
        return Err(StoreError::NotFound(Resource::Namespace));
    }
    Ok(found)
}

/// An error undoes what was done before it.
pub(super) fn table_swap(connection: &Connection, place: Place, swap: &Swap<'_>, change: &Change) -> Result<()> {
    let before = move_pointer_and_tell(connection, place, swap, change)?;
    take_place(connection, place, swap, before.as_deref(), change.at_ms)
}

/// Sees to it that a table whose pointer was moved may be where it is, if its files are not all where they were.
fn take_place(
    connection: &Connection,
    place: Place,
    swap: &Swap<'_>,
    before: Option<&[Location]>,
    at_ms: i64,
) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    replace_dropped(connection, place, swap.id, swap.locations.own(), at_ms)?;
    check_free(connection, place, swap.id, swap.locations.beyond(before))
}

/// Moves a pointer as [`move_pointer`] does, and writes the event of it.
pub(super) fn move_pointer_and_tell(
    connection: &Connection,
    place: Place,
    swap: &Swap<'_>,
    change: &Change,
) -> Result<Option<Vec<Location>>> {
    let Moved { kind, name, before } = move_pointer(connection, place, swap, change.at_ms)?;
    let operation = if *swap.past == Past::Foreign { Operation::register(kind) } else { Operation::update(kind) };
    let mut details = swap.details.clone();
    details.insert(POINTER_BEFORE.to_owned(), swap.expected.into());
    details.insert(POINTER_AFTER.to_owned(), swap.new.into());
    let object = EventObject::new(kind, Some(swap.id.0), name);
    event_add(connection, change, place, operation, &object, &details)?;
    Ok(before)
}

/// What a moved pointer is of.
pub(super) struct Moved {
    pub(super) kind: TableKind,
    /// Its name, with its namespace.
    pub(super) name: String,
    /// What it had reserved, where its files are not all where they were.
    pub(super) before: Option<Vec<Location>>,
}

/// Moves a pointer, wherever the table's files go.
pub(super) fn move_pointer(connection: &Connection, place: Place, swap: &Swap<'_>, at_ms: i64) -> Result<Moved> {
    let (own, others) = (swap.locations.own().as_str(), others_text(swap.locations.others()));
    let make = |sql: &str| {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            swap.id.0.as_bytes(),
            swap.expected,
            swap.new,
            own,
            others,
            at_ms,
        ])?;
        let moved = rows.next()?.map(name_at).transpose()?;
        // To its end, where the constraints are checked.
        if moved.is_some() {
            rows.next()?;
        }
        Ok::<_, StoreError>(moved)
    };
    // Nearly always the table stays where it is, and there is nothing else to do.
    if let Some((kind, name)) = make(SWAP_IN_PLACE)? {
        note_past(connection, place, swap)?;
        return Ok(Moved { kind, name, before: None });
    }
    let before: Option<(String, String, String)> = connection
        .prepare_cached(
            "SELECT kind, location, others FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
        )?
        .query_row(
            params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), swap.id.0.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let Some((of, name)) = make(SWAP_AND_MOVE)? else {
        check_pointer(connection, place, swap.id, swap.expected)?;
        return Err(StoreError::PointerMoved);
    };
    if *swap.past == Past::Foreign {
        note_past(connection, place, swap)?;
    }
    hold_instead(connection, place, swap.id, swap.locations.reserved())?;
    // Whatever was not known of it, its document from now on is.
    remove_unread(connection, place.organisation, swap.id)?;
    let before = before.map(|(of, own, others)| reserved(kind(&of)?, &own, &others)).transpose()?;
    Ok(Moved { kind: of, name, before })
}

/// Kind and full name in the first columns of a row: kind, namespace, name.
fn name_at(row: &Row<'_>) -> Result<(TableKind, String)> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let namespace = namespace(text(1)?)?;
    Ok((kind(text(0)?)?, format!("{namespace}.{}", text(2)?)))
}

/// An error undoes what was done before it.
pub(super) fn table_undo(connection: &Connection, place: Place, undo: &Undo<'_>, change: &Change) -> Result<()> {
    let Undo { id, made, before } = *undo;
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), made.into());
    let (kind, name) = match before {
        Some((pointer, locations)) => {
            details.insert(POINTER_AFTER.to_owned(), pointer.into());
            let (past, no_details) = (&Past::Foreign, &EventDetails::new());
            let swap = Swap { id, expected: made, new: pointer, locations, past, details: no_details };
            let moved = move_pointer(connection, place, &swap, change.at_ms)?;
            take_place(connection, place, &swap, moved.before.as_deref(), change.at_ms)?;
            (moved.kind, moved.name)
        }
        None => remove_again(connection, place, id, made)?,
    };
    let object = EventObject::new(kind, Some(id.0), name);
    event_add(connection, change, place, Operation::UndoRegisterTable, &object, &details)
}

/// Forgets a table that was added a moment ago and is as it was.
fn remove_again(connection: &Connection, place: Place, id: TableId, made: &str) -> Result<(TableKind, String)> {
    check_pointer(connection, place, id, made)?;
    let name = connection
        .prepare_cached(
            "DELETE FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 RETURNING kind, namespace, name",
        )?
        .query_and_then(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), id.0.as_bytes()], name_at)?
        .collect::<Result<Vec<_>>>()?
        .pop();
    location_forget(connection, place.organisation, id)?;
    report_forget(connection, place.organisation, id)?;
    name.ok_or(StoreError::NotFound(Resource::Table))
}

/// Whether a table's pointer is still where it was seen.
pub(super) fn check_pointer(connection: &Connection, place: Place, id: TableId, expected: &str) -> Result<()> {
    let pointer: Option<String> = connection
        .prepare_cached("SELECT metadata_location FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3")?
        .query_row(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), id.0.as_bytes()], |row| {
            row.get(0)
        })
        .optional()?;
    match pointer {
        Some(pointer) if pointer == expected => Ok(()),
        Some(_) => Err(StoreError::PointerMoved),
        None => Err(StoreError::NotFound(Resource::Table)),
    }
}

pub(super) fn table_drop(
    connection: &Connection,
    place: Place,
    ident: &TableIdent,
    kind: TableKind,
    terms: Option<&DropTerms>,
    change: &Change,
) -> Result<TableRecord> {
    if let Some(terms) = terms {
        keep(connection, place, ident, kind, terms, change.at_ms)?;
    }
    let mut statement = connection.prepare_cached(
        "DELETE FROM tabular
         WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5
         RETURNING id, kind, metadata_location",
    )?;
    let mut rows = statement.query(params![
        place.organisation.0.as_bytes(),
        place.warehouse.0.as_bytes(),
        ident.namespace.as_key(),
        ident.name(),
        kind_text(kind),
    ])?;
    let dropped = match rows.next()? {
        Some(row) => record_at(row)?,
        None => return Err(StoreError::NotFound(resource(kind))),
    };
    // To its end, where the constraints are checked.
    rows.next()?;
    if terms.is_none() || kind == TableKind::View {
        // A dropped view has no files that a new table's could be mistaken for.
        location_forget(connection, place.organisation, dropped.id)?;
    }
    if terms.is_none() {
        report_forget(connection, place.organisation, dropped.id)?;
    }
    let mut details = EventDetails::new();
    details.insert(POINTER_BEFORE.to_owned(), dropped.metadata_location.clone().into());
    if let Some(terms) = terms {
        details.insert("restorable-until-ms".to_owned(), terms.restorable_until_ms.into());
        details.insert("purge".to_owned(), terms.purge.into());
    }
    let object = EventObject::new(kind, Some(dropped.id.0), ident.to_string());
    event_add(connection, change, place, Operation::drop(kind), &object, &details)?;
    Ok(dropped)
}

pub(super) fn table_rename(
    connection: &Connection,
    place: Place,
    from: &TableIdent,
    to: &TableIdent,
    kind: TableKind,
    change: &Change,
) -> Result<()> {
    let renamed = connection
        .prepare_cached(
            "UPDATE tabular SET namespace = ?6, name = ?7
             WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5 RETURNING id",
        )?
        .query_map(
            params![
                place.organisation.0.as_bytes(),
                place.warehouse.0.as_bytes(),
                from.namespace.as_key(),
                from.name(),
                kind_text(kind),
                to.namespace.as_key(),
                to.name(),
            ],
            |row| Ok(id(TableId, row.get(0)?)),
        )
        .and_then(Iterator::collect::<rusqlite::Result<Vec<TableId>>>);
    match renamed.as_deref() {
        Ok([]) => Err(StoreError::NotFound(resource(kind))),
        // Its own name is taken too, by itself.
        Ok(_) if from == to => Err(StoreError::AlreadyExists(resource(kind))),
        Ok([id, ..]) => {
            let object = EventObject::new(kind, Some(id.0), from.to_string()).renamed(to.to_string());
            event_add(connection, change, place, Operation::rename(kind), &object, &EventDetails::new())
        }
        Err(error) => Err(match violation(error) {
            Some(Violation::Unique) => {
                let taken_by = table_get(connection, place, to)?.map_or(kind, |taken| taken.kind);
                StoreError::AlreadyExists(resource(taken_by))
            }
            Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
            None => return renamed.map(drop).map_err(Into::into),
        }),
    }
}

/// One row, however many there are: triggers count.
pub(super) fn table_count(connection: &Connection, organisation: OrganisationId) -> Result<u64> {
    let tables =
        connection.prepare_cached(COUNT)?.query_row([organisation.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(tables.map_or(0, count))
}
