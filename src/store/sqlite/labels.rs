//! Labels of namespaces, tables and views.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::labels::{LabelFilter, LabelUpdate, Labels};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::SqliteStore;
use super::convert::{bounded, id, kind_text, namespace};
use super::events::event_add;
use super::pages::row_bytes;
use super::pointers::resource;
use super::table_rows::record_at;
use crate::store::labels::{Labelling, labels_column, labels_of_column};
use crate::store::pages::PageFill;
use crate::store::{
    Change, EventDetails, EventObject, LabelStore, LabelledObject, LabelledPage, LabelledTabular, ObjectKind,
    Operation, Page, Resource, Result, StoreError, TableKind, WarehouseRef, note_name, note_namespace,
};

/// The labels of an object as stored, and its event.
struct Found {
    labels: Option<String>,
    object: EventObject,
    details: EventDetails,
}

fn find_namespace(connection: &Connection, warehouse_ref: WarehouseRef, ident: &NamespaceIdent) -> Result<Found> {
    let found: Option<Option<String>> = connection
        .prepare_cached("SELECT labels FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), ident.as_key()],
            |row| row.get(0),
        )
        .optional()?;
    let labels = found.ok_or(StoreError::NotFound(Resource::Namespace))?;
    let mut details = EventDetails::new();
    note_namespace(&mut details, ident);
    Ok(Found { labels, object: EventObject::new(ObjectKind::Namespace, None, ident.to_string()), details })
}

fn find_tabular(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (kind, id): (TableKind, TableId),
) -> Result<Found> {
    let found: Option<(String, String, Option<String>)> = connection
        .prepare_cached(
            "SELECT namespace, name, labels FROM tabular
             WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = ?4",
        )?
        .query_row(
            params![
                warehouse_ref.organisation.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
                id.0.as_bytes(),
                kind_text(kind)
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let (of, name, labels) = found.ok_or(StoreError::NotFound(resource(kind)))?;
    let ident = TableIdent::new(namespace(&of)?, &name);
    let ident = ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?;
    let mut details = EventDetails::new();
    note_name(&mut details, &ident);
    Ok(Found { labels, object: EventObject::new(kind, Some(id.0), ident.to_string()), details })
}

fn labels_update(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    on: &LabelledObject,
    update: &LabelUpdate,
    most_bytes: u64,
    change: &Change,
) -> Result<Labels> {
    let Found { labels: before, object, mut details } = match on {
        LabelledObject::Namespace(ident) => find_namespace(connection, warehouse_ref, ident)?,
        LabelledObject::Tabular(kind, id) => find_tabular(connection, warehouse_ref, (*kind, *id))?,
    };
    let after = update.apply(&labels_of_column(before.as_deref())?.unwrap_or_default())?;
    let text = labels_column(&after);
    if text == before {
        return Ok(after);
    }
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    match on {
        LabelledObject::Namespace(ident) => {
            connection
                .prepare_cached(
                    "UPDATE namespace SET labels = ?4 WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3",
                )?
                .execute(params![organisation.as_bytes(), warehouse.as_bytes(), ident.as_key(), text])?;
            let bytes: i64 = connection
                .prepare_cached(
                    "SELECT coalesce(sum(length(CAST(labels AS BLOB))), 0) FROM namespace
                     WHERE organisation = ?1 AND labels IS NOT NULL",
                )?
                .query_row([organisation.as_bytes()], |row| row.get(0))?;
            if text.is_some() && bytes > bounded(most_bytes) {
                return Err(StoreError::LimitReached { limit: most_bytes });
            }
        }
        LabelledObject::Tabular(_, id) => {
            connection
                .prepare_cached("UPDATE tabular SET labels = ?3 WHERE organisation = ?1 AND id = ?2")?
                .execute(params![organisation.as_bytes(), id.0.as_bytes(), text])?;
        }
    }
    details.insert("labels".to_owned(), after.to_json().into());
    event_add(connection, change, warehouse_ref, Operation::SetLabels, &object, &details)?;
    Ok(after)
}

/// The tables and views with labels, from their index.
const LABELLED: &str = "SELECT id, kind, metadata_location, owner, labels, namespace, name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND id > ?3 AND labels IS NOT NULL ORDER BY id";

fn labelled_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &LabelFilter,
    after: Option<TableId>,
    limit: u32,
) -> Result<LabelledPage> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let after = after.map(|after| after.0).unwrap_or_default();
    let mut statement = connection.prepare_cached(LABELLED)?;
    let mut rows = statement.query(params![organisation.as_bytes(), warehouse.as_bytes(), after.as_bytes()])?;
    let mut page = Labelling::new(filter, limit);
    while let Some(row) = rows.next()? {
        if page.is_full() {
            return Ok(page.end(false));
        }
        page.add(labelled_at(row)?, row_bytes(row));
    }
    Ok(page.end(true))
}

