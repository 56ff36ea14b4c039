//! Metadata documents that left a table's log and are to be removed.

use async_trait::async_trait;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::LocationKey;

use super::SqliteStore;
use super::convert::id;
use super::location_rows::reserved;
use crate::store::{
    EndedDocument, OldDocument, OldDocumentStore, Origin, Past, Result, StoreError, Swap, TableKind, WarehouseRef,
};

/// The organisations with documents that are due, those that wait longest first: one step in the index for each that has any.
const DUE_ORGANISATIONS: &str = "
    WITH RECURSIVE waiting (organisation) AS (
        SELECT min(organisation) FROM old_document
        UNION ALL
        SELECT (SELECT min(organisation) FROM old_document WHERE organisation > waiting.organisation)
        FROM waiting WHERE waiting.organisation IS NOT NULL)
    SELECT organisation FROM (
        SELECT organisation,
               (SELECT min(due_ms) FROM old_document WHERE old_document.organisation = waiting.organisation) AS due_ms
        FROM waiting WHERE organisation IS NOT NULL)
    WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2";

/// Records what a pointer move means for the earlier documents of a table whose locations did not change.
pub(super) fn note_past(connection: &Connection, warehouse_ref: WarehouseRef, swap: &Swap<'_>) -> Result<()> {
    if swap.origin == Origin::Foreign {
        return set_origin(connection, warehouse_ref, swap.id, swap.new);
    }
    match swap.past {
        Past::Kept => Ok(()),
        Past::Removed { documents, due_ms } => {
            let mut statement = connection.prepare_cached(
                "INSERT INTO old_document (organisation, warehouse, location, document, tabular, due_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?;
            for document in documents {
                statement.execute(params![
                    warehouse_ref.organisation.0.as_bytes(),
                    warehouse_ref.warehouse.0.as_bytes(),
                    LocationKey::from_location(document).as_bytes(),
                    document.as_str(),
                    swap.id.0.as_bytes(),
                    due_ms,
                ])?;
            }
            Ok(())
        }
    }
}

/// Makes the registered `document` the origin of a table. Keeps documents that are due for removal, unless a server is removing
/// them at this moment.
///
/// # Errors
/// `BeingRemoved` if a server is removing `document`.
pub(super) fn set_origin(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    table: TableId,
    document: &str,
) -> Result<()> {
    let organisation = warehouse_ref.organisation.0.as_bytes();
    connection
        .prepare_cached("UPDATE tabular SET origin = ?3 WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation, table.0.as_bytes(), document])?;
    connection
        .prepare_cached("DELETE FROM old_document WHERE organisation = ?1 AND tabular = ?2 AND leased = 0")?
        .execute(params![organisation, table.0.as_bytes()])?;
    let Ok(location) = Location::parse(document) else { return Ok(()) };
    let key = LocationKey::from_location(&location);
    let leased: Option<bool> = connection
        .prepare_cached("SELECT leased FROM old_document WHERE organisation = ?1 AND location = ?2")?
        .query_row(params![organisation, key.as_bytes()], |row| row.get(0))
        .optional()?;
    match leased {
        Some(true) => Err(StoreError::BeingRemoved(document.to_owned())),
        Some(false) => {
            connection
                .prepare_cached("DELETE FROM old_document WHERE organisation = ?1 AND location = ?2")?
                .execute(params![organisation, key.as_bytes()])?;
            Ok(())
        }
        None => Ok(()),
    }
}

pub(super) fn table_origin(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    table: TableId,
) -> Result<Option<String>> {
    let origin: Option<Option<String>> = connection
        .prepare_cached("SELECT origin FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3")?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), table.0.as_bytes()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(origin.flatten())
}

pub(super) fn old_document_claim(
    connection: &Connection,
    now_ms: i64,
    until_ms: i64,
    organisations: u32,
    of_each: u32,
) -> Result<Vec<OldDocument>> {
    let mut statement = connection.prepare_cached(DUE_ORGANISATIONS)?;
    let due = statement.query_map(params![now_ms, organisations], |row| Ok(id(OrganisationId, row.get(0)?)))?;
    let mut claimed = Vec::new();
    for organisation in due.collect::<rusqlite::Result<Vec<_>>>()? {
        claim_of(connection, organisation, (now_ms, until_ms), of_each, &mut claimed)?;
    }
    Ok(claimed)
}

fn claim_of(
    connection: &Connection,
    organisation: OrganisationId,
    (now_ms, until_ms): (i64, i64),
    at_most: u32,
    claimed: &mut Vec<OldDocument>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT warehouse, tabular, document, attempts, location FROM old_document
         WHERE organisation = ?1 AND due_ms <= ?2 ORDER BY due_ms LIMIT ?3",
    )?;
    let rows = statement.query_map(params![organisation.0.as_bytes(), now_ms, at_most], waiting_at)?;
    let mut live = HashMap::new();
    for Waiting { warehouse, table, document, attempts, key } in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let warehouse_ref = WarehouseRef { organisation, warehouse };
        let live_now = match live.entry(table) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(live_table(connection, warehouse_ref, table)?),
        };
        // A document of no live table stays. So does the current document of one, although no pointer should return to it.
        let table_now = live_now.as_ref().filter(|now| now.pointer != document);
        let Some(locations) = table_now.map(|now| now.locations.clone()) else {
            connection
                .prepare_cached("DELETE FROM old_document WHERE organisation = ?1 AND location = ?2")?
                .execute(params![organisation.0.as_bytes(), key])?;
            continue;
        };
        connection
            .prepare_cached(
                "UPDATE old_document SET leased = 1, attempts = attempts + 1, due_ms = ?3
                 WHERE organisation = ?1 AND location = ?2",
            )?
            .execute(params![organisation.0.as_bytes(), key, until_ms])?;
        let document = Location::parse(&document)
            .map_err(|error| StoreError::Corrupt(format!("old_document.document: {error}")))?;
        claimed.push(OldDocument { warehouse_ref, table, document, locations, attempts: attempts + 1 });
    }
    Ok(())
}

