//! Audit records, and how far they were exported.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::convert::get;
use super::events::{COLUMNS as EVENT_COLUMNS, NEW_ID, event_at};
use super::params::params;
use super::sequence::Sequence;
use crate::store::pages::PageFill;
use crate::store::{AuditBatch, AuditFilter, AuditPage, AuditPosition, AuditRecord, AuditStore, Result, StoreError};

/// The most records that one statement reads.
const MOST_AT_ONCE: usize = 1_000;

const COLUMNS: &str = "id, organisation, at_ms, entry";

/// Returns the column of a record's organisation: the nil UUID for an unknown actor.
fn organisation_column(organisation: Option<OrganisationId>) -> Uuid {
    organisation.map_or(Uuid::nil(), |organisation| organisation.0)
}

fn organisation_of(id: Uuid) -> Option<OrganisationId> {
    (!id.is_nil()).then_some(OrganisationId(id))
}

fn record_at(row: &Row) -> Result<AuditRecord> {
    Ok(AuditRecord {
        id: get(row, 0)?,
        organisation: organisation_of(get(row, 1)?),
        at_ms: get(row, 2)?,
        entry: serde_json::from_str(get(row, 3)?)
            .map_err(|error| StoreError::Corrupt(format!("audit record: {error}")))?,
    })
}

