//! Tables and views: names and pointers.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::convert::{Violation, count, id, kind, kind_text, violation};
use super::dropped::{keep, replace_dropped};
use super::locations::{check_free, hold, hold_instead, location_forget, others_text, remove_unread, reserved};
use super::namespaces::{namespace_exists, one_more, page_of};
use super::old_documents::{adopt, note_past};
use super::reports::report_forget;
use crate::store::{
    DropTerms, NewTable, Page, PageRequest, Past, Place, Resource, Result, StoreError, Swap, TableKind, TableRecord,
    Undo,
};

/// The hot path of a load.
pub(super) const GET: &str = "SELECT id, kind, metadata_location FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4";
pub(super) const LIST: &str = "SELECT name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND kind = ?4 AND name > ?5
    ORDER BY name LIMIT ?6";

/// The whole of nearly every commit.
pub(super) const SWAP_IN_PLACE: &str = "UPDATE tabular SET metadata_location = ?5, updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4 AND location = ?6 AND others = ?7";
pub(super) const COUNT: &str = "SELECT tables FROM tabular_count WHERE organisation = ?1";
/// What a table wrote where it was before may be another's by the time that it comes back.
const SWAP_AND_MOVE: &str = "UPDATE tabular SET metadata_location = ?5, location = ?6, others = ?7, origin = ?4,
                                            updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4";

pub(super) const fn resource(kind: TableKind) -> Resource {
    match kind {
        TableKind::Table => Resource::Table,
        TableKind::View => Resource::View,
    }
}

fn record_at(row: &Row<'_>) -> Result<TableRecord> {
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
) -> Result<()> {
    insert(connection, place, new)?;
    replace_dropped(connection, place, new.id, new.locations.own(), new.now_ms)?;
    check_free(connection, place, new.id, new.locations.reserved())?;
    check_limit(connection, place.organisation, max_tables)
}

/// Adds a table, wherever its files are and however many there are.
pub(super) fn insert(connection: &Connection, place: Place, new: &NewTable<'_>) -> Result<()> {
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
            new.now_ms,
        ]);
    let Err(error) = inserted else {
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
pub(super) fn table_swap(connection: &Connection, place: Place, swap: &Swap<'_>) -> Result<()> {
    let Some(before) = move_pointer(connection, place, swap)? else { return Ok(()) };
    replace_dropped(connection, place, swap.id, swap.locations.own(), swap.now_ms)?;
    check_free(connection, place, swap.id, swap.locations.beyond(&before))
}

/// Moves a pointer, wherever the table's files go. Where they are not all where they were, gives what it had reserved.
pub(super) fn move_pointer(connection: &Connection, place: Place, swap: &Swap<'_>) -> Result<Option<Vec<Location>>> {
    let (own, others) = (swap.locations.own().as_str(), others_text(swap.locations.others()));
    let make = |sql: &str| {
        let swapped = connection.prepare_cached(sql)?.execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            swap.id.0.as_bytes(),
            swap.expected,
            swap.new,
            own,
            others,
            swap.now_ms,
        ])?;
        Ok::<_, StoreError>(swapped > 0)
    };
    // Nearly always the table stays where it is, and there is nothing else to do.
    if make(SWAP_IN_PLACE)? {
        note_past(connection, place, swap)?;
        return Ok(None);
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
    if !make(SWAP_AND_MOVE)? {
        check_pointer(connection, place, swap.id, swap.expected)?;
        return Err(StoreError::PointerMoved);
    }
    if *swap.past == Past::Foreign {
        note_past(connection, place, swap)?;
    }
    hold_instead(connection, place, swap.id, swap.locations.reserved())?;
    // Whatever was not known of it, its document from now on is.
    remove_unread(connection, place.organisation, swap.id)?;
    before.map(|(of, own, others)| reserved(kind(&of)?, &own, &others)).transpose()
}

/// An error undoes what was done before it.
pub(super) fn table_undo(connection: &Connection, place: Place, undo: &Undo<'_>) -> Result<()> {
    let Undo { id, made, before, now_ms } = *undo;
    if let Some((pointer, locations)) = before {
        let past = &Past::Foreign;
        return table_swap(connection, place, &Swap { id, expected: made, new: pointer, locations, past, now_ms });
    }
    check_pointer(connection, place, id, made)?;
    connection
        .prepare_cached("DELETE FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3")?
        .execute(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), id.0.as_bytes()])?;
    location_forget(connection, place.organisation, id)?;
    report_forget(connection, place.organisation, id)
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
) -> Result<TableRecord> {
    if let Some(terms) = terms {
        keep(connection, place, ident, kind, terms)?;
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
    Ok(dropped)
}

pub(super) fn table_rename(
    connection: &Connection,
    place: Place,
    from: &TableIdent,
    to: &TableIdent,
    kind: TableKind,
) -> Result<()> {
    let renamed = connection
        .prepare_cached(
            "UPDATE tabular SET namespace = ?6, name = ?7
             WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name = ?4 AND kind = ?5",
        )?
        .execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            from.namespace.as_key(),
            from.name(),
            kind_text(kind),
            to.namespace.as_key(),
            to.name(),
        ]);
    match renamed {
        Ok(0) => Err(StoreError::NotFound(resource(kind))),
        // Its own name is taken too, by itself.
        Ok(_) if from == to => Err(StoreError::AlreadyExists(resource(kind))),
        Ok(_) => Ok(()),
        Err(error) => Err(match violation(&error) {
            Some(Violation::Unique) => {
                let taken_by = table_get(connection, place, to)?.map_or(kind, |taken| taken.kind);
                StoreError::AlreadyExists(resource(taken_by))
            }
            Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
            None => error.into(),
        }),
    }
}

/// One row, however many there are: triggers count.
pub(super) fn table_count(connection: &Connection, organisation: OrganisationId) -> Result<u64> {
    let tables =
        connection.prepare_cached(COUNT)?.query_row([organisation.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(tables.map_or(0, count))
}
