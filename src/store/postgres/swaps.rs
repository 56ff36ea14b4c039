//! Moves of several pointers in one statement.

use std::collections::HashMap;
use std::sync::LazyLock;

use tidewater_core::name::TableIdent;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::change_author::Author;
use super::convert::{Failure, get};
use super::events::{NEW_ID, details_text};
use super::location_rows::{keys, others_text, texts};
use super::old_documents::removed_columns;
use super::params::{param, params};
use super::pointers::swap_details;
use super::receipts;
use crate::store::{Answer, Change, Operation, Resource, Result, StoreError, TableChange, TableKind, WarehouseRef};

/// Moves the pointers of tables whose locations do not change, if all of them are the expected ones, and all tables have the expected names.
///
/// It first locks the tables' rows in the order of their ids, so that two such statements never wait for each other in a circle. What it
/// then reads are the rows as they are now, also those that another change has just moved. Only if all fit, it changes something. It
/// returns for each table whether its pointer and its name are the expected ones, and whether its locations stay.
pub(super) static SWAPS_IN_PLACE: LazyLock<String> = LazyLock::new(|| swaps_statement("", "", "true"));

/// Does the same, and stores the answer under the receipt's key. If the key has an unexpired answer, it changes nothing.
pub(super) static SWAPS_IN_PLACE_WITH_RECEIPT: LazyLock<String> = LazyLock::new(|| {
    swaps_statement(
        "kept AS (
            INSERT INTO receipt AS former (organisation, principal, key, request, kind, status, text, expires_ms)
            SELECT $1, $26, $27, $28, $29, $30, $31, $32 FROM fit WHERE all_fit
            ON CONFLICT (organisation, principal, key) DO UPDATE
            SET request = excluded.request, kind = excluded.kind, status = excluded.status, text = excluded.text,
                expires_ms = excluded.expires_ms
            WHERE former.expires_ms <= $8
            RETURNING 1),",
        "AND EXISTS (SELECT 1 FROM kept)",
        "EXISTS (SELECT 1 FROM kept)",
    )
});

fn swaps_statement(kept: &str, only_if_kept: &str, is_kept: &str) -> String {
    format!(
        "WITH wanted AS (
            SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $16::text[], $19::bigint[],
                                 $24::text[], $25::text[])
                          AS wanted (id, expected, new, own, others, details, number, namespace, name)),
        locked AS MATERIALIZED (
            SELECT wanted.number, wanted.new, wanted.details, tabular.id,
                   tabular.metadata_location = wanted.expected
                   AND (wanted.name IS NULL OR (tabular.namespace = wanted.namespace AND tabular.name = wanted.name))
                   AS is_expected,
                   wanted.new IS NULL OR (tabular.location = wanted.own AND tabular.others = wanted.others) AS stays
            FROM wanted JOIN tabular ON tabular.organisation = $1 AND tabular.warehouse = $2 AND tabular.id = wanted.id
            ORDER BY tabular.id FOR NO KEY UPDATE OF tabular),
        fit AS MATERIALIZED (
            SELECT count(*) FILTER (WHERE is_expected AND stays) = cardinality($3) AS all_fit FROM locked),
        {kept}
        moved AS (
            UPDATE tabular SET metadata_location = locked.new, updated_ms = $8
            FROM locked
            WHERE tabular.organisation = $1 AND tabular.id = locked.id AND locked.new IS NOT NULL
                  AND (SELECT all_fit FROM fit) {only_if_kept}
            RETURNING tabular.id, kind, namespace, name, locked.details, locked.number),
        event AS (
            INSERT INTO event (organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, engine_id, engine_name,
                               request_id, client, id, operation, object_kind, object_id, object_name, details)
            SELECT $1, $2, $8, $9, $10, $11, $12, $13, $14, $15, (SELECT {NEW_ID}) + number,
                   CASE kind WHEN 'table' THEN $17 ELSE $18 END, kind, id,
                   replace(namespace, chr(31), '.') || '.' || name, details
            FROM moved),
        removed AS (
            INSERT INTO old_document (organisation, warehouse, tabular, location, document, due_ms)
            SELECT $1, $2, old.tabular, old.key, old.document, old.due_ms
            FROM unnest($20::uuid[], $21::bytea[], $22::text[], $23::bigint[]) AS old (tabular, key, document, due_ms)
            WHERE (SELECT all_fit FROM fit) {only_if_kept}
            ON CONFLICT DO NOTHING)
        SELECT fit.all_fit, {is_kept}, locked.number, locked.is_expected, locked.stays
        FROM fit LEFT JOIN locked ON true"
    )
}

