//! Swaps of pointers that share a statement (docs/decisions/0084).
//!
//! A swap alone is sent at once. Swaps of an organisation that arrive while [`SWAPS_AT_ONCE`] of its statements have no answer wait, and the
//! next statement makes all of them that fit: one transaction, one write to the log. The others of the statement do nothing, and each caller
//! gets its own result.

use std::pin::pin;
use std::sync::LazyLock;

use tidewater_core::ids::OrganisationId;
use tidewater_core::name::TableIdent;
use tokio::sync::oneshot;
use tokio::{runtime, time};
use uuid::Uuid;

use super::PostgresStore;
use super::change_author::Author;
use super::convert::{Failure, get};
use super::events::{NEW_ID, details_text};
use super::location_rows::{keys, others_text, texts};
use super::old_documents::removed_columns;
use super::params::params;
use super::pointers::swap_details;
use super::waiting::{Limits, SwapRow, Tried, WaitingSwap};
use crate::store::{Change, Operation, Result, StoreError, Swap, TableKind, WarehouseRef};

/// The most statements with swaps of an organisation without an answer.
pub(super) const SWAPS_AT_ONCE: usize = 2;

/// The most swaps of one statement: enough to save most of a statement's cost, and few enough that it stays quick.
pub(super) const MOST_SWAPS: usize = 32;

/// The limits of statements.
const LIMITS: Limits = Limits { at_once: SWAPS_AT_ONCE, most: MOST_SWAPS, most_bytes: 256 << 10 };

/// Moves the pointers of several tables, each for itself: those that have the expected pointer, name and locations. Writes their events and
/// old documents. It returns a row for each table that it locked, with its number and whether its pointer was moved.
///
/// It skips a table whose row another change has locked. So it waits for no lock, and cannot take part in a circle of waiting changes.
pub(super) static SWAPS_TOGETHER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH wanted AS (
            SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                                 $10::bigint[], $11::text[], $12::uuid[], $13::text[], $14::uuid[], $15::text[], $16::text[],
                                 $17::text[], $18::text[])
                          WITH ORDINALITY
                          AS wanted (in_warehouse, table_id, expected, new, own, their_others, in_namespace, named, at_ms,
                                     actor_kind, actor_id, actor_name, engine_id, engine_name, request_id, client, details,
                                     number)),
        locked AS MATERIALIZED (
            SELECT wanted.*,
                   tabular.metadata_location = expected AND tabular.location = own AND tabular.others = their_others
                   AND (named IS NULL OR (tabular.namespace = in_namespace AND tabular.name = named)) AS fits
            FROM wanted JOIN tabular
                 ON tabular.organisation = $1 AND tabular.warehouse = wanted.in_warehouse AND tabular.id = wanted.table_id
            FOR NO KEY UPDATE OF tabular SKIP LOCKED),
        moved AS (
            UPDATE tabular SET metadata_location = locked.new, updated_ms = locked.at_ms
            FROM locked
            WHERE tabular.organisation = $1 AND tabular.id = locked.table_id AND locked.fits
            RETURNING tabular.kind, tabular.namespace, tabular.name, locked.*),
        event AS (
            INSERT INTO event (organisation, warehouse, object_id, at_ms, actor_kind, actor_id, actor_name, engine_id,
                               engine_name, request_id, client, details, id, operation, object_kind, object_name)
            SELECT $1, in_warehouse, table_id, at_ms, actor_kind, actor_id, actor_name, engine_id, engine_name, request_id,
                   client, details, {NEW_ID}, CASE kind WHEN 'table' THEN $19 ELSE $20 END, kind,
                   replace(namespace, chr(31), '.') || '.' || name
            FROM moved),
        removed AS (
            INSERT INTO old_document (organisation, warehouse, tabular, location, document, due_ms)
            SELECT $1, moved.in_warehouse, moved.table_id, old.key, old.document, old.due_ms
            FROM unnest($21::bigint[], $22::bytea[], $23::text[], $24::bigint[]) AS old (number, key, document, due_ms)
                 JOIN moved ON moved.number = old.number
            ON CONFLICT DO NOTHING)
        SELECT locked.number, moved.number IS NOT NULL FROM locked LEFT JOIN moved ON moved.number = locked.number"
    )
});