impl PostgresStore {
    async fn audit_before(
        &self,
        organisation: Option<OrganisationId>,
        before: i64,
        at_most: usize,
    ) -> Result<Vec<Row>> {
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        match organisation {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2");
                self.read(&sql, params![before, at_most]).await
            }
            Some(organisation) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM audit WHERE organisation = $3 AND id < $1 ORDER BY id DESC LIMIT $2"
                );
                self.read_for(organisation, &sql, params![before, at_most, organisation.0]).await
            }
        }
    }
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn audit_add(&self, records: &[AuditRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let entries = records
            .iter()
            .map(|record| serde_json::to_string(&record.entry))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| StoreError::NotMade(Box::new(error)))?;
        let sql = format!(
            "INSERT INTO audit (organisation, id, at_ms, entry)
             SELECT new.organisation, (SELECT {NEW_ID}) + new.number, new.at_ms, new.entry
             FROM unnest($1::uuid[], $2::bigint[], $3::text[]) WITH ORDINALITY AS new (organisation, at_ms, entry, number)
             RETURNING 1"
        );
        self.change_rows(
            &sql,
            params![
                records.iter().map(|record| organisation_column(record.organisation)).collect::<Vec<_>>(),
                records.iter().map(|record| record.at_ms).collect::<Vec<_>>(),
                entries,
            ],
        )
        .await?;
        Ok(())
    }

    async fn audit_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage> {
        let (mut records, mut fill, mut last) = (Vec::new(), PageFill::new(limit), before);
        // One more than the page: another record means that another page follows.
        let mut at_once = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1).min(MOST_AT_ONCE);
        loop {
            let rows = self.audit_before(organisation, last.unwrap_or(i64::MAX), at_once).await?;
            let ended = rows.len() < at_once;
            for row in &rows {
                if fill.is_full() {
                    return Ok(AuditPage { records, before: last });
                }
                let record = record_at(row)?;
                last = Some(record.id);
                let matches = filter.matches(record.at_ms, &record.entry);
                fill.count_row(row.raw_size_bytes(), matches);
                if matches {
                    records.push(record);
                }
            }
            if ended {
                return Ok(AuditPage { records, before: None });
            }
            at_once = MOST_AT_ONCE;
        }
    }

    async fn audit_sequence(&self, at_most: u32) -> Result<u64> {
        Sequence::Records.place(self, at_most).await
    }

    async fn audit_after(&self, position: AuditPosition, limit: u32) -> Result<AuditBatch> {
        let sql = format!("SELECT {EVENT_COLUMNS}, position FROM event WHERE position > $1 ORDER BY position LIMIT $2");
        let events = self.read(&sql, params![position.event, i64::from(limit)]).await?;
        let sql = format!("SELECT {COLUMNS}, position FROM audit WHERE position > $1 ORDER BY position LIMIT $2");
        let records = self.read(&sql, params![position.record, i64::from(limit)]).await?;
        let position = AuditPosition {
            event: events.last().map_or(Ok(position.event), |row| get(row, 19))?,
            record: records.last().map_or(Ok(position.record), |row| get(row, 4))?,
        };
        let events = events.iter().map(event_at).collect::<Result<_>>()?;
        let records = records.iter().map(record_at).collect::<Result<_>>()?;
        Ok(AuditBatch { events, records, position })
    }

    async fn audit_waiting(&self, position: AuditPosition) -> Result<Option<i64>> {
        let sql = "SELECT min(at_ms) FROM (
                (SELECT at_ms FROM event WHERE position > $1 ORDER BY position LIMIT 1) UNION ALL
                (SELECT at_ms FROM event WHERE position IS NULL ORDER BY id LIMIT 1) UNION ALL
                (SELECT at_ms FROM audit WHERE position > $2 ORDER BY position LIMIT 1) UNION ALL
                (SELECT at_ms FROM audit WHERE position IS NULL ORDER BY id LIMIT 1)) AS waiting";
        let row = self.read_first(sql, params![position.event, position.record]).await?;
        row.map_or(Ok(None), |row| get(&row, 0))
    }

    async fn audit_position(&self, sink: &str) -> Result<Option<AuditPosition>> {
        let row = self.read_first("SELECT event, record FROM audit_position WHERE sink = $1", params![sink]).await?;
        row.map(|row| Ok(AuditPosition { event: get(&row, 0)?, record: get(&row, 1)? })).transpose()
    }

    async fn audit_position_set(
        &self,
        sink: &str,
        expected: Option<AuditPosition>,
        position: AuditPosition,
    ) -> Result<bool> {
        let changed = match expected {
            None => {
                self.change_rows(
                    "INSERT INTO audit_position (sink, event, record) VALUES ($1, $2, $3)
                     ON CONFLICT (sink) DO NOTHING RETURNING 1",
                    params![sink, position.event, position.record],
                )
                .await?
            }
            Some(expected) => {
                self.change_rows(
                    "UPDATE audit_position SET event = $2, record = $3 WHERE sink = $1 AND event = $4 AND record = $5
                     RETURNING 1",
                    params![sink, position.event, position.record, expected.event, expected.record],
                )
                .await?
            }
        };
        Ok(!changed.is_empty())
    }

    async fn audit_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        let removed = self
            .change_rows(
                "DELETE FROM audit USING (SELECT organisation, id FROM
                     (SELECT organisation, id, at_ms FROM audit ORDER BY id LIMIT $2) AS oldest WHERE at_ms < $1) AS old
                 WHERE audit.organisation = old.organisation AND audit.id = old.id RETURNING 1",
                params![before_ms, i64::from(at_most)],
            )
            .await?;
        Ok(removed.len() as u64)
    }

    async fn audit_surplus(&self, most: u32) -> Result<Vec<(Option<OrganisationId>, i64)>> {
        let rows = self
            .read(
                "SELECT owner.id, surplus.id
                 FROM (SELECT id FROM organisation UNION ALL SELECT '00000000-0000-0000-0000-000000000000'::uuid) AS owner
                 CROSS JOIN LATERAL
                     (SELECT audit.id FROM audit WHERE audit.organisation = owner.id
                      ORDER BY audit.id DESC LIMIT 1 OFFSET $1) AS surplus",
                params![i64::from(most)],
            )
            .await?;
        rows.iter().map(|row| Ok((organisation_of(get(row, 0)?), get(row, 1)?))).collect()
    }

    async fn audit_remove_up_to(&self, organisation: Option<OrganisationId>, last: i64, at_most: u32) -> Result<u64> {
        let removed = self
            .change_rows(
                "DELETE FROM audit WHERE organisation = $1 AND id IN
                     (SELECT id FROM audit WHERE organisation = $1 AND id <= $2 ORDER BY id LIMIT $3) RETURNING 1",
                params![organisation_column(organisation), last, i64::from(at_most)],
            )
            .await?;
        Ok(removed.len() as u64)
    }
}
