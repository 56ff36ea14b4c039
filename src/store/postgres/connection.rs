//! The connections to the database, and transactions.
//!
//! Each connection has one of three purposes, so that none waits for another: changes, reads of many rows, and reads of one row. The last
//! are by far the most. They share a few connections: their statements are sent without waiting for the answers to earlier ones, which
//! is faster than one connection for each (docs/decisions/0064).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future;
use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;
use tokio::runtime;
use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::Row;

use super::client::Client;
use super::connector::{ConnectError, Connector};
use super::convert::Failure;
use super::counters::{Generations, Raised};
use super::params::Param;
use super::settings::PostgresSettings;
use crate::base::line::{Line, NoPlace, Place, Shares};
use crate::base::measure::{Calls, Subject};
use crate::store::StoreError;

/// The fewest connections: one for each purpose.
const FEWEST: usize = 3;

/// The most connections that reads of one row share.
const MOST_SHARED: usize = 16;

/// How long statements whose callers left may go on before they are cancelled.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// The connections to the database.
#[derive(Clone)]
pub(super) struct Pool(Arc<Connections>);

struct Connections {
    connector: Arc<Connector>,
    /// The counters of changes, which a commit increases.
    generations: Arc<Generations>,
    prepares: bool,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    retry_timeout: Duration,
    changes: Arc<Line>,
    lists: Arc<Line>,
    /// Open connections that nobody uses, the most recently used last.
    idle: Mutex<Vec<Client>>,
    shared: Vec<Shared>,
    calls: Calls,
}

/// A connection that reads of one row share.
#[derive(Default)]
struct Shared {
    client: Mutex<Option<Arc<Client>>>,
    /// Locked while the connection is opened, so that only one caller does.
    opening: AsyncMutex<()>,
    /// The number of reads without an answer.
    reads: AtomicUsize,
}

/// Counts a read while it has no answer.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoConnection {
    /// Nobody gave one up in time, or too many wait.
    #[error("there is no place among the connections to the database: {0}")]
    Place(#[from] NoPlace),
    /// None was opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl NoConnection {
    /// Returns the error of a change that was not begun.
    pub(super) fn into_not_made(self) -> StoreError {
        match self {
            Self::Place(NoPlace::Busy) => StoreError::Busy,
            other => StoreError::NotMade(Box::new(other)),
        }
    }

    /// Returns whether another attempt may succeed soon.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Connect(error) if error.may_pass())
    }
}

impl Pool {
    /// Creates the pool. It opens connections as they are needed.
    pub(super) fn new(settings: &PostgresSettings, connector: Arc<Connector>, generations: Arc<Generations>) -> Self {
        let all = settings.connections.max(FEWEST);
        let shared = (all * 2 / 5).clamp(1, MOST_SHARED);
        let lists = (all / 5).max(1);
        let changes = all - shared - lists;
        Self(Arc::new(Connections {
            connector,
            generations,
            prepares: settings.prepared_statements,
            acquire_timeout: settings.acquire_timeout,
            statement_timeout: settings.statement_timeout,
            retry_timeout: settings.retry_timeout,
            changes: Line::new(changes, Shares::for_changes(changes)),
            lists: Line::new(lists, Shares::for_lists(lists)),
            idle: Mutex::default(),
            shared: (0..shared).map(|_| Shared::default()).collect(),
            calls: Calls::new(Subject::Store),
        }))
    }

    /// Returns how many changes of organisations wait for a connection.
    pub(super) fn waiting_changes(&self) -> usize {
        self.0.changes.waiting()
    }

    /// Returns the measurements of the database's calls.
    pub(super) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// Returns how long something is tried again while the database cannot be reached.
    pub(super) fn retry_timeout(&self) -> Duration {
        self.0.retry_timeout
    }

    /// Returns the counters of changes.
    pub(super) fn generations(&self) -> &Generations {
        &self.0.generations
    }

    /// Takes a connection for changes of an organisation, or of the server itself.
    pub(super) async fn connection(&self, owner: Option<OrganisationId>) -> Result<Connection, NoConnection> {
        let place = self.0.changes.enter(owner, self.0.acquire_timeout).await?;
        Ok(self.0.take(place).await?)
    }

    /// Takes a connection for lists of an organisation, or of the server itself and its operators.
    pub(super) async fn connection_for_lists(&self, owner: Option<OrganisationId>) -> Result<Connection, NoConnection> {
        let place = self.0.lists.enter(owner, self.0.acquire_timeout).await?;
        Ok(self.0.take(place).await?)
    }

