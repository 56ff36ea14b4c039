//! Labels of namespaces, tables and views.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::labels::{LabelFilter, LabelUpdate, Labels};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio_postgres::Row;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, get};
use super::digests::namespace_digest;
use super::events::event_add;
use super::generations::raise;
use super::pages::{after_name, is_storable, one_more};
use super::params::params;
use super::state_rows::{self, Affected};
use super::table_rows::{kind_text, namespace, record_at, resource};
use crate::store::labels::{Labelling, labels_column, labels_of_column};
use crate::store::pages::{MOST_LARGE_ITEMS, PageFill};
use crate::store::{
    Change, EventDetails, EventObject, LabelStore, LabelledObject, LabelledPage, LabelledTabular, ObjectKind,
    Operation, Page, PageRequest, Resource, Result, StoreError, TableKind, WarehouseRef, note_name, note_namespace,
};

/// The tables and views with labels, from their index.
const LABELLED: &str = "SELECT id, kind, metadata_location, owner, labels, namespace, name FROM tabular
    WHERE organisation = $1 AND warehouse = $2 AND id > $3 AND labels IS NOT NULL ORDER BY id LIMIT $4";

/// The tables and views of a namespace.
const IN_NAMESPACE: &str = "SELECT id, kind, metadata_location, owner, labels, namespace, name FROM tabular
    WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = $6 AND namespace = $3 AND name > $4
    ORDER BY name LIMIT $5";

/// How many rows of [`LABELLED`] are read at once. Labels have at most 16 KiB.
const MOST_AT_ONCE: i64 = 250;

type Outcome<T> = std::result::Result<T, Failure>;

/// The labels of an object as stored, and its event.
struct Found {
    labels: Option<String>,
    object: EventObject,
    details: EventDetails,
}

