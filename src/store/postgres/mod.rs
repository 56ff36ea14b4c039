//! The store on PostgreSQL, for any number of servers.
//!
//! The database is the only truth: nothing here is cached, except what a generation proves to be current (`generations.rs`).
//! Statements name the organisation first, and need no session state, no trigger and no sequence (docs/decisions/0060).

mod address;
mod administration;
mod attempts;
mod audit;
mod cancel;
mod change_author;
mod client;
mod connection;
mod connector;
mod convert;
mod copy;
mod counters;
mod digests;
mod dropped;
mod dropped_record;
mod dropped_rows;
mod entities;
mod events;
mod feed;
mod feed_removed;
mod forget;
mod forget_rows;
mod generations;
mod granted;
mod grants;
mod group_roles;
mod inspect;
mod key_usage;
mod keys;
mod labels;
mod location_rows;
mod locations;
mod maintenance;
mod master_key;
mod migrations;
mod namespaces;
mod old_documents;
mod open;
mod open_error;
mod operators;
mod organisations;
mod pages;
mod params;
mod pointers;
mod receipts;
mod reports;
mod restore;
mod restricted;
mod restrictions;
mod roles;
mod search;
mod sequence;
mod settings;
mod signing_keys;
mod state_rows;
mod subscriptions;
mod swaps;
mod table_adds;
mod table_rows;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod together;
mod transact;
mod usage;
mod users;
mod waiting_reads;
mod warehouses;

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::Row;

use self::attempts::Purpose;
use self::connection::Pool;
use self::counters::Generations;
use self::params::{Param, organisation_of, params};
use self::waiting_reads::Together;
use super::{MeasuredStore, Result, Store};
use crate::base::due::latest_lease_ms;
use crate::base::measure::Calls;

pub(super) use self::copy::PostgresCopy;
pub use self::migrations::SchemaError;
pub use self::open_error::PostgresOpenError;
pub use self::settings::{PostgresSettings, UrlError};
#[cfg(test)]
pub(crate) use self::tests::TestSchema;

/// The store in a PostgreSQL database, which other servers may use at the same time.
#[derive(Clone)]
pub(crate) struct PostgresStore {
    pool: Pool,
    generations: Arc<Generations>,
    together: Arc<Together>,
}

impl PostgresStore {
    /// Runs one statement that only reads, and returns its rows, which may be many. If `$1` is an organisation, it waits for a connection
    /// as a list of this organisation.
    async fn read(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.pool.read(Purpose::List, organisation_of(params), sql, params).await
    }

    /// Does the same for an organisation that is not `$1`.
    async fn read_for(&self, organisation: OrganisationId, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.pool.read(Purpose::List, Some(organisation), sql, params).await
    }

    /// Runs one statement for rows that a request needs before it can do its work: the caller's access, warehouses, the tables of a
    /// transaction. It does not wait for lists.
    async fn read_needed(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.pool.read(Purpose::Needed, organisation_of(params), sql, params).await
    }

    /// Runs one quick statement that only reads, and returns its first row. It shares a connection with other such reads: a slow one would
    /// delay them.
    async fn read_first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.pool.read_few(sql, params).await?.into_iter().next())
    }

    /// Makes a change in one statement, without a transaction around it, and returns its rows. No receipt belongs to the change, and
    /// its statement violates no constraint.
    async fn change_rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.pool.change(sql, params).await.map_err(convert::Failure::into_not_made)
    }
}

impl MeasuredStore for PostgresStore {
    fn calls(&self) -> Calls {
        self.pool.calls().clone()
    }

    fn waiting_changes(&self) -> usize {
        self.pool.waiting_changes()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn ping(&self) -> Result<()> {
        self.pool.ping().await
    }

    async fn task_claim(&self, task: &str, now_ms: i64, until_ms: i64) -> Result<bool> {
        let claimed = self
            .change_rows(
                "INSERT INTO task_claim AS known (task, until_ms) VALUES ($1, $3)
                 ON CONFLICT (task) DO UPDATE SET until_ms = $3
                 WHERE known.until_ms <= $2 OR known.until_ms > $4 RETURNING 1",
                params![task, now_ms, until_ms, latest_lease_ms(now_ms, until_ms)],
            )
            .await?;
        Ok(!claimed.is_empty())
    }
}