/// The right to send a statement. Its end gives the turn to the swaps that wait.
struct Turn {
    store: PostgresStore,
    organisation: OrganisationId,
}

impl PostgresStore {
    /// Moves a pointer in one statement, which other swaps may share, if the store has the name, the pointer `swap.expected` and the same
    /// locations. Returns whether it did.
    pub(super) async fn swap_alone_or_together(
        &self,
        warehouse_ref: WarehouseRef,
        swap: &Swap<'_>,
        change: &Change,
    ) -> Result<bool> {
        // A receipt whose key is used undoes its statement, which would undo the others'.
        if change.receipt.is_some() {
            return self.swap_in_place(warehouse_ref, swap, change).await;
        }
        let row = row(warehouse_ref, swap, change)?;
        let organisation = warehouse_ref.organisation;
        let waits = || {
            let (gives, waits) = oneshot::channel();
            (WaitingSwap { row, gives }, waits)
        };
        let Some(answer) = self.swaps_together.begin(organisation, LIMITS.at_once, waits) else {
            let turn = Turn { store: self.clone(), organisation };
            return turn.during(self.swap_in_place(warehouse_ref, swap, change)).await;
        };
        match answer.await {
            Ok(Ok(Tried::Moved)) => Ok(true),
            Ok(Ok(Tried::NotMoved)) => Ok(false),
            Ok(Ok(Tried::Not)) => self.swap_in_place(warehouse_ref, swap, change).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StoreError::Unavailable("the server stopped while it made the change".into())),
        }
    }

    /// Tries swaps in one statement. Returns the results in their order.
    async fn swaps_in_place_together(
        &self,
        organisation: OrganisationId,
        swaps: &[WaitingSwap],
    ) -> std::result::Result<Vec<Tried>, Failure> {
        let of = |one: fn(&SwapRow) -> &str| swaps.iter().map(|swap| one(&swap.row)).collect::<Vec<_>>();
        let text = |one: fn(&SwapRow) -> Option<&str>| swaps.iter().map(|swap| one(&swap.row)).collect::<Vec<_>>();
        let id = |one: fn(&SwapRow) -> Option<Uuid>| swaps.iter().map(|swap| one(&swap.row)).collect::<Vec<_>>();
        let [of_table, of_view] = [TableKind::Table, TableKind::View].map(|kind| Operation::update(kind).as_str());
        let removed = (1_i64..).zip(swaps).flat_map(|(number, swap)| {
            swap.row.removed.iter().map(move |(key, document)| (number, key.as_slice(), &**document, swap.row.due_ms))
        });
        let removed: Vec<_> = removed.collect();
        let rows = self
            .pool
            .change(
                &SWAPS_TOGETHER,
                params![
                    organisation.0,
                    swaps.iter().map(|swap| swap.row.warehouse).collect::<Vec<_>>(),
                    swaps.iter().map(|swap| swap.row.id).collect::<Vec<_>>(),
                    of(|row| &row.expected),
                    of(|row| &row.new),
                    of(|row| &row.own),
                    of(|row| &row.others),
                    text(|row| row.ident.as_ref().map(|ident| ident.namespace.as_key())),
                    text(|row| row.ident.as_ref().map(TableIdent::name)),
                    swaps.iter().map(|swap| swap.row.at_ms).collect::<Vec<_>>(),
                    of(|row| row.actor_kind),
                    id(|row| row.actor_id),
                    text(|row| row.actor_name.as_deref()),
                    id(|row| row.engine),
                    text(|row| row.engine_name.as_deref()),
                    text(|row| row.request.as_deref()),
                    text(|row| row.client.as_deref()),
                    of(|row| &row.details),
                    of_table,
                    of_view,
                    removed.iter().map(|(number, ..)| *number).collect::<Vec<_>>(),
                    removed.iter().map(|(_, key, ..)| *key).collect::<Vec<_>>(),
                    removed.iter().map(|(_, _, document, _)| *document).collect::<Vec<_>>(),
                    removed.iter().map(|(.., due_ms)| *due_ms).collect::<Vec<_>>(),
                ],
            )
            .await?;
        let mut tried = vec![Tried::Not; swaps.len()];
        for row in &rows {
            let (number, is_moved): (i64, bool) = (get(row, 0)?, get(row, 1)?);
            let place = usize::try_from(number - 1).ok().and_then(|at| tried.get_mut(at));
            let place = place.ok_or_else(|| StoreError::Corrupt(format!("a swap with the number {number}")))?;
            *place = if is_moved { Tried::Moved } else { Tried::NotMoved };
        }
        Ok(tried)
    }
}