/// The tables and views of a namespace.
const IN_NAMESPACE: &str = "SELECT id, kind, metadata_location, owner, labels, namespace, name FROM tabular
    WHERE organisation = ?1 AND warehouse = ?2 AND namespace = ?3 AND name > ?4 ORDER BY name";

fn tabular_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    after: &str,
    limit: u32,
) -> Result<Page<LabelledTabular>> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let mut statement = connection.prepare_cached(IN_NAMESPACE)?;
    let mut rows =
        statement.query(params![organisation.as_bytes(), warehouse.as_bytes(), namespace.as_key(), after])?;
    let (mut items, mut fill) = (Vec::new(), PageFill::of_large_items(Some(limit)));
    while let Some(row) = rows.next()? {
        if fill.is_full() {
            return Ok(Page { items, more: true });
        }
        fill.count_row(row_bytes(row), true);
        items.push(labelled_at(row)?);
    }
    Ok(Page { items, more: false })
}

/// Returns the table or view of a row with the columns of [`LABELLED`].
fn labelled_at(row: &Row<'_>) -> Result<LabelledTabular> {
    let (of, name): (String, String) = (row.get(5)?, row.get(6)?);
    let ident = TableIdent::new(namespace(&of)?, &name);
    let ident = ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?;
    Ok(LabelledTabular { ident, record: record_at(row)? })
}

#[async_trait]
impl LabelStore for SqliteStore {
    async fn labels_update(
        &self,
        warehouse_ref: WarehouseRef,
        on: &LabelledObject,
        update: &LabelUpdate,
        most_bytes: u64,
        change: &Change,
    ) -> Result<Labels> {
        let (on, update, change) = (on.clone(), update.clone(), change.clone());
        self.write(move |connection| labels_update(connection, warehouse_ref, &on, &update, most_bytes, &change)).await
    }

    async fn labelled_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &LabelFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<LabelledPage> {
        let filter = filter.clone();
        let list = move |connection: &Connection| labelled_list(connection, warehouse_ref, &filter, after, limit);
        self.read_list(Some(warehouse_ref.organisation), list).await
    }

    async fn tabular_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        after: &str,
        limit: u32,
    ) -> Result<Page<LabelledTabular>> {
        let (namespace, after) = (namespace.clone(), after.to_owned());
        let list = move |connection: &Connection| tabular_list(connection, warehouse_ref, &namespace, &after, limit);
        self.read_list(Some(warehouse_ref.organisation), list).await
    }

    async fn labels_of_namespaces(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(WarehouseId, NamespaceIdent, Labels)>> {
        let list = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT warehouse, key, labels FROM namespace WHERE organisation = ?1 AND labels IS NOT NULL",
            )?;
            let rows = statement.query_and_then([organisation.0.as_bytes()], |row| {
                let (key, text): (String, String) = (row.get(1)?, row.get(2)?);
                let labels = labels_of_column(Some(&text))?.unwrap_or_default();
                Ok::<_, StoreError>((id(WarehouseId, row.get(0)?), namespace(&key)?, labels))
            })?;
            rows.collect()
        };
        self.read_needed(Some(organisation), list).await
    }
}
