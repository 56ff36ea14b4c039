//! Rows of tables and views: the common steps of creates, pointer moves and restores.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::convert::{Violation, count, kind, kind_text, namespace, violation};
use super::events::event_add;
use super::location_rows::{others_text, replace_locations, reserve_locations, reserved};
use super::old_documents::{note_past, set_origin};
use super::table_rows::table_get;
use crate::store::{
    Change, EventObject, NewTable, Operation, Origin, Resource, Result, StoreError, Swap, TableKind, WarehouseRef,
};

/// Moves a pointer of a table whose locations did not change. Nearly all commits need only this.
pub(super) const SWAP_IN_PLACE: &str = "UPDATE tabular SET metadata_location = ?5, updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4 AND location = ?6 AND others = ?7
          AND (?10 IS NULL OR (namespace = ?9 AND name = ?10))
    RETURNING kind, namespace, name";

pub(super) const COUNT: &str = "SELECT tables FROM tabular_count WHERE organisation = ?1";

/// Moves a pointer and changes the locations. The former document becomes the origin: while the table is elsewhere, documents at
/// its former location can become another table's.
const SWAP_AND_MOVE: &str = "UPDATE tabular SET metadata_location = ?5, location = ?6, others = ?7, origin = ?4,
                                            updated_ms = ?8
    WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND metadata_location = ?4
          AND (?10 IS NULL OR (namespace = ?9 AND name = ?10))
    RETURNING kind, namespace, name";

/// The details of an event with the former and the new pointer.
pub(super) const POINTER_BEFORE: &str = "pointer-before";

pub(super) const POINTER_AFTER: &str = "pointer-after";

pub(super) const fn resource(kind: TableKind) -> Resource {
    match kind {
        TableKind::Table => Resource::Table,
        TableKind::View => Resource::View,
    }
}

/// Adds the row of a table or view. Checks neither its locations nor the limit of tables.
pub(super) fn insert(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    new: &NewTable<'_>,
    change: &Change,
) -> Result<()> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location,
                                  others, created_ms, updated_ms, owner)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10,
                     coalesce((SELECT principal FROM api_key WHERE organisation = ?1 AND id = ?11),
                              (SELECT id FROM principal WHERE organisation = ?1 AND id = ?11 AND issuer IS NOT NULL)))",
        )?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            new.ident.namespace.as_key(),
            new.ident.name(),
            new.id.0.as_bytes(),
            kind_text(new.kind),
            new.metadata_location,
            new.locations.own().as_str(),
            others_text(new.locations.others()),
            change.at_ms,
            change.actor.id().map(uuid::Uuid::into_bytes),
        ]);
    let Err(error) = inserted else {
        let operation = match new.origin {
            Origin::Foreign => Operation::register(new.kind),
            Origin::Catalog => Operation::create(new.kind),
        };
        let mut details = new.details.clone();
        details.insert(POINTER_AFTER.to_owned(), new.metadata_location.into());
        let object = EventObject::new(new.kind, Some(new.id.0), new.ident.to_string());
        event_add(connection, change, warehouse_ref, operation, &object, &details)?;
        if new.origin == Origin::Foreign {
            set_origin(connection, warehouse_ref, new.id, new.metadata_location)?;
        }
        return reserve_locations(connection, warehouse_ref, new.id, new.locations.reserved());
    };
    Err(match violation(&error) {
        // The name is taken, or the id, if a caller uses one twice.
        Some(Violation::Unique) => {
            let taken_by = table_get(connection, warehouse_ref, new.ident)?.map_or(new.kind, |taken| taken.kind);
            StoreError::AlreadyExists(resource(taken_by))
        }
        Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
        None => error.into(),
    })
}

/// Fails if the organisation has more tables and views than `limit`.
pub(super) fn check_limit(connection: &Connection, organisation: OrganisationId, limit: Option<u64>) -> Result<()> {
    match limit {
        Some(limit) if table_count(connection, organisation)? > limit => Err(StoreError::LimitReached { limit }),
        _ => Ok(()),
    }
}

