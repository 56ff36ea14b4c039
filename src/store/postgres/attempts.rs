//! Attempts of a transaction: it is repeated when the database undid it because of another one.

use tokio_postgres::Row;

use super::connection::{Pool, Transaction};
use super::convert::{Failure, commit_failed, is_worth_repeating};
use super::params::Param;
use crate::store::{Result, StoreError};

/// The most attempts of one transaction.
const MOST: u32 = 8;

/// The attempts of one transaction.
pub(super) struct Attempts<'a> {
    pool: &'a Pool,
    made: u32,
}

impl Pool {
    /// Makes a change in one statement, without a transaction around it, and returns the rows. Repeats it after a deadlock or a
    /// conflict. If the connection breaks after the statement was sent, the outcome is unknown (`Failure::Unknown`).
    pub(super) async fn change(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        for _ in 1..MOST {
            match self.change_once(sql, params).await {
                Err(Failure::Database(error)) if is_worth_repeating(&error) => {}
                made => return made,
            }
        }
        self.change_once(sql, params).await
    }

    async fn change_once(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        let connection = self.connection().await.map_err(|error| match error {
            StoreError::Unavailable(cause) => StoreError::NotMade(cause),
            error => error,
        })?;
        connection.query(sql, params).await.map_err(Failure::of_change)
    }
}

impl<'a> Attempts<'a> {
    pub(super) const fn new(pool: &'a Pool) -> Self {
        Self { pool, made: 0 }
    }

    /// Begins the next attempt.
    pub(super) async fn begin(&mut self) -> Result<Transaction> {
        self.made += 1;
        let connection = self.pool.connection().await.map_err(|error| match error {
            StoreError::Unavailable(cause) => StoreError::NotMade(cause),
            error => error,
        })?;
        Ok(Transaction::new(connection))
    }

    /// Ends an attempt: commits it if its work succeeded, and undoes it otherwise. Returns `None` if it has to be repeated.
    pub(super) async fn end<T>(
        &self,
        transaction: Transaction,
        worked: std::result::Result<T, Failure>,
    ) -> Option<Result<T>> {
        match worked {
            Ok(done) => match transaction.commit().await {
                Ok(()) => Some(Ok(done)),
                Err(error) if self.may_repeat(&error) && error.code().is_some() => None,
                Err(error) => Some(Err(commit_failed(error))),
            },
            Err(Failure::Refused(error)) => {
                // The connection is closed if the undo fails, which undoes the transaction too.
                let _ = transaction.undo().await;
                Some(Err(error))
            }
            Err(Failure::Database(error) | Failure::Unknown(error)) => {
                let _ = transaction.undo().await;
                if self.may_repeat(&error) { None } else { Some(Err(Failure::Database(error).into_not_made())) }
            }
        }
    }

    fn may_repeat(&self, error: &tokio_postgres::Error) -> bool {
        self.made < MOST && is_worth_repeating(error)
    }
}

/// Runs `$work`, an expression with a future that borrows the transaction, in a transaction, and commits it if it succeeds. Repeats
/// it after a deadlock, a conflict, or the loss of the connection before the commit. Gives a `store::Result`.
macro_rules! transact {
    ($store:expr, $transaction:ident => $work:expr) => {{
        let mut attempts = $crate::store::postgres::attempts::Attempts::new(&$store.pool);
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
        let changed = $crate::store::postgres::attempts::transact!($store, $transaction => async {
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
