//! Positions of events in the feed, and of audit records in exports.
//!
//! Ids are taken before the commit, so a row with a lower id may become visible later. Positions are given to committed rows, in the order of their
//! ids, while the row in `feed_state` is locked until the commit. So positions become visible in their order, and changes of the catalog neither wait
//! for this lock nor hold it. A row that is committed late gets a later position. A transaction that stays open, of a server or of
//! another application, delays only its own rows.

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, count, get};
use super::params::params;
use crate::store::Result;

/// Rows that get positions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sequence {
    /// The events, in the feed.
    Events,
    /// The audit records.
    Records,
}

impl Sequence {
    /// Gives up to `at_most` rows that have no position the next positions, lowest ids first. Returns their number.
    pub(super) async fn place(self, store: &PostgresStore, at_most: u32) -> Result<u64> {
        let (table, latest) = match self {
            Self::Events => ("event", "latest"),
            Self::Records => ("audit", "latest_record"),
        };
        // Most runs find nothing to do, and lock nothing.
        let unplaced = format!("SELECT 1 FROM {table} WHERE position IS NULL LIMIT 1");
        if store.read_first(&unplaced, &[]).await?.is_none() {
            return Ok(0);
        }
        let sql = format!(
            "WITH next AS (
                 SELECT organisation, id, row_number() OVER (ORDER BY id, organisation) AS number
                 FROM (SELECT organisation, id FROM {table} WHERE position IS NULL ORDER BY id, organisation LIMIT $1) AS oldest),
             placed AS (
                 UPDATE {table} SET position = feed_state.{latest} + next.number FROM next, feed_state
                 WHERE {table}.organisation = next.organisation AND {table}.id = next.id RETURNING {table}.position),
             highest AS (SELECT max(position) AS position, count(*) AS placed FROM placed)
             UPDATE feed_state SET {latest} = highest.position FROM highest
             WHERE feed_state.only_one AND highest.position IS NOT NULL RETURNING highest.placed"
        );
        transact!(store, transaction => place(transaction, &sql, at_most))
    }
}

async fn place(transaction: &Transaction, sql: &str, at_most: u32) -> std::result::Result<u64, Failure> {
    // Locks in a statement of its own, so that the next one sees what the last holder of the lock did.
    transaction.query("SELECT 1 FROM feed_state WHERE only_one FOR UPDATE", &[]).await?;
    let rows = transaction.query(sql, params![i64::from(at_most)]).await?;
    Ok(rows.first().map(|row| get(row, 0)).transpose()?.map_or(0, count))
}
