//! Reads that may take long. They run on blocking threads, over some connections of their own.
//!
//! Organisations take turns, and an organisation has at most half of the connections. The wait for a connection is limited. A read whose
//! caller has left, or whose request's time is over, does not start, and stops if it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
#[cfg(test)]
use {crate::base::line::Place, futures_util::FutureExt};

use super::convert::unavailable;
use super::readers::Readers;
use crate::base::deadline;
use crate::base::line::{Line, Owner, Shares};
use crate::store::{Result, StoreError};

/// The longest wait for a connection.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Connections that organisations share fairly.
pub(super) struct FairReaders {
    readers: Arc<Readers>,
    line: Arc<Line>,
}

/// Tells a read, when it is dropped, that nobody waits for its result.
struct Leaves(Arc<AtomicBool>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl FairReaders {
    /// Creates a pool of at most `count` connections to the database at `path`.
    pub(super) fn new(path: PathBuf, count: usize) -> Self {
        Self { readers: Arc::new(Readers::new(path, count)), line: Line::new(count, Shares::for_lists(count)) }
    }

    /// Waits for the owner's turn, and reads on a blocking thread.
    ///
    /// # Errors
    /// `TooManyReads` if the turn does not come in time; `Unavailable` if the request's time is over; the errors of `read`.
    pub(super) async fn read<T, F>(&self, owner: Owner, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = self.line.enter(owner, LONGEST_WAIT).await.map_err(|_| StoreError::TooManyReads)?;
        let has_left = Arc::new(AtomicBool::new(false));
        let _leaves = Leaves(Arc::clone(&has_left));
        let (readers, deadline) = (Arc::clone(&self.readers), deadline::current());
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            let stops = move || has_left.load(Ordering::Relaxed) || deadline::check().is_err();
            deadline::sync_scope(deadline, || {
                if stops() {
                    return Err(unavailable("nobody waits for the read any more"));
                }
                readers.with_stop(stops, read)
            })
        });
        reading.await.unwrap_or_else(|error| Err(StoreError::Unavailable(Box::new(error))))
    }

    /// Closes the connections, each when its reader has finished. Later reads are refused.
    pub(super) fn close(&self) {
        self.readers.close();
    }

    /// Takes all free places, so that no read starts until they are dropped.
    #[cfg(test)]
    pub(super) fn hold_all(&self) -> Vec<Place> {
        let owner = || Some(tidewater_core::ids::OrganisationId(crate::base::clock::fresh_uuid()));
        let take = |_| self.line.enter(owner(), LONGEST_WAIT).now_or_never()?.ok();
        (0..self.line.free()).filter_map(take).collect()
    }

    /// Returns how many reads of organisations wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.line.waiting()
    }
}
