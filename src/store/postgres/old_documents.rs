//! Metadata documents that left a table's log and are to be removed.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::LocationKey;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, count, get};
use super::digests::digest;
use super::location_rows::{keys, reserved, texts};
use super::params::params;
use crate::store::{
    EndedDocument, OldDocument, OldDocumentStore, Origin, Past, Result, StoreError, Swap, TableKind, WarehouseRef,
};

type Outcome<T> = std::result::Result<T, Failure>;

/// Locks documents that are due, of the organisations that wait longest, with the rows of their tables. Takes one step in the index for
/// each organisation that has any. Skips documents that another server is claiming.
pub(super) const DUE: &str = "WITH RECURSIVE waiting (organisation) AS (
        (SELECT organisation FROM old_document ORDER BY organisation LIMIT 1)
        UNION ALL
        SELECT (SELECT organisation FROM old_document WHERE organisation > waiting.organisation
                ORDER BY organisation LIMIT 1)
        FROM waiting WHERE waiting.organisation IS NOT NULL),
    due AS (
        SELECT organisation, due_ms
        FROM (SELECT organisation,
                     (SELECT due_ms FROM old_document WHERE old_document.organisation = waiting.organisation
                      ORDER BY due_ms LIMIT 1) AS due_ms
              FROM waiting WHERE organisation IS NOT NULL) AS oldest
        WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2)
    SELECT old.organisation, old.warehouse, old.tabular, old.document, old.attempts, old.digest,
           tabular.metadata_location, tabular.location, tabular.others
    FROM due
    CROSS JOIN LATERAL
        (SELECT * FROM old_document WHERE organisation = due.organisation AND due_ms <= $1
         ORDER BY due_ms LIMIT $3 FOR UPDATE SKIP LOCKED) AS old
    LEFT JOIN tabular ON tabular.organisation = old.organisation AND tabular.id = old.tabular
              AND tabular.warehouse = old.warehouse AND tabular.kind = 'table'
    ORDER BY due.due_ms, old.organisation, old.due_ms";

/// Returns the documents that a pointer move removes, and when their removal is due.
pub(super) fn removed_columns(past: &Past) -> (&[Location], i64) {
    match past {
        Past::Kept => (&[], 0),
        Past::Removed { documents, due_ms } => (documents, *due_ms),
    }
}

/// Records what a pointer move means for the earlier documents of a table whose locations did not change.
pub(super) async fn note_past(transaction: &Transaction, warehouse_ref: WarehouseRef, swap: &Swap<'_>) -> Outcome<()> {
    if swap.origin == Origin::Foreign {
        return set_origin(transaction, warehouse_ref, swap.id, swap.new).await;
    }
    let (documents, due_ms) = removed_columns(swap.past);
    if documents.is_empty() {
        return Ok(());
    }
    transaction
        .query(
            "INSERT INTO old_document (organisation, warehouse, location, document, tabular, due_ms)
             SELECT $1, $2, old.key, old.document, $3, $4 FROM unnest($5::bytea[], $6::text[]) AS old (key, document)
             ON CONFLICT DO NOTHING",
            params![
                warehouse_ref.organisation.0,
                warehouse_ref.warehouse.0,
                swap.id.0,
                due_ms,
                keys(documents),
                texts(documents)
            ],
        )
        .await?;
    Ok(())
}

/// Makes the registered `document` the origin of a table. Keeps documents that are due for removal, unless a server is removing
/// them at this moment. If a server is about to claim them, waits for it.
///
/// # Errors
/// `BeingRemoved` if a server is removing `document`.
pub(super) async fn set_origin(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    table: TableId,
    document: &str,
) -> Outcome<()> {
    let organisation = warehouse_ref.organisation.0;
    transaction
        .query(
            "UPDATE tabular SET origin = $3 WHERE organisation = $1 AND id = $2",
            params![organisation, table.0, document],
        )
        .await?;
    transaction
        .query(
            "DELETE FROM old_document WHERE organisation = $1 AND tabular = $2 AND NOT leased",
            params![organisation, table.0],
        )
        .await?;
    let Ok(location) = Location::parse(document) else { return Ok(()) };
    let key = LocationKey::from_location(&location);
    let key = key.as_bytes();
    let leased = transaction
        .query_first(
            "SELECT leased FROM old_document WHERE organisation = $1 AND digest = $3 AND location = $2 FOR UPDATE",
            params![organisation, key, digest(key)],
        )
        .await?;
    match leased.map(|row| get::<bool>(&row, 0)).transpose()? {
        Some(true) => Err(StoreError::BeingRemoved(document.to_owned()).into()),
        Some(false) => {
            transaction
                .query(
                    "DELETE FROM old_document WHERE organisation = $1 AND digest = $3 AND location = $2",
                    params![organisation, key, digest(key)],
                )
                .await?;
            Ok(())
        }
        None => Ok(()),
    }
}

/// A document that is due.
struct Waiting {
    document: String,
    digest: Vec<u8>,
    attempts: i64,
    warehouse_ref: WarehouseRef,
    table: TableId,
    /// The table's pointer and locations, if it is live.
    live: Option<(String, Vec<Location>)>,
}

