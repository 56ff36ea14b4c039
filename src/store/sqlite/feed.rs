//! The feed of events. An event's position is its id: one writer commits the events in the order of their ids.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::SqliteStore;
use super::convert::count;
use super::events::{COLUMNS, event_at};
use crate::store::{Claim, Consumer, FeedBounds, FeedEvent, FeedPage, FeedScope, FeedStart, FeedStore, Result};

const CONSUMER: &str = "organisation, name, position, since_id, gaps, held_until_ms, attempts, retry_ms";

/// An expression for the present time, in milliseconds since 1970.
const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Returns the key of a scope's rows: zeros for all organisations and the server.
pub(super) fn key(scope: FeedScope) -> [u8; 16] {
    scope.organisation().map_or(Uuid::nil(), |organisation| organisation.0).into_bytes()
}

pub(super) fn scope_of(key: [u8; 16]) -> FeedScope {
    let id = Uuid::from_bytes(key);
    FeedScope::from((!id.is_nil()).then_some(OrganisationId(id)))
}

fn feed_bounds(connection: &Connection, scope: FeedScope) -> Result<FeedBounds> {
    let latest: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'event'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let removed: Option<i64> = match scope {
        FeedScope::All => {
            connection.prepare_cached("SELECT max(position) FROM feed_removed")?.query_row([], |row| row.get(0))?
        }
        FeedScope::Organisation(_) => connection
            .prepare_cached("SELECT position FROM feed_removed WHERE organisation = ?1")?
            .query_row([key(scope)], |row| row.get(0))
            .optional()?,
    };
    Ok(FeedBounds { removed: removed.unwrap_or(0), latest: latest.unwrap_or(0) })
}

fn feed_read(connection: &Connection, scope: FeedScope, after: i64, at_most: u32) -> Result<FeedPage> {
    let of_organisation = match scope {
        FeedScope::All => "?1 IS NOT NULL",
        FeedScope::Organisation(_) => "organisation = ?1",
    };
    let sql = format!("SELECT {COLUMNS} FROM event WHERE {of_organisation} AND id > ?2 ORDER BY id LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key(scope), after, at_most])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let event = event_at(row)?;
        events.push(FeedEvent { position: event.id, event });
    }
    drop(rows);
    // After the events: a removal between the two reads is then seen.
    Ok(FeedPage { events, bounds: feed_bounds(connection, scope)? })
}

fn feed_changed(connection: &Connection, after: i64, at_most: u32) -> Result<Vec<FeedScope>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT organisation FROM event WHERE id > ?1 LIMIT ?2")?;
    let scopes = statement.query_map(params![after, at_most], |row| {
        Ok(scope_of(row.get::<_, Option<[u8; 16]>>(0)?.unwrap_or_default()))
    })?;
    Ok(scopes.collect::<rusqlite::Result<_>>()?)
}

fn consumer_at(row: &Row<'_>) -> rusqlite::Result<Consumer> {
    Ok(Consumer {
        scope: scope_of(row.get(0)?),
        name: row.get(1)?,
        position: row.get(2)?,
        since_id: row.get(3)?,
        gaps: count(row.get(4)?),
        held_until_ms: row.get(5)?,
        attempts: row.get(6)?,
        retry_ms: row.get(7)?,
    })
}

fn consumer_ensure(connection: &Connection, scope: FeedScope, name: &str, start: FeedStart) -> Result<Consumer> {
    let bounds = feed_bounds(connection, scope)?;
    let position = match start {
        FeedStart::Oldest => bounds.removed,
        FeedStart::Latest => bounds.latest,
    };
    connection
        .prepare_cached(
            "INSERT INTO feed_consumer (organisation, name, position, since_id, gaps, holder, held_until_ms)
             VALUES (?1, ?2, ?3, 0, 0, NULL, 0) ON CONFLICT (organisation, name) DO NOTHING",
        )?
        .execute(params![key(scope), name, position])?;
    let sql = format!("SELECT {CONSUMER} FROM feed_consumer WHERE organisation = ?1 AND name = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row(params![key(scope), name], consumer_at)?)
}

#[async_trait]
impl FeedStore for SqliteStore {
    async fn feed_sequence(&self, _: u32) -> Result<u64> {
        Ok(0)
    }

    async fn feed_bounds(&self, scope: FeedScope) -> Result<FeedBounds> {
        self.read(|connection| feed_bounds(connection, scope))
    }

    async fn feed_read(&self, scope: FeedScope, after: i64, at_most: u32) -> Result<FeedPage> {
        self.read_many(move |connection| feed_read(connection, scope, after, at_most)).await
    }

    async fn feed_changed(&self, after: i64, at_most: u32) -> Result<Vec<FeedScope>> {
        self.read_many(move |connection| feed_changed(connection, after, at_most)).await
    }

    async fn consumer_ensure(&self, scope: FeedScope, name: &str, start: FeedStart) -> Result<Consumer> {
        let name = name.to_owned();
        self.write(move |connection| consumer_ensure(connection, scope, &name, start)).await
    }

    async fn consumer_list(&self) -> Result<Vec<Consumer>> {
        self.read_many(|connection| {
            let sql = format!("SELECT {CONSUMER} FROM feed_consumer ORDER BY organisation, name");
            let mut statement = connection.prepare_cached(&sql)?;
            let consumers = statement.query_map([], consumer_at)?;
            Ok(consumers.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn consumer_claim(&self, scope: FeedScope, name: &str, holder: Uuid, lease: Duration) -> Result<Claim> {
        let (name, lease_ms) = (name.to_owned(), i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        self.write(move |connection| {
            let sql = format!(
                "UPDATE feed_consumer SET holder = ?3, held_until_ms = {NOW_MS} + ?4 WHERE organisation = ?1 AND name = ?2
                 RETURNING {CONSUMER}"
            );
            let holder = holder.into_bytes();
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![key(scope), name, holder, lease_ms])?;
            let mut claim = Claim::Missing;
            // To the statement's end, where the row is changed.
            while let Some(row) = rows.next()? {
                claim = Claim::Held(consumer_at(row)?);
            }
            Ok(claim)
        })
        .await
    }

    async fn consumer_advance(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        position: i64,
        gap: bool,
    ) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE feed_consumer SET position = ?4, gaps = gaps + ?5, attempts = 0, retry_ms = 0
                     WHERE organisation = ?1 AND name = ?2 AND holder = ?3",
                )?
                .execute(params![key(scope), name, holder.into_bytes(), position, gap])?;
            Ok(changed > 0)
        })
        .await
    }

    async fn consumer_postpone(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        attempts: u32,
        retry_ms: i64,
    ) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE feed_consumer SET attempts = ?4, retry_ms = ?5
                     WHERE organisation = ?1 AND name = ?2 AND holder = ?3",
                )?
                .execute(params![key(scope), name, holder.into_bytes(), attempts, retry_ms])?;
            Ok(changed > 0)
        })
        .await
    }

    async fn consumer_release(&self, scope: FeedScope, name: &str, holder: Uuid) -> Result<()> {
        let name = name.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE feed_consumer SET holder = NULL, held_until_ms = 0
                     WHERE organisation = ?1 AND name = ?2 AND holder = ?3",
                )?
                .execute(params![key(scope), name, holder.into_bytes()])?;
            Ok(())
        })
        .await
    }

    async fn consumer_remove(&self, scope: FeedScope, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM feed_consumer WHERE organisation = ?1 AND name = ?2")?
                .execute(params![key(scope), name])?;
            Ok(())
        })
        .await
    }
}
