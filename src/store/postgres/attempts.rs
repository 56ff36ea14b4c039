//! Attempts of reads and changes: they are repeated when the database undid them because of others, or when the connection is lost, as
//! long as they surely were not made.

use std::time::Duration;

use tidewater_core::ids::OrganisationId;
use tokio::time::{self, Instant};
use tokio_postgres::Row;

use super::connection::{NoConnection, Pool, Transaction};
use super::convert::{Again, Failure};
use super::params::{Param, organisation_of};
use crate::base::measure::Call;
use crate::store::{Result, StoreError};

/// The name of this store in metrics.
const TARGET: &str = "postgres";

/// The most attempts because of conflicts with others.
const MOST_CONFLICTS: u32 = 8;

/// The pause after the second loss of a connection. It doubles with each further one. After the first loss there is none: the database may
/// only have closed idle connections.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a ping is tried again: enough to replace a connection.
const PING_RETRIES: Duration = Duration::from_millis(100);

/// What a read of many rows is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A list, which a client can make long. It waits for a connection for lists.
    List,
    /// Rows that a request needs before it can do its work. It waits beside changes, never for lists.
    Needed,
}

/// Decides whether something is tried again.
struct Retries {
    until: Instant,
    conflicts: u32,
    pause: Option<Duration>,
}

impl Retries {
    fn new(at_most: Duration) -> Self {
        Self { until: Instant::now() + at_most, conflicts: 0, pause: None }
    }

    /// Returns whether to try again after a failure. Waits before, if necessary.
    async fn after(&mut self, failure: &Failure) -> bool {
        match failure.again() {
            None => false,
            Some(Again::AtOnce) => {
                self.conflicts += 1;
                self.conflicts < MOST_CONFLICTS
            }
            Some(Again::Later) => self.after_loss().await,
        }
    }

    /// Returns whether to try again although the database cannot be reached. Waits before.
    async fn after_loss(&mut self) -> bool {
        let pause = self.pause.unwrap_or_default();
        if Instant::now() + pause > self.until {
            return false;
        }
        time::sleep(pause).await;
        self.pause = Some((pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE));
        true
    }
}

