//! Audit records, and how far they were exported. A record's position is its id: one writer commits the records in the order of their ids.

use async_trait::async_trait;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::SqliteStore;
use super::events::events_after;
use super::pages::row_bytes;
use crate::store::pages::PageFill;
use crate::store::{AuditBatch, AuditFilter, AuditPage, AuditPosition, AuditRecord, AuditStore, Result, StoreError};

const COLUMNS: &str = "id, organisation, at_ms, entry";

/// Returns the column of a record's organisation: 16 zero bytes for an unknown actor.
fn organisation_column(organisation: Option<OrganisationId>) -> [u8; 16] {
    organisation.map_or(Uuid::nil(), |organisation| organisation.0).into_bytes()
}

fn audit_add(connection: &Connection, records: &[(AuditRecord, String)]) -> Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO audit (organisation, at_ms, entry) VALUES (?1, ?2, ?3)")?;
    for (record, entry) in records {
        insert.execute(params![organisation_column(record.organisation), record.at_ms, entry])?;
    }
    Ok(())
}

fn audit_list(
    connection: &Connection,
    organisation: Option<OrganisationId>,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: u32,
) -> Result<AuditPage> {
    let of = organisation.map(|organisation| organisation.0.into_bytes());
    let before = before.unwrap_or(i64::MAX);
    let (sql, parameters): (_, Vec<&dyn ToSql>) = match &of {
        None => (format!("SELECT {COLUMNS} FROM audit WHERE id < ?1 ORDER BY id DESC"), vec![&before]),
        Some(of) => (
            format!("SELECT {COLUMNS} FROM audit WHERE organisation = ?2 AND id < ?1 ORDER BY id DESC"),
            vec![&before, of],
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&*parameters)?;
    let (mut records, mut fill, mut last) = (Vec::new(), PageFill::new(limit), None);
    while let Some(row) = rows.next()? {
        if fill.is_full() {
            return Ok(AuditPage { records, before: last });
        }
        let record = record_at(row)?;
        last = Some(record.id);
        let matches = filter.matches(record.at_ms, &record.entry);
        fill.count_row(row_bytes(row), matches);
        if matches {
            records.push(record);
        }
    }
    Ok(AuditPage { records, before: None })
}

fn audit_after(connection: &Connection, position: AuditPosition, limit: u32) -> Result<AuditBatch> {
    let events = events_after(connection, position.event, limit)?;
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    let records: Vec<_> =
        statement.query_and_then(params![position.record, limit], record_at)?.collect::<Result<_>>()?;
    let position = AuditPosition {
        event: events.last().map_or(position.event, |event| event.id),
        record: records.last().map_or(position.record, |record| record.id),
    };
    Ok(AuditBatch { events, records, position })
}

fn audit_waiting(connection: &Connection, position: AuditPosition) -> Result<Option<i64>> {
    let sql = "SELECT min(at_ms) FROM (SELECT * FROM (SELECT at_ms FROM event WHERE id > ?1 ORDER BY id LIMIT 1)
               UNION ALL SELECT * FROM (SELECT at_ms FROM audit WHERE id > ?2 ORDER BY id LIMIT 1))";
    Ok(connection.prepare_cached(sql)?.query_row([position.event, position.record], |row| row.get(0))?)
}

fn audit_position(connection: &Connection, sink: &str) -> Result<Option<AuditPosition>> {
    let position = connection
        .prepare_cached("SELECT event, record FROM audit_position WHERE sink = ?1")?
        .query_row([sink], |row| Ok(AuditPosition { event: row.get(0)?, record: row.get(1)? }))
        .optional()?;
    Ok(position)
}

fn audit_position_set(
    connection: &Connection,
    sink: &str,
    expected: Option<AuditPosition>,
    position: AuditPosition,
) -> Result<bool> {
    let changed = match expected {
        None => connection
            .prepare_cached("INSERT OR IGNORE INTO audit_position (sink, event, record) VALUES (?1, ?2, ?3)")?
            .execute(params![sink, position.event, position.record])?,
        Some(expected) => connection
            .prepare_cached(
                "UPDATE audit_position SET event = ?2, record = ?3 WHERE sink = ?1 AND event = ?4 AND record = ?5",
            )?
            .execute(params![sink, position.event, position.record, expected.event, expected.record])?,
    };
    Ok(changed > 0)
}

