//! Namespaces and their properties.

use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::name::NamespaceIdent;

use super::convert::{Violation, namespace as namespace_of, properties, properties_text, violation};
use super::tenants::warehouse_exists;
use crate::store::{Page, PageRequest, Place, Properties, PropertyChanges, Resource, Result, StoreError};

const NOT_FOUND: StoreError = StoreError::NotFound(Resource::Namespace);

/// `IS` finds NULL, the parent of what is at the top, and uses the index as `=` does.
pub(super) const LIST: &str = "SELECT key FROM namespace
    WHERE organisation = ?1 AND warehouse = ?2 AND parent IS ?3 AND key > ?4 ORDER BY key LIMIT ?5";

pub(super) fn namespace_create(
    connection: &Connection,
    place: Place,
    namespace: &NamespaceIdent,
    properties: &Properties,
) -> Result<()> {
    let parent = namespace.parent();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO namespace (organisation, warehouse, key, parent, properties) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            namespace.as_key(),
            parent.as_ref().map(NamespaceIdent::as_key),
            properties_text(properties)?,
        ]);
    let Err(error) = inserted else { return Ok(()) };
    match violation(&error) {
        Some(Violation::Unique) => Err(StoreError::AlreadyExists(Resource::Namespace)),
        Some(Violation::ForeignKey) if warehouse_exists(connection, place.organisation, place.warehouse)? => {
            Err(NOT_FOUND)
        }
        Some(Violation::ForeignKey) => Err(StoreError::NotFound(Resource::Warehouse)),
        None => Err(error.into()),
    }
}

pub(super) fn namespace_get(
    connection: &Connection,
    place: Place,
    namespace: &NamespaceIdent,
) -> Result<Option<Properties>> {
    let mut statement = connection
        .prepare_cached("SELECT properties FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?;
    let mut rows =
        statement.query(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), namespace.as_key()])?;
    match rows.next()? {
        Some(row) => properties(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?).map(Some),
        None => Ok(None),
    }
}

/// Whether there is such a namespace.
pub(super) fn namespace_exists(connection: &Connection, place: Place, namespace: &NamespaceIdent) -> Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .query_row(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), namespace.as_key()], |_| {
            Ok(())
        })
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn namespace_list(
    connection: &Connection,
    place: Place,
    parent: Option<&NamespaceIdent>,
    page: &PageRequest,
) -> Result<Page<NamespaceIdent>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let keys = statement.query_and_then(
        params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            parent.map(NamespaceIdent::as_key),
            page.after.as_deref().unwrap_or(""),
            one_more(page),
        ],
        |row| namespace_of(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?),
    )?;
    let found = page_of(keys.collect::<Result<Vec<_>>>()?, page);
    match parent {
        // What lists something exists; only of an empty list one cannot tell.
        Some(parent) if found.items.is_empty() && !namespace_exists(connection, place, parent)? => Err(NOT_FOUND),
        _ => Ok(found),
    }
}

/// How many rows to read for a page: one more than it holds, which tells whether another follows. Negative is no limit.
pub(super) fn one_more(page: &PageRequest) -> i64 {
    page.limit.map_or(-1, |limit| i64::from(limit) + 1)
}

/// The page from the rows that [`one_more`] asked for.
pub(super) fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let limit = page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let more = items.len() > limit;
    items.truncate(limit);
    Page { items, more }
}

pub(super) fn namespace_update_properties(
    connection: &Connection,
    place: Place,
    namespace: &NamespaceIdent,
    updates: &Properties,
    removals: &[String],
) -> Result<PropertyChanges> {
    let mut properties = namespace_get(connection, place, namespace)?.ok_or(NOT_FOUND)?;
    let mut changes = PropertyChanges { updated: updates.keys().cloned().collect(), ..PropertyChanges::default() };
    for key in removals {
        if properties.remove(key).is_some() {
            changes.removed.push(key.clone());
        } else if !changes.removed.contains(key) && !changes.missing.contains(key) {
            changes.missing.push(key.clone());
        }
    }
    properties.extend(updates.clone());
    connection
        .prepare_cached("UPDATE namespace SET properties = ?4 WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            namespace.as_key(),
            properties_text(&properties)?,
        ])?;
    Ok(changes)
}

pub(super) fn namespace_drop(connection: &Connection, place: Place, namespace: &NamespaceIdent) -> Result<()> {
    let dropped = connection
        .prepare_cached("DELETE FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .execute(params![place.organisation.0.as_bytes(), place.warehouse.0.as_bytes(), namespace.as_key()]);
    match dropped {
        Ok(0) => Err(NOT_FOUND),
        Ok(_) => Ok(()),
        Err(error) if violation(&error) == Some(Violation::ForeignKey) => {
            Err(StoreError::NotEmpty(Resource::Namespace))
        }
        Err(error) => Err(error.into()),
    }
}
