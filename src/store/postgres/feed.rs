//! The feed of events. Events get their positions after their commit ([`Sequence`]). The order of one object's events stays: when one of them is
//! visible, all its earlier ones are too, and have lower ids.

use std::time::Duration;

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::convert::{count, get};
use super::events::{COLUMNS, NEW_ID, event_at};
use super::params::params;
use super::sequence::Sequence;
use crate::store::{
    Claim, Consumer, FeedBounds, FeedEvent, FeedPage, FeedScope, FeedStart, FeedStore, Result, StoreError,
};

const CONSUMER: &str = "organisation, name, position, since_id, gaps, held_until_ms, attempts, retry_ms";

/// An expression for the present time, in milliseconds since 1970.
const NOW_MS: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Returns the key of a scope's rows: the nil UUID for all organisations and the server.
pub(super) fn key(scope: FeedScope) -> Uuid {
    scope.organisation().map_or(Uuid::nil(), |organisation| organisation.0)
}

pub(super) fn scope_of(key: Uuid) -> FeedScope {
    FeedScope::from((!key.is_nil()).then_some(OrganisationId(key)))
}

fn consumer_at(row: &Row) -> Result<Consumer> {
    Ok(Consumer {
        scope: scope_of(get(row, 0)?),
        name: get(row, 1)?,
        position: get(row, 2)?,
        since_id: get(row, 3)?,
        gaps: count(get(row, 4)?),
        held_until_ms: get(row, 5)?,
        attempts: u32::try_from(get::<i64>(row, 6)?).unwrap_or(u32::MAX),
        retry_ms: get(row, 7)?,
    })
}

#[async_trait]
impl FeedStore for PostgresStore {
    async fn feed_sequence(&self, at_most: u32) -> Result<u64> {
        Sequence::Events.place(self, at_most).await
    }

    async fn feed_bounds(&self, scope: FeedScope) -> Result<FeedBounds> {
        let removed = match scope {
            FeedScope::All => "SELECT max(position) FROM feed_removed WHERE $1::uuid IS NOT NULL",
            FeedScope::Organisation(_) => "SELECT position FROM feed_removed WHERE organisation = $1",
        };
        let sql = format!("SELECT latest, coalesce(({removed}), 0) FROM feed_state");
        let row = self.read_first(&sql, params![key(scope)]).await?;
        let row = row.ok_or_else(|| StoreError::Corrupt("feed_state has no row".to_owned()))?;
        Ok(FeedBounds { latest: get(&row, 0)?, removed: get(&row, 1)? })
    }

    async fn feed_read(&self, scope: FeedScope, after: i64, at_most: u32) -> Result<FeedPage> {
        let of_organisation = match scope {
            FeedScope::All => "$1::uuid IS NOT NULL",
            FeedScope::Organisation(_) => "organisation = $1",
        };
        let sql = format!(
            "SELECT {COLUMNS}, position FROM event WHERE {of_organisation} AND position > $2 ORDER BY position LIMIT $3"
        );
        let rows = self.read(&sql, params![key(scope), after, i64::from(at_most)]).await?;
        let events = rows.iter().map(|row| Ok(FeedEvent { position: get(row, 19)?, event: event_at(row)? }));
        let events = events.collect::<Result<_>>()?;
        // After the events: a removal between the two reads is then seen.
        Ok(FeedPage { events, bounds: self.feed_bounds(scope).await? })
    }

    async fn feed_changed(&self, after: i64, at_most: u32) -> Result<Vec<FeedScope>> {
        let sql = "SELECT DISTINCT organisation FROM event WHERE position > $1 LIMIT $2";
        let rows = self.read(sql, params![after, i64::from(at_most)]).await?;
        rows.iter().map(|row| Ok(scope_of(get(row, 0)?))).collect()
    }

