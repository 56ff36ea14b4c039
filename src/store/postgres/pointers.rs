//! Moves of pointers.

use std::sync::LazyLock;

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::change_author::Author;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{NEW_ID, details_text, event_add};
use super::location_rows::{keys, others_text, replace_locations, reserved, texts};
use super::old_documents::{note_past, removed_columns};
use super::params::{param, params};
use super::receipts;
use super::table_rows::{kind, namespace};
use crate::store::{
    Answer, Change, EventDetails, EventObject, Operation, Origin, Resource, Result, StoreError, Swap, TableKind,
    WarehouseRef,
};

type Outcome<T> = std::result::Result<T, Failure>;

/// The details of an event with the former and the new pointer.
pub(super) const POINTER_BEFORE: &str = "pointer-before";

pub(super) const POINTER_AFTER: &str = "pointer-after";

/// Moves a pointer of a table whose locations did not change. Nearly all commits need only this. The statement also writes the event and
/// the old documents. It locks no row except the table's.
pub(super) static SWAP_IN_PLACE: LazyLock<String> = LazyLock::new(|| swap_statement("", "SELECT 1 FROM moved"));

/// Does the same, and stores the answer under the receipt's key. If the key has an unexpired answer, the statement divides by zero,
/// which undoes it.
pub(super) static SWAP_IN_PLACE_WITH_RECEIPT: LazyLock<String> = LazyLock::new(|| {
    swap_statement(
        ", kept AS (
            INSERT INTO receipt AS former (organisation, principal, key, request, kind, status, text, expires_ms)
            SELECT $1, $24, $25, $26, $27, $28, $29, $30 FROM moved
            ON CONFLICT (organisation, principal, key) DO UPDATE
            SET request = excluded.request, kind = excluded.kind, status = excluded.status, text = excluded.text,
                expires_ms = excluded.expires_ms
            WHERE former.expires_ms <= $8
            RETURNING 1)",
        "SELECT 1 / (SELECT count(*) FROM kept) FROM moved",
    )
});

fn swap_statement(more: &str, result: &str) -> String {
    format!(
        "WITH moved AS (
            UPDATE tabular SET metadata_location = $5, updated_ms = $8
            WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND metadata_location = $4 AND location = $6
                  AND others = $7 AND ($23::text IS NULL OR (namespace = $22 AND name = $23))
            RETURNING kind, namespace, name),
        event AS (
            INSERT INTO event (organisation, warehouse, object_id, at_ms, actor_kind, actor_id, actor_name, engine_id,
                               engine_name, request_id, client, details, id, operation, object_kind, object_name)
            SELECT $1, $2, $3, $8, $9, $10, $11, $12, $13, $14, $15, $16, {NEW_ID},
                   CASE kind WHEN 'table' THEN $17 ELSE $18 END, kind,
                   replace(namespace, chr(31), '.') || '.' || name
            FROM moved),
        removed AS (
            INSERT INTO old_document (organisation, warehouse, tabular, location, document, due_ms)
            SELECT $1, $2, $3, old.key, old.document, $21
            FROM moved CROSS JOIN unnest($19::bytea[], $20::text[]) AS old (key, document)
            ON CONFLICT DO NOTHING)
        {more}
        {result}"
    )
}

/// Returns the details of the event of a moved pointer.
pub(super) fn swap_details(details: &EventDetails, expected: &str, new: &str) -> EventDetails {
    let mut details = details.clone();
    details.insert(POINTER_BEFORE.to_owned(), expected.into());
    details.insert(POINTER_AFTER.to_owned(), new.into());
    details
}

/// Returns the answer that a receipt keeps for a change that set a pointer.
pub(super) fn pointer_answer(location: &str, id: TableId) -> Answer {
    Answer::document(location, id)
}