impl Pool {
    /// Runs one statement that reads many rows, over a connection of its own, when the owner's turn comes.
    pub(super) async fn read(
        &self,
        purpose: Purpose,
        owner: Option<OrganisationId>,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>> {
        let measurement = self.calls().begin(TARGET, "list");
        let result = self.read_unmeasured(purpose, owner, sql, params).await;
        measurement.end(&result, StoreError::kind);
        result
    }

    async fn read_unmeasured(
        &self,
        purpose: Purpose,
        owner: Option<OrganisationId>,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>> {
        let mut retries = Retries::new(self.retry_timeout());
        loop {
            let connection = match purpose {
                Purpose::List => self.connection_for_lists(owner).await,
                Purpose::Needed => self.connection(owner).await,
            };
            match connection {
                Err(error) if error.may_pass() && retries.after_loss().await => {}
                Err(NoConnection::Place(_)) => return Err(StoreError::TooManyReads),
                Err(error) => return Err(StoreError::Unavailable(Box::new(error))),
                Ok(connection) => match connection.query(sql, params).await {
                    Err(failure) if retries.after(&failure).await => {}
                    read => return read.map_err(Failure::into_unavailable),
                },
            }
        }
    }

    /// Runs one statement that reads few rows, over a connection that such reads share.
    pub(super) async fn read_few(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let measurement = self.calls().begin(TARGET, "read");
        let result = self.read_few_within(sql, params, self.retry_timeout()).await;
        measurement.end(&result, StoreError::kind);
        result
    }

    /// Returns whether the database answers now. Connections that it closed meanwhile do not count.
    pub(super) async fn ping(&self) -> Result<()> {
        self.read_few_within("SELECT 1 FROM organisation LIMIT 1", &[], PING_RETRIES).await.map(drop)
    }

    async fn read_few_within(&self, sql: &str, params: &[Param<'_>], at_most: Duration) -> Result<Vec<Row>> {
        let mut retries = Retries::new(at_most);
        loop {
            match self.query_shared(sql, params).await {
                Err(error) if error.may_pass() && retries.after_loss().await => {}
                Err(error) => return Err(StoreError::Unavailable(Box::new(error))),
                Ok(Err(failure)) if retries.after(&failure).await => {}
                Ok(read) => return read.map_err(Failure::into_unavailable),
            }
        }
    }

    /// Makes a change in one statement, without a transaction around it, and returns the rows. It is tried again only if it surely was
    /// not made. If the connection is lost after the statement was sent, the outcome is unknown (`Failure::Unknown`).
    ///
    /// If `$1` is an organisation, the change waits for a connection as one of this organisation.
    pub(super) async fn change(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        let measurement = self.calls().begin(TARGET, "change");
        let result = self.change_unmeasured(sql, params).await;
        measurement.end(&result, Failure::kind);
        result
    }

    async fn change_unmeasured(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        let owner = organisation_of(params);
        let mut retries = Retries::new(self.retry_timeout());
        loop {
            match self.connection(owner).await {
                Err(error) if error.may_pass() && retries.after_loss().await => {}
                Err(error) => return Err(error.into_not_made().into()),
                Ok(connection) => match connection.change(sql, params).await {
                    Err(failure) if retries.after(&failure).await => {}
                    made => return made,
                },
            }
        }
    }
}

/// The attempts of one transaction.
pub(super) struct Attempts<'a> {
    pool: &'a Pool,
    owner: Option<OrganisationId>,
    retries: Retries,
    measurement: Option<Call<'a>>,
}

impl<'a> Attempts<'a> {
    /// Creates the attempts of a transaction of an organisation, or of the server itself.
    pub(super) fn new(pool: &'a Pool, owner: Option<OrganisationId>) -> Self {
        let measurement = Some(pool.calls().begin(TARGET, "change"));
        Self { pool, owner, retries: Retries::new(pool.retry_timeout()), measurement }
    }

    /// Begins the next attempt.
    pub(super) async fn begin(&mut self) -> Result<Transaction> {
        loop {
            match self.pool.connection(self.owner).await {
                Ok(connection) => return Ok(Transaction::new(connection)),
                Err(error) if error.may_pass() && self.retries.after_loss().await => {}
                Err(error) => return self.measured(Err(error.into_not_made())),
            }
        }
    }

    /// Ends an attempt: commits it if its work succeeded, and undoes it otherwise. Returns `None` if it has to be repeated.
    pub(super) async fn end<T>(
        &mut self,
        transaction: Transaction,
        worked: std::result::Result<T, Failure>,
    ) -> Option<Result<T>> {
        let failure = match worked {
            Ok(done) => {
                let raised = transaction.take_raised();
                let committed = transaction.commit().await;
                // Also after a failure, because the commit may have been made.
                self.pool.generations().count_own(raised, committed.is_ok());
                match committed {
                    Ok(()) => return Some(self.measured(Ok(done))),
                    Err(failure) => failure,
                }
            }
            Err(failure) => {
                transaction.undo().await;
                failure
            }
        };
        if self.retries.after(&failure).await { None } else { Some(self.measured(Err(failure.into_not_made()))) }
    }

    /// Ends the measurement of the transaction.
    fn measured<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Some(measurement) = self.measurement.take() {
            measurement.end(&result, StoreError::kind);
        }
        result
    }
}

/// Runs `$work`, an expression with a future that borrows the transaction, in a transaction, and commits it if it succeeds. Repeats
/// it after a deadlock, a conflict, or the loss of the connection before the commit. Gives a `store::Result`.
///
/// With `for $organisation`, it waits for a connection as one of this organisation, and may be refused as `Busy`.
macro_rules! transact {
    ($store:expr, $transaction:ident => $work:expr) => {
        $crate::store::postgres::attempts::transact!(@attempts $store, None, $transaction => $work)
    };
    ($store:expr, for $organisation:expr, $transaction:ident => $work:expr) => {
        $crate::store::postgres::attempts::transact!(@attempts $store, Some($organisation), $transaction => $work)
    };
    (@attempts $store:expr, $owner:expr, $transaction:ident => $work:expr) => {{
        let mut attempts = $crate::store::postgres::attempts::Attempts::new(&$store.pool, $owner);
        loop {
            let $transaction = match attempts.begin().await {
                Ok(begun) => begun,
                Err(error) => break Err(error),
            };
            let worked = {
                let $transaction = &$transaction;
                $work.await
            };
            if let Some(ended) = attempts.end($transaction, worked).await {
                break ended;
            }
        }
    }};
}

/// Makes a change as [`transact!`] does. If the change has a receipt, the same transaction stores the answer that `$answer` makes of
/// the result under the receipt's key. A change whose key was used before is refused as `Repeated`, whatever else is wrong.
macro_rules! change {
    ($store:expr, $organisation:expr, $change:expr, $transaction:ident => $work:expr, $answer:expr) => {{
        let (organisation, change): (_, &$crate::store::Change) = ($organisation, $change);
        let changed = $crate::store::postgres::attempts::transact!($store, for organisation, $transaction => async {
            $crate::store::postgres::receipts::check_unused($transaction, organisation, change).await?;
            let done = $work.await?;
            $crate::store::postgres::receipts::add_of_change($transaction, organisation, change, || $answer(&done)).await?;
            Ok(done)
        });
        match changed {
            Err(error) => Err($store.repeated_or(organisation, change, error).await),
            Ok(done) => Ok(done),
        }
    }};
}

pub(super) use {change, transact};

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lost_connections_are_opened_again_until_the_time_is_over() {
        let (mut retries, start) = (Retries::new(Duration::from_secs(5)), Instant::now());
        let mut attempts = 0;
        while retries.after_loss().await {
            attempts += 1;
        }
        assert!(attempts > 5, "{attempts}");
        let spent = start.elapsed();
        assert!(spent <= Duration::from_secs(5) && spent > Duration::from_secs(3), "{spent:?}");
    }
}