/// Returns the values of a swap.
fn row(warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<SwapRow> {
    let author = Author::of_change(change);
    let (documents, due_ms) = removed_columns(swap.past);
    let documents = keys(documents).into_iter().zip(texts(documents).into_iter().map(str::to_owned));
    Ok(SwapRow {
        warehouse: warehouse_ref.warehouse.0,
        id: swap.id.0,
        expected: swap.expected.to_owned(),
        new: swap.new.to_owned(),
        own: swap.locations.own().as_str().to_owned(),
        others: others_text(swap.locations.others()),
        ident: swap.ident.cloned(),
        at_ms: change.at_ms,
        actor_kind: author.kind,
        actor_id: author.id,
        actor_name: author.name.map(str::to_owned),
        engine: author.engine,
        engine_name: author.engine_name.map(str::to_owned),
        request: author.request.map(str::to_owned),
        client: author.client,
        details: details_text(&swap_details(swap.details, swap.expected, swap.new))?,
        removed: documents.collect(),
        due_ms,
    })
}

/// Returns the result of a failed statement for each of its swaps.
fn of_failure(failure: Failure, swaps: usize) -> Vec<Result<Tried>> {
    // The statement was refused, perhaps because of one swap. Each is sent alone.
    if matches!(&failure, Failure::Database(error) if error.as_db_error().is_some()) {
        return (0..swaps).map(|_| Ok(Tried::Not)).collect();
    }
    let error = failure.into_not_made();
    (0..swaps).map(|_| Err(shared(&error))).collect()
}

/// Returns the error of a statement for one of its callers. Whether the change may have been made stays the same.
fn shared(error: &StoreError) -> StoreError {
    match error {
        StoreError::Busy => StoreError::Busy,
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        StoreError::Unavailable(cause) => StoreError::Unavailable(cause.to_string().into()),
        other => StoreError::NotMade(other.to_string().into()),
    }
}

impl Turn {
    /// Ends the turn when the statement has ended, or is slow.
    async fn during<T>(self, statement: impl Future<Output = T>) -> T {
        let mut statement = pin!(statement);
        let done = time::timeout(self.store.swaps_together.slow, &mut statement).await;
        drop(self);
        match done {
            Ok(done) => done,
            Err(_) => statement.await,
        }
    }

    /// Sends the swaps as one statement. It has a task of its own, so that a caller who leaves does not disturb the others.
    async fn send(self, swaps: Vec<WaitingSwap>) {
        let (store, organisation) = (self.store.clone(), self.organisation);
        let tried = self.during(store.swaps_in_place_together(organisation, &swaps)).await;
        let results = match tried {
            Ok(tried) => tried.into_iter().map(Ok).collect(),
            Err(failure) => of_failure(failure, swaps.len()),
        };
        for (swap, result) in swaps.into_iter().zip(results) {
            // A caller who left needs no answer.
            let _ = swap.gives.send(result);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let swaps = self.store.swaps_together.next(self.organisation, LIMITS);
        if swaps.is_empty() {
            return;
        }
        let next = Self { store: self.store.clone(), organisation: self.organisation };
        if let Ok(runtime) = runtime::Handle::try_current() {
            runtime.spawn(next.send(swaps));
        }
        // Without a runtime, the callers of these swaps get an unknown outcome. The server has stopped.
    }
}