impl PostgresStore {
    /// Moves a pointer in one statement, if the store has the name, the pointer `swap.expected` and the same locations. Returns whether
    /// it did.
    pub(super) async fn swap_in_place(
        &self,
        warehouse_ref: WarehouseRef,
        swap: &Swap<'_>,
        change: &Change,
    ) -> Result<bool> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let author = Author::of_change(change);
        let (own, others) = (swap.locations.own().as_str(), others_text(swap.locations.others()));
        let details = details_text(&swap_details(swap.details, swap.expected, swap.new))?;
        let [of_table, of_view] = [TableKind::Table, TableKind::View].map(|kind| Operation::update(kind).as_str());
        let (documents, due_ms) = removed_columns(swap.past);
        let (locations, documents) = (keys(documents), texts(documents));
        let (namespace, name) = (swap.ident.map(|ident| ident.namespace.as_key()), swap.ident.map(TableIdent::name));
        let common = params![
            organisation,
            warehouse,
            swap.id.0,
            swap.expected,
            swap.new,
            own,
            others,
            change.at_ms,
            author.kind,
            author.id,
            author.name,
            author.engine,
            author.engine_name,
            author.request,
            author.client,
            details,
            of_table,
            of_view,
            locations,
            documents,
            due_ms,
            namespace,
            name
        ];
        let Some(receipt) = &change.receipt else {
            let moved = self.pool.change(&SWAP_IN_PLACE, common).await.map_err(Failure::into_not_made)?;
            return Ok(!moved.is_empty());
        };
        let answer = receipts::columns(&pointer_answer(swap.new, swap.id))?;
        let (principal, digest) = (receipt.principal.0, receipt.request.0.as_slice());
        let mut values = common.to_vec();
        values.extend([
            param(&principal),
            param(&receipt.key),
            param(&digest),
            param(&answer.kind),
            param(&answer.status),
            param(&answer.text),
            param(&receipt.expires_ms),
        ]);
        match self.pool.change(&SWAP_IN_PLACE_WITH_RECEIPT, &values).await {
            Ok(moved) => Ok(!moved.is_empty()),
            Err(Failure::Database(error)) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                Err(StoreError::Repeated)
            }
            Err(failure) => Err(failure.into_not_made()),
        }
    }

    /// Checks that a table has the name and the pointer of a swap that was not made in place. If it has, its locations differ.
    ///
    /// # Errors
    /// `PointerMoved`; `NotFound` (of a table); `NotMade` if the database does not answer.
    pub(super) async fn check_pointer_of_swap(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>) -> Result<()> {
        let row = self
            .read_first(
                "SELECT metadata_location = $4 AND ($6::text IS NULL OR (namespace = $5 AND name = $6)) FROM tabular
                 WHERE organisation = $1 AND warehouse = $2 AND id = $3",
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    swap.id.0,
                    swap.expected,
                    swap.ident.map(|ident| ident.namespace.as_key()),
                    swap.ident.map(TableIdent::name)
                ],
            )
            .await
            .map_err(not_begun)?;
        match row.map(|row| get::<bool>(&row, 0)).transpose()? {
            Some(true) => Ok(()),
            Some(false) => Err(StoreError::PointerMoved),
            None => Err(StoreError::NotFound(Resource::Table)),
        }
    }
}

/// Converts the error of a read before a change was sent: the change was surely not made.
fn not_begun(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(cause) => StoreError::NotMade(cause),
        error => error,
    }
}

/// Moves a pointer as [`move_pointer`] does, and writes the event. Returns the former locations if they changed.
pub(super) async fn move_pointer_and_tell(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    change: &Change,
) -> Outcome<Option<Vec<Location>>> {
    let Moved { kind, name, before } = move_pointer(transaction, warehouse_ref, swap, change.at_ms).await?;
    let operation = match swap.origin {
        Origin::Foreign => Operation::register(kind),
        Origin::Catalog => Operation::update(kind),
    };
    let details = swap_details(swap.details, swap.expected, swap.new);
    let object = EventObject::new(kind, Some(swap.id.0), name);
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await?;
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

/// Moves a pointer, with the table's locations. Does not check whether new locations are free. The caller holds the organisation's
/// lock.
///
/// If the locations change, the former document becomes the origin: while the table is elsewhere, documents at its former location can
/// become another table's.
pub(super) async fn move_pointer(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    swap: &Swap<'_>,
    at_ms: i64,
) -> Outcome<Moved> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let row = lock_pointer(transaction, warehouse_ref, (swap.id, swap.ident), swap.expected).await?;
    let (kind, name) = name_at(&row)?;
    let (own, others) = (swap.locations.own().as_str(), others_text(swap.locations.others()));
    let (own_before, others_before): (&str, &str) = (get(&row, 4)?, get(&row, 5)?);
    let moves = own != own_before || others != others_before;
    transaction
        .query(
            "UPDATE tabular SET metadata_location = $4, location = $5, others = $6, updated_ms = $7,
                                origin = CASE WHEN $8 THEN metadata_location ELSE origin END
             WHERE organisation = $1 AND warehouse = $2 AND id = $3",
            params![organisation, warehouse, swap.id.0, swap.new, own, others, at_ms, moves],
        )
        .await?;
    if !moves || swap.origin == Origin::Foreign {
        note_past(transaction, warehouse_ref, swap).await?;
    }
    if !moves {
        return Ok(Moved { kind, name, before: None });
    }
    replace_locations(transaction, warehouse_ref, swap.id, swap.locations.reserved()).await?;
    Ok(Moved { kind, name, before: Some(reserved(kind, own_before, others_before)?) })
}

/// Locks the row of a table or view whose pointer has to be `expected`, and which has to have the name, if there is one. Returns its
/// columns kind, namespace, name, metadata_location, location and others.
pub(super) async fn lock_pointer(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (id, ident): (TableId, Option<&TableIdent>),
    expected: &str,
) -> Outcome<Row> {
    let row = transaction
        .query_first(
            "SELECT kind, namespace, name, metadata_location, location, others FROM tabular
             WHERE organisation = $1 AND warehouse = $2 AND id = $3 FOR NO KEY UPDATE",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Table))?;
    let (namespace, name, pointer): (&str, &str, &str) = (get(&row, 1)?, get(&row, 2)?, get(&row, 3)?);
    let is_named = ident.is_none_or(|ident| (ident.namespace.as_key(), ident.name()) == (namespace, name));
    if is_named && pointer == expected { Ok(row) } else { Err(StoreError::PointerMoved.into()) }
}

/// Reads the kind and the full name from the first columns of a row: kind, namespace, name.
pub(super) fn name_at(row: &Row) -> Result<(TableKind, String)> {
    let namespace = namespace(get(row, 1)?)?;
    Ok((kind(get(row, 0)?)?, format!("{namespace}.{}", get::<&str>(row, 2)?)))
}