/// Locks a namespace and the organisation, whose servers have the labels of namespaces in memory.
async fn lock_namespace(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    ident: &NamespaceIdent,
) -> Outcome<Found> {
    // No column can hold U+0000, so no namespace has such a name.
    if !is_storable(ident.as_key()) {
        return Err(StoreError::NotFound(Resource::Namespace).into());
    }
    state_rows::lock_for(transaction, warehouse_ref.organisation, Resource::Namespace).await?;
    let row = transaction
        .query_first(
            "SELECT labels FROM namespace
             WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3 FOR NO KEY UPDATE",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, ident.as_key(), namespace_digest(ident)],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Namespace))?;
    let mut details = EventDetails::new();
    note_namespace(&mut details, ident);
    let object = EventObject::new(ObjectKind::Namespace, None, ident.to_string());
    Ok(Found { labels: get(&row, 0)?, object, details })
}

/// Locks a table or view.
async fn lock_tabular(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (kind, id): (TableKind, TableId),
) -> Outcome<Found> {
    let row = transaction
        .query_first(
            "SELECT namespace, name, labels FROM tabular
             WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND kind = $4 FOR NO KEY UPDATE",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0, kind_text(kind)],
        )
        .await?
        .ok_or(StoreError::NotFound(resource(kind)))?;
    let ident = TableIdent::new(namespace(get(&row, 0)?)?, get(&row, 1)?);
    let ident = ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?;
    let mut details = EventDetails::new();
    note_name(&mut details, &ident);
    let object = EventObject::new(kind, Some(id.0), ident.to_string());
    Ok(Found { labels: get(&row, 2)?, object, details })
}

/// Writes the labels of a namespace, and tells all servers of the organisation.
async fn write_to_namespace(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    ident: &NamespaceIdent,
    text: Option<&str>,
    most_bytes: u64,
) -> Outcome<()> {
    let organisation = warehouse_ref.organisation;
    transaction
        .query(
            "UPDATE namespace SET labels = $4
             WHERE organisation = $1 AND warehouse = $2 AND digest = $5 AND key = $3",
            params![organisation.0, warehouse_ref.warehouse.0, ident.as_key(), text, namespace_digest(ident)],
        )
        .await?;
    let beyond = transaction
        .query_first(
            "SELECT 1 FROM namespace WHERE organisation = $1 AND labels IS NOT NULL
             HAVING sum(octet_length(labels)) > $2",
            params![organisation.0, column(most_bytes)],
        )
        .await?;
    if text.is_some() && beyond.is_some() {
        return Err(StoreError::LimitReached { limit: most_bytes }.into());
    }
    raise(transaction, organisation, &[Affected::Organisation]).await
}

async fn labels_update(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    on: &LabelledObject,
    update: &LabelUpdate,
    most_bytes: u64,
    change: &Change,
) -> Outcome<Labels> {
    let Found { labels: before, object, mut details } = match on {
        LabelledObject::Namespace(ident) => lock_namespace(transaction, warehouse_ref, ident).await?,
        LabelledObject::Tabular(kind, id) => lock_tabular(transaction, warehouse_ref, (*kind, *id)).await?,
    };
    let after = update.apply(&labels_of_column(before.as_deref())?.unwrap_or_default()).map_err(StoreError::from)?;
    let text = labels_column(&after);
    if text == before {
        return Ok(after);
    }
    match on {
        LabelledObject::Namespace(ident) => {
            write_to_namespace(transaction, warehouse_ref, ident, text.as_deref(), most_bytes).await?;
        }
        LabelledObject::Tabular(_, id) => {
            let values = params![warehouse_ref.organisation.0, id.0, text];
            transaction.query("UPDATE tabular SET labels = $3 WHERE organisation = $1 AND id = $2", values).await?;
        }
    }
    details.insert("labels".to_owned(), after.to_json().into());
    event_add(transaction, change, warehouse_ref, Operation::SetLabels, &object, &details).await?;
    Ok(after)
}

/// Returns the table or view of a row with the columns of [`LABELLED`].
fn labelled_at(row: &Row) -> Result<Option<LabelledTabular>> {
    let ident = TableIdent::new(namespace(get(row, 5)?)?, get(row, 6)?);
    let ident = ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?;
    Ok(record_at(row, 0)?.map(|record| LabelledTabular { ident, record }))
}

#[async_trait]
impl LabelStore for PostgresStore {
    async fn labels_update(
        &self,
        warehouse_ref: WarehouseRef,
        on: &LabelledObject,
        update: &LabelUpdate,
        most_bytes: u64,
        change: &Change,
    ) -> Result<Labels> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            labels_update(transaction, warehouse_ref, on, update, most_bytes, change)
        })
    }

    async fn labelled_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &LabelFilter,
        after: Option<TableId>,
        limit: u32,
    ) -> Result<LabelledPage> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let mut page = Labelling::new(filter, limit);
        loop {
            let last = page.last().or(after).map(|last| last.0).unwrap_or_default();
            let rows = self.read(LABELLED, params![organisation, warehouse, last, MOST_AT_ONCE]).await?;
            for row in &rows {
                if page.is_full() {
                    return Ok(page.end(false));
                }
                if let Some(one) = labelled_at(row)? {
                    page.add(one, row.raw_size_bytes());
                }
            }
            if (rows.len() as u64) < u64::try_from(MOST_AT_ONCE).unwrap_or(u64::MAX) {
                return Ok(page.end(true));
            }
        }
    }

    async fn tabular_list(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &NamespaceIdent,
        after: &str,
        limit: u32,
    ) -> Result<Page<LabelledTabular>> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let page = PageRequest { after: Some(after.to_owned()), limit: Some(limit.min(MOST_LARGE_ITEMS)) };
        let (key, digest) = (ident.as_key(), namespace_digest(ident));
        let (after, limit) = (after_name(&page), one_more(&page));
        let rows = self.read(IN_NAMESPACE, params![organisation, warehouse, key, after, limit, digest]).await?;
        let (mut items, mut fill) = (Vec::new(), PageFill::of_large_items(page.limit));
        for row in &rows {
            if fill.is_full() {
                return Ok(Page { items, more: true });
            }
            fill.count_row(row.raw_size_bytes(), true);
            items.extend(labelled_at(row)?);
        }
        Ok(Page { items, more: false })
    }

    async fn labels_of_namespaces(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(WarehouseId, NamespaceIdent, Labels)>> {
        let sql = "SELECT warehouse, key, labels FROM namespace WHERE organisation = $1 AND labels IS NOT NULL";
        let rows = self.read_needed(sql, params![organisation.0]).await?;
        let one = |row: &Row| {
            let labels = labels_of_column(Some(get(row, 2)?))?.unwrap_or_default();
            Ok((WarehouseId(get(row, 0)?), namespace(get(row, 1)?)?, labels))
        };
        rows.iter().map(one).collect()
    }
}