    async fn consumer_ensure(&self, scope: FeedScope, name: &str, start: FeedStart) -> Result<Consumer> {
        let (position, since_id) = match start {
            FeedStart::Oldest => (self.feed_bounds(scope).await?.removed, "0".to_owned()),
            // An event that has no position yet gets one above the latest. The id tells it apart from later ones.
            FeedStart::Latest => (self.feed_bounds(scope).await?.latest, NEW_ID.to_owned()),
        };
        // The update changes nothing, but returns the row that exists.
        let sql = format!(
            "INSERT INTO feed_consumer AS known (organisation, name, position, since_id, gaps, holder, held_until_ms)
             VALUES ($1, $2, $3, {since_id}, 0, NULL, 0)
             ON CONFLICT (organisation, name) DO UPDATE SET gaps = known.gaps RETURNING {CONSUMER}"
        );
        let rows = self.change_rows(&sql, params![key(scope), name, position]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("feed_consumer: no row".to_owned()))?;
        consumer_at(row)
    }

    async fn consumer_list(&self) -> Result<Vec<Consumer>> {
        let sql = format!("SELECT {CONSUMER} FROM feed_consumer ORDER BY organisation, name");
        self.read(&sql, &[]).await?.iter().map(consumer_at).collect()
    }

    async fn consumer_claim(&self, scope: FeedScope, name: &str, holder: Uuid, lease: Duration) -> Result<Claim> {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let sql = format!(
            "UPDATE feed_consumer SET holder = $3, held_until_ms = {NOW_MS} + $4
             WHERE organisation = $1 AND name = $2 AND (holder IS NULL OR holder = $3 OR held_until_ms <= {NOW_MS}
                 OR held_until_ms > {NOW_MS} + 2 * $4)
             RETURNING {CONSUMER}"
        );
        let rows = self.change_rows(&sql, params![key(scope), name, holder, lease_ms]).await?;
        if let Some(row) = rows.first() {
            return Ok(Claim::Held(consumer_at(row)?));
        }
        let sql = format!("SELECT held_until_ms - {NOW_MS} FROM feed_consumer WHERE organisation = $1 AND name = $2");
        let left = self.read_first(&sql, params![key(scope), name]).await?;
        let left: Option<i64> = left.map(|row| get(&row, 0)).transpose()?;
        Ok(left.map_or(Claim::Missing, |left| Claim::Taken(Duration::from_millis(left.max(0).unsigned_abs()))))
    }

    async fn consumer_advance(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        position: i64,
        gap: bool,
    ) -> Result<bool> {
        let sql = "UPDATE feed_consumer SET position = $4, gaps = gaps + $5, attempts = 0, retry_ms = 0
                   WHERE organisation = $1 AND name = $2 AND holder = $3 RETURNING 1";
        let rows = self.change_rows(sql, params![key(scope), name, holder, position, i64::from(gap)]).await?;
        Ok(!rows.is_empty())
    }

    async fn consumer_postpone(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        attempts: u32,
        retry_ms: i64,
    ) -> Result<bool> {
        let sql = "UPDATE feed_consumer SET attempts = $4, retry_ms = $5
                   WHERE organisation = $1 AND name = $2 AND holder = $3 RETURNING 1";
        let rows = self.change_rows(sql, params![key(scope), name, holder, i64::from(attempts), retry_ms]).await?;
        Ok(!rows.is_empty())
    }

    async fn consumer_release(&self, scope: FeedScope, name: &str, holder: Uuid) -> Result<()> {
        let sql = "UPDATE feed_consumer SET holder = NULL, held_until_ms = 0
                   WHERE organisation = $1 AND name = $2 AND holder = $3";
        self.change_rows(sql, params![key(scope), name, holder]).await.map(drop)
    }

    async fn consumer_remove(&self, scope: FeedScope, name: &str) -> Result<()> {
        let sql = "DELETE FROM feed_consumer WHERE organisation = $1 AND name = $2";
        self.change_rows(sql, params![key(scope), name]).await.map(drop)
    }
}