    /// Runs a statement that reads few rows, over a shared connection.
    pub(super) async fn query_shared(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Result<Vec<Row>, Failure>, NoConnection> {
        let shared = self.0.least_used();
        shared.reads.fetch_add(1, Ordering::AcqRel);
        let _counted = Counted(&shared.reads);
        let client = self.0.shared_client(shared).await?;
        Ok(client.query(sql, params).await)
    }

    /// Opens all shared connections, and prepares a statement on each.
    #[cfg(test)]
    pub(super) async fn prepare_on_shared(&self, sql: &str, params: &[Param<'_>]) {
        for shared in &self.0.shared {
            let client = self.0.shared_client(shared).await.unwrap_or_else(|error| panic!("{error}"));
            drop(client.prepare(sql, params).await.unwrap_or_else(|error| panic!("{error:?}")));
        }
    }
}

impl Connections {
    async fn open(&self) -> Result<Client, ConnectError> {
        let connected = self.connector.connect().await?;
        Ok(Client::new(connected, Arc::clone(&self.connector), self.prepares, self.statement_timeout))
    }

    /// Takes an open connection, or opens one.
    async fn take(self: &Arc<Self>, place: Place) -> Result<Connection, ConnectError> {
        let client = match self.pop_idle() {
            Some(client) => client,
            None => self.open().await?,
        };
        Ok(Connection { used: Some((client, place)), connections: Arc::clone(self), in_transaction: false })
    }

    fn pop_idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock();
        while let Some(client) = idle.pop() {
            if client.is_usable() {
                return Some(client);
            }
        }
        None
    }

    /// Puts a connection back. If it was found to be of no use, the others may be too: those that are closed are removed.
    fn put_back(&self, client: Client) {
        let mut idle = self.idle.lock();
        if client.is_idle() {
            idle.push(client);
        } else {
            idle.retain(Client::is_usable);
        }
    }

    /// Returns the shared connection with the fewest reads: one behind a slow statement gets no more.
    fn least_used(&self) -> &Shared {
        let mut least = &self.shared[0];
        for shared in &self.shared[1..] {
            if shared.reads.load(Ordering::Relaxed) < least.reads.load(Ordering::Relaxed) {
                least = shared;
            }
        }
        least
    }

    async fn shared_client(&self, shared: &Shared) -> Result<Arc<Client>, ConnectError> {
        let usable = || shared.client.lock().clone().filter(|client| client.is_usable());
        if let Some(client) = usable() {
            return Ok(client);
        }
        let _turn = shared.opening.lock().await;
        if let Some(client) = usable() {
            return Ok(client);
        }
        let client = Arc::new(self.open().await?);
        *shared.client.lock() = Some(Arc::clone(&client));
        Ok(client)
    }
}

/// A connection that only its owner uses.
pub(super) struct Connection {
    /// `None` after its end.
    used: Option<(Client, Place)>,
    connections: Arc<Connections>,
    in_transaction: bool,
}

impl Connection {
    /// Runs a statement as a transaction of its own, and returns its rows.
    pub(super) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        self.client()?.query(sql, params).await
    }

    /// Makes a change in one statement as a transaction of its own, and returns its rows. If it may have been made, the failure is
    /// `Unknown`.
    pub(super) async fn change(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let client = self.client()?;
        let prepared = client.prepare(sql, params).await?;
        client.execute(&prepared, sql, params).await.map_err(Failure::of_change)
    }

    fn client(&self) -> Result<&Client, Failure> {
        let ended = || Failure::Refused(StoreError::Corrupt("a transaction has ended".to_owned()));
        self.used.as_ref().map(|(client, _)| client).ok_or_else(ended)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some((client, place)) = self.used.take() else { return };
        if !client.is_usable() || (!self.in_transaction && client.is_idle()) {
            self.connections.put_back(client);
            return;
        }
        // Its user left in the middle. Outside of a runtime the connection is closed, which undoes its transaction too.
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        let (connections, in_transaction) = (Arc::clone(&self.connections), self.in_transaction);
        runtime.spawn(async move {
            client.settle(in_transaction, SETTLES_WITHIN).await;
            connections.put_back(client);
            drop(place);
        });
    }
}

/// A transaction in isolation level READ COMMITTED: each statement sees what was committed before it began.
///
/// After a statement has failed, no other can run: avoid conflicts with `ON CONFLICT`, do not provoke them. Dropping a transaction that
/// was neither committed nor undone undoes it.
pub(super) struct Transaction {
    connection: Connection,
    begun: AtomicBool,
    /// Whether a statement failed. The database would answer a commit with success, but undo all.
    failed: AtomicBool,
    /// The changes to count after the commit.
    raised: Mutex<Vec<Raised>>,
}

impl Transaction {
    pub(super) const fn new(connection: Connection) -> Self {
        Self {
            connection,
            begun: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            raised: Mutex::new(Vec::new()),
        }
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
    pub(super) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let client = self.connection.client()?;
        let rows = if self.begun.swap(true, Ordering::AcqRel) {
            client.query(sql, params).await
        } else {
            let (begun, rows) = future::join(client.run("BEGIN"), client.query(sql, params)).await;
            begun.and(rows)
        };
        if rows.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        rows
    }

    /// Runs a statement, and returns its first row.
    pub(super) async fn query_first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement, and returns how many rows it returned. The statement has to end with `RETURNING 1`.
    pub(super) async fn count(&self, sql: &str, params: &[Param<'_>]) -> Result<usize, Failure> {
        Ok(self.query(sql, params).await?.len())
    }

    /// Makes the changes durable.
    ///
    /// # Errors
    /// `Unknown` if they may have been made.
    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        if self.failed.load(Ordering::Acquire) {
            self.undo().await;
            let problem = "a statement of the transaction failed, and it was committed nevertheless";
            return Err(Failure::Refused(StoreError::NotMade(problem.into())));
        }
        self.end("COMMIT").await.map_err(Failure::of_change)
    }

    /// Undoes the changes. If the database does not answer, it does so at the end of the connection.
    pub(super) async fn undo(mut self) {
        let _ = self.end("ROLLBACK").await;
    }

    async fn end(&mut self, how: &str) -> Result<(), Failure> {
        if !*self.begun.get_mut() {
            return Ok(());
        }
        self.connection.client()?.run(how).await?;
        *self.begun.get_mut() = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.connection.in_transaction = *self.begun.get_mut();
    }
}