/// The columns of changes that move pointers or keep them.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    expected: Vec<&'a str>,
    new: Vec<Option<&'a str>>,
    own: Vec<Option<&'a str>>,
    others: Vec<Option<String>>,
    details: Vec<Option<String>>,
    numbers: Vec<i64>,
    tables_of_documents: Vec<Uuid>,
    locations: Vec<Vec<u8>>,
    documents: Vec<&'a str>,
    due_ms: Vec<i64>,
    namespaces: Vec<Option<&'a str>>,
    names: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    /// Returns the columns in the order of the tables' ids. None if a change creates a table.
    fn new(changes: &'a [TableChange]) -> Result<Option<Self>> {
        let mut ordered = Vec::with_capacity(changes.len());
        for (number, part) in (0..).zip(changes) {
            match part {
                TableChange::Create { .. } => return Ok(None),
                TableChange::Swap { id, .. } | TableChange::Keep { id, .. } => ordered.push((id.0, number, part)),
            }
        }
        ordered.sort_unstable_by_key(|(id, number, _)| (*id, *number));
        let mut columns = Self::default();
        for (id, number, part) in ordered {
            columns.push(id, number, part)?;
        }
        Ok(Some(columns))
    }

    fn push(&mut self, id: Uuid, number: i64, part: &'a TableChange) -> Result<()> {
        self.ids.push(id);
        self.numbers.push(number);
        if let TableChange::Swap { ident, .. } | TableChange::Keep { ident, .. } = part {
            self.namespaces.push(ident.as_ref().map(|ident| ident.namespace.as_key()));
            self.names.push(ident.as_ref().map(TableIdent::name));
        }
        match part {
            TableChange::Swap { expected, new, locations, past, details, .. } => {
                self.expected.push(expected);
                self.new.push(Some(new));
                self.own.push(Some(locations.own().as_str()));
                self.others.push(Some(others_text(locations.others())));
                self.details.push(Some(details_text(&swap_details(details, expected, new))?));
                let (documents, due_ms) = removed_columns(past);
                self.tables_of_documents.extend(documents.iter().map(|_| id));
                self.due_ms.extend(documents.iter().map(|_| due_ms));
                self.locations.extend(keys(documents));
                self.documents.extend(texts(documents));
            }
            TableChange::Keep { expected, .. } => {
                self.expected.push(expected);
                self.new.push(None);
                self.own.push(None);
                self.others.push(None);
                self.details.push(None);
            }
            TableChange::Create { .. } => {}
        }
        Ok(())
    }
}

impl PostgresStore {
    /// Makes all of the changes in one statement, if they only move pointers, and no locations. Returns whether it did.
    ///
    /// # Errors
    /// `InTransaction` with `PointerMoved` or `NotFound` (of a table); `Repeated`.
    pub(super) async fn swaps_in_place(
        &self,
        warehouse_ref: WarehouseRef,
        changes: &[TableChange],
        change: &Change,
    ) -> Result<bool> {
        let Some(columns) = Columns::new(changes)? else { return Ok(false) };
        let author = Author::of_change(change);
        let [of_table, of_view] = [TableKind::Table, TableKind::View].map(|kind| Operation::update(kind).as_str());
        let common = params![
            warehouse_ref.organisation.0,
            warehouse_ref.warehouse.0,
            columns.ids,
            columns.expected,
            columns.new,
            columns.own,
            columns.others,
            change.at_ms,
            author.kind,
            author.id,
            author.name,
            author.engine,
            author.engine_name,
            author.request,
            author.client,
            columns.details,
            of_table,
            of_view,
            columns.numbers,
            columns.tables_of_documents,
            columns.locations,
            columns.documents,
            columns.due_ms,
            columns.namespaces,
            columns.names
        ];
        let rows = match &change.receipt {
            None => self.pool.change(&SWAPS_IN_PLACE, common).await,
            Some(receipt) => {
                let answer = receipts::columns(&Answer::Done)?;
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
                self.pool.change(&SWAPS_IN_PLACE_WITH_RECEIPT, &values).await
            }
        };
        outcome(&rows.map_err(Failure::into_not_made)?, changes.len())
    }
}

/// Returns whether the changes were made, from the rows of [`SWAPS_IN_PLACE`]. They were not if a table's locations change.
fn outcome(rows: &[Row], changes: usize) -> Result<bool> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let (all_fit, is_kept): (bool, bool) = (get(row, 0)?, get(row, 1)?);
        if all_fit {
            return if is_kept { Ok(true) } else { Err(StoreError::Repeated) };
        }
        if let Some(number) = get::<Option<i64>>(row, 2)? {
            found.insert(number, get::<bool>(row, 3)?);
        }
    }
    for (at, number) in (0..changes).zip(0..) {
        let error = match found.get(&number) {
            Some(true) => continue,
            Some(false) => StoreError::PointerMoved,
            None => StoreError::NotFound(Resource::Table),
        };
        return Err(StoreError::InTransaction { at, error: Box::new(error) });
    }
    Ok(false)
}
