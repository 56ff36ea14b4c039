//! The store on PostgreSQL, for any number of servers.
//!
//! The database is the only truth: nothing here is cached, except what a generation proves to be current (`generations.rs`).
//! Statements name the organisation first, and need no session state, no trigger and no sequence (docs/decisions/0060).

mod administration;
mod attempts;
mod connection;
mod convert;
mod copy;
mod dropped;
mod entities;
mod events;
mod generations;
mod grants;
mod keys;
mod locations;
mod master_key;
mod namespaces;
mod old_documents;
mod open;
mod operators;
mod organisations;
mod params;
mod receipts;
mod reports;
mod signing_keys;
mod state_rows;
mod tables;
#[cfg(test)]
mod tests;
mod usage;
mod users;
mod warehouses;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use self::connection::Pool;
use self::generations::Generations;
use self::params::{Param, params};
use super::{Result, Store};

pub(super) use self::copy::PostgresCopy;
pub use self::open::{PostgresOpenError, PostgresSettings};

/// The store in a PostgreSQL database, which other servers may use at the same time.
pub(crate) struct PostgresStore {
    pool: Pool,
    generations: Arc<Generations>,
}

impl PostgresStore {
    /// Runs one statement that only reads, and returns its rows.
    async fn read(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.pool.read(sql, params).await
    }

    /// Runs one statement that only reads, and returns its first row.
    async fn read_first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.read(sql, params).await?.into_iter().next())
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn ping(&self) -> Result<()> {
        self.read("SELECT 1 FROM organisation LIMIT 1", params![]).await.map(drop)
    }
}