fn waiting_at(row: &Row) -> Result<Waiting> {
    let live = get::<Option<&str>>(row, 6)?.map(|pointer| {
        let pointer = Location::parse(pointer).map_or_else(|_| pointer.to_owned(), |pointer| pointer.to_string());
        Ok::<_, StoreError>((pointer, reserved(TableKind::Table, get(row, 7)?, get(row, 8)?)?))
    });
    Ok(Waiting {
        document: get(row, 3)?,
        digest: get(row, 5)?,
        attempts: get(row, 4)?,
        warehouse_ref: WarehouseRef {
            organisation: OrganisationId(get(row, 0)?),
            warehouse: WarehouseId(get(row, 1)?),
        },
        table: TableId(get(row, 2)?),
        live: live.transpose()?,
    })
}

/// The keys of documents.
#[derive(Default)]
struct Keys {
    organisations: Vec<Uuid>,
    digests: Vec<Vec<u8>>,
}

impl Keys {
    fn push(&mut self, waiting: &Waiting) {
        self.organisations.push(waiting.warehouse_ref.organisation.0);
        self.digests.push(waiting.digest.clone());
    }
}

async fn claim(
    transaction: &Transaction,
    (now_ms, until_ms): (i64, i64),
    organisations: u32,
    of_each: u32,
) -> Outcome<Vec<OldDocument>> {
    let due = transaction.query(DUE, params![now_ms, i64::from(organisations), i64::from(of_each)]).await?;
    let (mut claimed, mut leased, mut forgotten) = (Vec::new(), Keys::default(), Keys::default());
    for row in &due {
        let waiting = waiting_at(row)?;
        // A document of no live table stays. So does the current document of one, although no pointer should return to it.
        let Some((_, locations)) = waiting.live.as_ref().filter(|(pointer, _)| *pointer != waiting.document) else {
            forgotten.push(&waiting);
            continue;
        };
        leased.push(&waiting);
        let document = Location::parse(&waiting.document)
            .map_err(|error| StoreError::Corrupt(format!("old_document.document: {error}")))?;
        claimed.push(OldDocument {
            warehouse_ref: waiting.warehouse_ref,
            table: waiting.table,
            document,
            locations: locations.clone(),
            attempts: u32::try_from(count(waiting.attempts)).unwrap_or(u32::MAX).saturating_add(1),
        });
    }
    if !claimed.is_empty() {
        transaction
            .query(
                "UPDATE old_document AS old SET leased = true, attempts = attempts + 1, due_ms = $3
                 FROM unnest($1::uuid[], $2::bytea[]) AS due (organisation, digest)
                 WHERE old.organisation = due.organisation AND old.digest = due.digest",
                params![leased.organisations, leased.digests, until_ms],
            )
            .await?;
    }
    if !forgotten.organisations.is_empty() {
        transaction
            .query(
                "DELETE FROM old_document AS old USING unnest($1::uuid[], $2::bytea[]) AS due (organisation, digest)
                 WHERE old.organisation = due.organisation AND old.digest = due.digest",
                params![forgotten.organisations, forgotten.digests],
            )
            .await?;
    }
    Ok(claimed)
}

#[async_trait]
impl OldDocumentStore for PostgresStore {
    async fn table_origin(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<String>> {
        let row = self
            .read_first(
                "SELECT origin FROM tabular WHERE organisation = $1 AND warehouse = $2 AND id = $3",
                params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0],
            )
            .await?;
        row.map_or(Ok(None), |row| get(&row, 0))
    }

    async fn old_document_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64> {
        let sql = "UPDATE old_document SET due_ms = $1 WHERE (organisation, digest) IN
                       (SELECT organisation, digest FROM old_document WHERE due_ms > $2 AND attempts > 0
                        FOR UPDATE SKIP LOCKED) RETURNING 1";
        Ok(self.change_rows(sql, params![now_ms, latest_ms]).await?.len() as u64)
    }

    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>> {
        transact!(self, transaction => claim(transaction, (now_ms, until_ms), organisations, of_each))
    }

    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()> {
        let documents = ended.iter().map(|ended| &ended.document);
        let keys = documents.clone().map(|document| LocationKey::from_location(&document.document));
        self.change_rows(
            "WITH ended AS (
                SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bigint[])
                              AS ended (organisation, digest, attempts, retry_ms)),
             gone AS (
                DELETE FROM old_document AS old USING ended
                WHERE old.organisation = ended.organisation AND old.digest = ended.digest
                      AND old.attempts = ended.attempts AND old.leased AND ended.retry_ms IS NULL)
             UPDATE old_document AS old SET leased = false, due_ms = ended.retry_ms
             FROM ended
             WHERE old.organisation = ended.organisation AND old.digest = ended.digest
                   AND old.attempts = ended.attempts AND old.leased AND ended.retry_ms IS NOT NULL",
            params![
                documents.clone().map(|document| document.warehouse_ref.organisation.0).collect::<Vec<_>>(),
                keys.map(|key| digest(key.as_bytes())).collect::<Vec<_>>(),
                documents.map(|document| i64::from(document.attempts)).collect::<Vec<_>>(),
                ended.iter().map(|ended| ended.retry_at_ms).collect::<Vec<_>>()
            ],
        )
        .await
        .map(drop)
    }
}