/// Moves a pointer as [`move_pointer`] does, and writes the event. Returns the former locations if they changed.
pub(super) fn move_pointer_and_tell(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    change: &Change,
) -> Result<Option<Vec<Location>>> {
    let Moved { kind, name, before } = move_pointer(connection, warehouse_ref, swap, change.at_ms)?;
    let operation = match swap.origin {
        Origin::Foreign => Operation::register(kind),
        Origin::Catalog => Operation::update(kind),
    };
    let mut details = swap.details.clone();
    details.insert(POINTER_BEFORE.to_owned(), swap.expected.into());
    details.insert(POINTER_AFTER.to_owned(), swap.new.into());
    let object = EventObject::new(kind, Some(swap.id.0), name);
    event_add(connection, change, warehouse_ref, operation, &object, &details)?;
    Ok(before)
}

/// The table or view of a moved pointer.
pub(super) struct Moved {
    pub(super) kind: TableKind,
    /// Its full name, with its namespace.
    pub(super) name: String,
    /// Its former reserved locations, if the locations changed.
    pub(super) before: Option<Vec<Location>>,
}

/// Moves a pointer, with the table's locations. Does not check whether new locations are free.
pub(super) fn move_pointer(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    at_ms: i64,
) -> Result<Moved> {
    let (own, others) = (swap.locations.own().as_str(), others_text(swap.locations.others()));
    let make = |sql: &str| {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            swap.id.0.as_bytes(),
            swap.expected,
            swap.new,
            own,
            others,
            at_ms,
            swap.ident.map(|ident| ident.namespace.as_key()),
            swap.ident.map(TableIdent::name),
        ])?;
        let moved = rows.next()?.map(name_at).transpose()?;
        // Run the statement to its end, where SQLite checks the constraints.
        if moved.is_some() {
            rows.next()?;
        }
        Ok::<_, StoreError>(moved)
    };
    // Nearly always the locations did not change, and nothing else is to do.
    if let Some((kind, name)) = make(SWAP_IN_PLACE)? {
        note_past(connection, warehouse_ref, swap)?;
        return Ok(Moved { kind, name, before: None });
    }
    let before: Option<(String, String, String)> = connection
        .prepare_cached(
            "SELECT kind, location, others FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
        )?
        .query_row(
            params![
                warehouse_ref.organisation.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
                swap.id.0.as_bytes()
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let Some((of, name)) = make(SWAP_AND_MOVE)? else {
        check_pointer(connection, warehouse_ref, (swap.id, swap.ident), swap.expected)?;
        return Err(StoreError::PointerMoved);
    };
    if swap.origin == Origin::Foreign {
        note_past(connection, warehouse_ref, swap)?;
    }
    replace_locations(connection, warehouse_ref, swap.id, swap.locations.reserved())?;
    let before = before.map(|(of, own, others)| reserved(kind(&of)?, &own, &others)).transpose()?;
    Ok(Moved { kind: of, name, before })
}

/// Reads the kind and the full name from the first columns of a row: kind, namespace, name.
pub(super) fn name_at(row: &Row<'_>) -> Result<(TableKind, String)> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let namespace = namespace(text(1)?)?;
    Ok((kind(text(0)?)?, format!("{namespace}.{}", text(2)?)))
}

/// Fails if a table's pointer is not `expected`, or if it has another name than the given one.
pub(super) fn check_pointer(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (id, ident): (TableId, Option<&TableIdent>),
    expected: &str,
) -> Result<()> {
    let is_expected: Option<bool> = connection
        .prepare_cached(
            "SELECT metadata_location = ?4 AND (?6 IS NULL OR (namespace = ?5 AND name = ?6)) FROM tabular
             WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
        )?
        .query_row(
            params![
                warehouse_ref.organisation.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
                id.0.as_bytes(),
                expected,
                ident.map(|ident| ident.namespace.as_key()),
                ident.map(TableIdent::name),
            ],
            |row| row.get(0),
        )
        .optional()?;
    match is_expected {
        Some(true) => Ok(()),
        Some(false) => Err(StoreError::PointerMoved),
        None => Err(StoreError::NotFound(Resource::Table)),
    }
}

/// Returns the number of tables and views of an organisation. Reads one row, which triggers keep current.
pub(super) fn table_count(connection: &Connection, organisation: OrganisationId) -> Result<u64> {
    let tables =
        connection.prepare_cached(COUNT)?.query_row([organisation.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(tables.map_or(0, count))
}
