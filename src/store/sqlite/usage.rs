//! Requests that an organisation used of its daily budget.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{KeyId, OrganisationId};

use super::SqliteStore;
use super::convert::{Violation, bounded, count, id, violation};
use crate::store::{KeyUsage, Resource, Result, StoreError, UsageStore, UsageTaken};

pub(super) fn usage_take(
    connection: &Connection,
    organisation: OrganisationId,
    day: i64,
    wanted: u64,
    limit: Option<u64>,
) -> Result<UsageTaken> {
    let limit = limit.map_or(i64::MAX, bounded);
    let mut statement = connection.prepare_cached(
        "INSERT INTO usage (organisation, day, taken, granted) VALUES (?1, ?2, min(?3, ?4), min(?3, ?4))
         ON CONFLICT (organisation, day) DO UPDATE SET
             taken = taken + max(0, min(?3, ?4 - taken)),
             granted = max(0, min(?3, ?4 - taken))
         RETURNING granted, taken",
    )?;
    let mut rows = statement.query(params![organisation.0.as_bytes(), day, bounded(wanted), limit])?;
    let mut taken = UsageTaken { granted: 0, total: 0 };
    // To the statement's end, where the constraints are checked.
    loop {
        match rows.next() {
            Ok(Some(row)) => taken = UsageTaken { granted: count(row.get(0)?), total: count(row.get(1)?) },
            Ok(None) => return Ok(taken),
            Err(error) if violation(&error) == Some(Violation::ForeignKey) => {
                return Err(StoreError::NotFound(Resource::Organisation));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn usage_give_back(
    connection: &Connection,
    organisation: OrganisationId,
    day: i64,
    unspent: u64,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE usage SET taken = max(0, taken - ?3) WHERE organisation = ?1 AND day = ?2")?
        .execute(params![organisation.0.as_bytes(), day, bounded(unspent)])?;
    Ok(())
}

pub(super) fn usage_get(connection: &Connection, organisation: OrganisationId, day: i64) -> Result<u64> {
    let taken: Option<i64> = connection
        .prepare_cached("SELECT taken FROM usage WHERE organisation = ?1 AND day = ?2")?
        .query_row(params![organisation.0.as_bytes(), day], |row| row.get(0))
        .optional()?;
    Ok(taken.map_or(0, count))
}

pub(super) fn usage_list(
    connection: &Connection,
    organisation: OrganisationId,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT day, taken FROM usage WHERE organisation = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
    )?;
    let found = statement
        .query_map(params![organisation.0.as_bytes(), from, to], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn key_usage_add(connection: &Connection, usage: &[KeyUsage]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO key_usage (organisation, day, key, requests)
         SELECT ?1, ?2, ?3, ?4
         WHERE EXISTS (SELECT 1 FROM api_key WHERE organisation = ?1 AND id = ?3)
               OR EXISTS (SELECT 1 FROM principal WHERE organisation = ?1 AND id = ?3 AND issuer IS NOT NULL)
         ON CONFLICT (organisation, day, key) DO UPDATE SET requests = requests + excluded.requests",
    )?;
    for one in usage {
        let (organisation, key) = (one.organisation.0.as_bytes(), one.key.0.as_bytes());
        statement.execute(params![organisation, one.day, key, bounded(one.requests)])?;
    }
    Ok(())
}

pub(super) fn key_usage_list(
    connection: &Connection,
    organisation: OrganisationId,
    from: i64,
    to: i64,
) -> Result<Vec<KeyUsage>> {
    let mut statement = connection.prepare_cached(
        "SELECT day, key, requests FROM key_usage WHERE organisation = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day, key",
    )?;
    let found = statement.query_map(params![organisation.0.as_bytes(), from, to], |row| {
        let (day, key, requests) = (row.get(0)?, id(KeyId, row.get(1)?), count(row.get(2)?));
        Ok(KeyUsage { organisation, day, key, requests })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

#[async_trait]
impl UsageStore for SqliteStore {
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken> {
        self.write(move |connection| usage_take(connection, organisation, day, wanted, limit)).await
    }

    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()> {
        self.write(move |connection| usage_give_back(connection, organisation, day, unspent)).await
    }

    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64> {
        self.read(|connection| usage_get(connection, organisation, day))
    }
}
