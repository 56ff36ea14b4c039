//! One connection to the database, and its statements.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::{runtime, time};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::connector::{Cancellation, Connected, Connector};
use super::convert::{Failure, ends_connection, is_read_only, is_unprepared};
use super::params::Param;

/// A connection. Several statements may be sent at once: the database answers them in their order.
pub(super) struct Client {
    client: tokio_postgres::Client,
    task: AbortHandle,
    cancellation: Cancellation,
    connector: Arc<Connector>,
    /// The prepared statements. `None` if none are prepared.
    statements: Option<Mutex<HashMap<Box<str>, Statement>>>,
    statement_timeout: Duration,
    /// The number of statements without an answer.
    unanswered: AtomicUsize,
    /// Whether it must not be used again.
    is_bad: AtomicBool,
}

/// A statement that was prepared, or will be sent with its text.
pub(super) enum Prepared {
    Statement(Statement),
    Text,
}

/// Counts a statement without an answer.
struct Unanswered<'a>(&'a Client);

impl<'a> Unanswered<'a> {
    fn new(client: &'a Client) -> Self {
        client.unanswered.fetch_add(1, Ordering::AcqRel);
        Self(client)
    }

    /// Ends the count after the answer. Dropped without it, the statement counts for ever.
    fn answered(self) {
        self.0.unanswered.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Client {
    pub(super) fn new(connected: Connected, connector: Arc<Connector>, prepares: bool, timeout: Duration) -> Self {
        let Connected { client, task, cancellation } = connected;
        Self {
            client,
            task,
            cancellation,
            connector,
            statements: prepares.then(Mutex::default),
            statement_timeout: timeout,
            unanswered: AtomicUsize::new(0),
            is_bad: AtomicBool::new(false),
        }
    }

    /// Prepares a statement, if statements are prepared and this one was not before.
    pub(super) async fn prepare(&self, sql: &str, params: &[Param<'_>]) -> Result<Prepared, Failure> {
        let Some(statements) = &self.statements else { return Ok(Prepared::Text) };
        let known = statements.lock().get(sql).cloned();
        if let Some(known) = known {
            return Ok(Prepared::Statement(known));
        }
        let types: Vec<_> = params.iter().map(|(_, of)| of.clone()).collect();
        let statement = self.answer(self.client.prepare_typed(sql, &types)).await?;
        statements.lock().insert(sql.into(), statement.clone());
        Ok(Prepared::Statement(statement))
    }

    /// Runs a statement, and returns its rows.
    pub(super) async fn execute(
        &self,
        prepared: &Prepared,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failure> {
        match prepared {
            Prepared::Text => self.answer(self.client.query_typed(sql, params)).await,
            Prepared::Statement(statement) => {
                let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
                self.answer(self.client.query(statement, &values)).await
            }
        }
    }

    /// Prepares and runs a statement, and returns its rows.
    pub(super) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let prepared = self.prepare(sql, params).await?;
        self.execute(&prepared, sql, params).await
    }

    /// Runs a statement without parameters and rows, such as `BEGIN`, or several.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.answer(self.client.batch_execute(sql)).await
    }

    /// Waits for an answer as long as a statement may take.
    async fn answer<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
        let unanswered = Unanswered::new(self);
        let Ok(answered) = time::timeout(self.statement_timeout, answer).await else {
            self.abandon();
            return Err(Failure::TimedOut(self.statement_timeout));
        };
        unanswered.answered();
        answered.map_err(|error| {
            // A connection to a server that became a standby, without its statements, or that ends, is of no use.
            if is_read_only(&error) || is_unprepared(&error) || error.as_db_error().is_none_or(ends_connection) {
                self.is_bad.store(true, Ordering::Release);
            }
            Failure::Database(error)
        })
    }

    /// Returns whether the connection can be used, and all statements have their answers.
    pub(super) fn is_idle(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) == 0 && self.is_usable()
    }

    /// Returns whether the connection can be used.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_bad.load(Ordering::Acquire) && !self.client.is_closed()
    }

    /// Waits until statements whose callers left have ended, and undoes an open transaction. Closes the connection if that takes too
    /// long.
    pub(super) async fn settle(&self, in_transaction: bool, at_most: Duration) {
        let end = if in_transaction { "ROLLBACK" } else { "" };
        match time::timeout(at_most, self.client.batch_execute(end)).await {
            Ok(Ok(())) => self.unanswered.store(0, Ordering::Release),
            Ok(Err(_)) | Err(_) => self.abandon(),
        }
    }

    /// Cancels the statement that runs, and closes the connection.
    pub(super) fn abandon(&self) {
        if self.is_bad.swap(true, Ordering::AcqRel) {
            return;
        }
        let (connector, cancel, task) = (Arc::clone(&self.connector), self.cancellation.clone(), self.task.clone());
        match runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                // The statement is cancelled first: once the connection is closed, the database may not notice before it ends.
                connector.cancel(cancel).await;
                task.abort();
            })),
            Err(_) => task.abort(),
        }
    }
}