fn audit_remove_before(connection: &Connection, before_ms: i64, at_most: u32) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM audit WHERE id IN
                 (SELECT id FROM (SELECT id, at_ms FROM audit ORDER BY id LIMIT ?2) WHERE at_ms < ?1)",
        )?
        .execute(params![before_ms, at_most])?;
    Ok(removed as u64)
}

fn audit_surplus(connection: &Connection, most: u32) -> Result<Vec<(Option<OrganisationId>, i64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner.id, (SELECT audit.id FROM audit WHERE audit.organisation = owner.id
                           ORDER BY audit.id DESC LIMIT 1 OFFSET ?1) AS last
         FROM (SELECT id FROM organisation UNION ALL SELECT zeroblob(16)) AS owner WHERE last IS NOT NULL",
    )?;
    let surplus = statement.query_map([most], |row| Ok((organisation_of(row.get(0)?), row.get(1)?)))?;
    Ok(surplus.collect::<rusqlite::Result<_>>()?)
}

fn audit_remove_up_to(
    connection: &Connection,
    organisation: Option<OrganisationId>,
    last: i64,
    at_most: u32,
) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM audit WHERE id IN
                 (SELECT id FROM audit WHERE organisation = ?1 AND id <= ?2 ORDER BY id LIMIT ?3)",
        )?
        .execute(params![organisation_column(organisation), last, at_most])?;
    Ok(removed as u64)
}

fn organisation_of(bytes: [u8; 16]) -> Option<OrganisationId> {
    let id = Uuid::from_bytes(bytes);
    (!id.is_nil()).then_some(OrganisationId(id))
}

fn record_at(row: &Row<'_>) -> Result<AuditRecord> {
    let entry: String = row.get(3)?;
    Ok(AuditRecord {
        id: row.get(0)?,
        organisation: organisation_of(row.get(1)?),
        at_ms: row.get(2)?,
        entry: serde_json::from_str(&entry).map_err(|error| StoreError::Corrupt(format!("audit record: {error}")))?,
    })
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_add(&self, records: &[AuditRecord]) -> Result<()> {
        let text = |record: &AuditRecord| serde_json::to_string(&record.entry).map(|entry| (record.clone(), entry));
        let records: Vec<_> = records
            .iter()
            .map(text)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| StoreError::NotMade(Box::new(error)))?;
        self.write(move |connection| audit_add(connection, &records)).await
    }

    async fn audit_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage> {
        let filter = filter.clone();
        self.read_list(organisation, move |connection| audit_list(connection, organisation, &filter, before, limit))
            .await
    }

    async fn audit_sequence(&self, _: u32) -> Result<u64> {
        Ok(0)
    }

    async fn audit_after(&self, position: AuditPosition, limit: u32) -> Result<AuditBatch> {
        self.read_list(None, move |connection| audit_after(connection, position, limit)).await
    }

    async fn audit_waiting(&self, position: AuditPosition) -> Result<Option<i64>> {
        self.read_list(None, move |connection| audit_waiting(connection, position)).await
    }

    async fn audit_position(&self, sink: &str) -> Result<Option<AuditPosition>> {
        self.read(|connection| audit_position(connection, sink))
    }

    async fn audit_position_set(
        &self,
        sink: &str,
        expected: Option<AuditPosition>,
        position: AuditPosition,
    ) -> Result<bool> {
        let sink = sink.to_owned();
        self.write(move |connection| audit_position_set(connection, &sink, expected, position)).await
    }

    async fn audit_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| audit_remove_before(connection, before_ms, at_most)).await
    }

    async fn audit_surplus(&self, most: u32) -> Result<Vec<(Option<OrganisationId>, i64)>> {
        self.read_list(None, move |connection| audit_surplus(connection, most)).await
    }

    async fn audit_remove_up_to(&self, organisation: Option<OrganisationId>, last: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| audit_remove_up_to(connection, organisation, last, at_most)).await
    }
}
