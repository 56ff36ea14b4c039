//! Connections of the pool, and transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use futures_util::future;
use parking_lot::Mutex;
use tokio_postgres::Row;

use super::convert::Failure;
use super::generations::{Generations, Raised};
use super::params::Param;
use crate::store::{Result, StoreError};

/// The connections to the database.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) connections: deadpool_postgres::Pool,
    /// Whether statements are prepared once for each connection. A proxy that gives each transaction another connection, such as
    /// PgBouncer before 1.21, cannot do it.
    pub(super) prepares: bool,
    /// The counters of changes, which a commit increases.
    pub(super) generations: Arc<Generations>,
}

impl Pool {
    /// Takes a connection.
    pub(super) async fn connection(&self) -> Result<Connection> {
        let client = self.connections.get().await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Connection { client, prepares: self.prepares })
    }

    /// Runs one statement that only reads. Repeats it on another connection if its own has broken.
    pub(super) async fn read(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let first = self.connection().await?.query(sql, params).await;
        match first {
            Err(Failure::Database(error)) if error.is_closed() => {
                self.connection().await?.query(sql, params).await.map_err(Failure::into_unavailable)
            }
            read => read.map_err(Failure::into_unavailable),
        }
    }
}

/// A connection, outside of a transaction.
pub(super) struct Connection {
    client: Object,
    prepares: bool,
}

impl Connection {
    /// Runs a statement as a transaction of its own, and returns its rows.
    pub(super) async fn query(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        if !self.prepares {
            return Ok(self.client.query_typed(sql, params).await?);
        }
        let types: Vec<_> = params.iter().map(|(_, of)| of.clone()).collect();
        let statement = self.client.prepare_typed_cached(sql, &types).await?;
        let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
        Ok(self.client.query(&statement, &values).await?)
    }
}

/// A transaction in isolation level READ COMMITTED: each statement sees what was committed before it began.
///
/// After a statement has failed, no other can run: avoid conflicts with `ON CONFLICT`, do not provoke them. Dropping a transaction that
/// was neither committed nor undone closes its connection.
pub(super) struct Transaction {
    connection: Option<Connection>,
    begun: AtomicBool,
    /// The changes to count after the commit.
    raised: Mutex<Vec<Raised>>,
}

impl Transaction {
    pub(super) const fn new(connection: Connection) -> Self {
        Self { connection: Some(connection), begun: AtomicBool::new(false), raised: Mutex::new(Vec::new()) }
    }

    /// Notes a change to count after the commit.
    pub(super) fn note_raised(&self, raised: Raised) {
        self.raised.lock().push(raised);
    }

    /// Takes the changes to count after the commit.
    pub(super) fn take_raised(&self) -> Vec<Raised> {
        std::mem::take(&mut *self.raised.lock())
    }

    /// Runs a statement, and returns its rows. The first statement is sent together with `BEGIN`.
    pub(super) async fn query(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        let connection = self.connection()?;
        if self.begun.swap(true, Ordering::AcqRel) {
            return connection.query(sql, params).await;
        }
        let (begun, rows) = future::join(connection.client.batch_execute("BEGIN"), connection.query(sql, params)).await;
        begun?;
        rows
    }

    /// Runs a statement, and returns its first row.
    pub(super) async fn query_first(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> std::result::Result<Option<Row>, Failure> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement, and returns how many rows it returned. The statement has to end with `RETURNING 1`.
    pub(super) async fn count(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<usize, Failure> {
        Ok(self.query(sql, params).await?.len())
    }

    /// Makes the changes durable.
    pub(super) async fn commit(mut self) -> std::result::Result<(), tokio_postgres::Error> {
        self.end("COMMIT").await
    }

    /// Undoes the changes.
    pub(super) async fn undo(mut self) -> std::result::Result<(), tokio_postgres::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, how: &str) -> std::result::Result<(), tokio_postgres::Error> {
        let ended = match (&self.connection, self.begun.load(Ordering::Acquire)) {
            (Some(connection), true) => connection.client.batch_execute(how).await,
            _ => Ok(()),
        };
        if ended.is_ok() {
            self.begun.store(false, Ordering::Release);
        }
        ended
    }

    fn connection(&self) -> std::result::Result<&Connection, Failure> {
        self.connection
            .as_ref()
            .ok_or_else(|| Failure::Refused(StoreError::Corrupt("a transaction has ended".to_owned())))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.begun.load(Ordering::Acquire)
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection.client));
        }
    }
}