struct Waiting {
    warehouse: WarehouseId,
    table: TableId,
    document: String,
    attempts: u32,
    key: Vec<u8>,
}

fn waiting_at(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        warehouse: id(WarehouseId, row.get(0)?),
        table: id(TableId, row.get(1)?),
        document: row.get(2)?,
        attempts: row.get(3)?,
        key: row.get(4)?,
    })
}

struct LiveTable {
    pointer: String,
    locations: Vec<Location>,
}

fn live_table(connection: &Connection, warehouse_ref: WarehouseRef, table: TableId) -> Result<Option<LiveTable>> {
    let found: Option<(String, String, String)> = connection
        .prepare_cached(
            "SELECT metadata_location, location, others FROM tabular
             WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = 'table'",
        )?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), table.0.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let live = |(pointer, own, others): (String, String, String)| {
        let pointer = Location::parse(&pointer).map_or(pointer, |pointer| pointer.to_string());
        Ok(LiveTable { pointer, locations: reserved(TableKind::Table, &own, &others)? })
    };
    found.map(live).transpose()
}

pub(super) fn old_document_end(connection: &Connection, ended: &[EndedDocument]) -> Result<()> {
    for EndedDocument { document, retry_at_ms } in ended {
        let sql = match retry_at_ms {
            Some(_) => {
                "UPDATE old_document SET leased = 0, due_ms = ?4
                 WHERE organisation = ?1 AND location = ?2 AND attempts = ?3 AND leased = 1"
            }
            None => {
                "DELETE FROM old_document
                 WHERE organisation = ?1 AND location = ?2 AND attempts = ?3 AND leased = 1 AND ?4 IS NULL"
            }
        };
        connection.prepare_cached(sql)?.execute(params![
            document.warehouse_ref.organisation.0.as_bytes(),
            LocationKey::from_location(&document.document).as_bytes(),
            document.attempts,
            retry_at_ms,
        ])?;
    }
    Ok(())
}

#[async_trait]
impl OldDocumentStore for SqliteStore {
    async fn table_origin(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<String>> {
        self.read(|connection| table_origin(connection, warehouse_ref, id))
    }

    async fn old_document_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64> {
        self.write(move |connection| {
            let sql = "UPDATE old_document SET due_ms = ?1 WHERE due_ms > ?2 AND attempts > 0";
            Ok(connection.prepare_cached(sql)?.execute(params![now_ms, latest_ms])? as u64)
        })
        .await
    }

    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>> {
        let claim =
            move |connection: &Connection| old_document_claim(connection, now_ms, until_ms, organisations, of_each);
        self.write(claim).await
    }

    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()> {
        let ended = ended.to_vec();
        self.write(move |connection| old_document_end(connection, &ended)).await
    }
}
