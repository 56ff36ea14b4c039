//! The task that gives committed events their positions in the feed, in a database of many servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::background::Task;
use crate::base::clock::Clock;
use crate::base::due;
use crate::store::{Store, StoreError, claim_run};

/// How often events get positions. Readers of the feed see a change at most this long after its commit.
const INTERVAL: Duration = Duration::from_millis(500);

/// The most events in one transaction.
const BATCH: u32 = 1_000;

/// How often a server looks for consumers while it knows none.
const LOOK_MS: i64 = 5_000;

/// Gives positions to events while somebody reads the feed.
pub struct Sequencer {
    store: Arc<dyn Store>,
    clock: Clock,
    needed: AtomicBool,
    looked_ms: AtomicI64,
}

impl Sequencer {
    /// Creates the sequencer. `needed` tells that the settings allow readers who have no consumer in the store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, needed: bool) -> Self {
        Self { store, clock, needed: AtomicBool::new(needed), looked_ms: AtomicI64::new(i64::MIN) }
    }

    /// Notes that somebody reads the feed from now on.
    pub fn note_reader(&self) {
        self.needed.store(true, Ordering::Relaxed);
    }

    /// Returns whether somebody reads the feed.
    async fn is_needed(&self) -> Result<bool, StoreError> {
        if self.needed.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let now_ms = self.clock.now_ms();
        if !due::has_passed(self.looked_ms.load(Ordering::Relaxed), now_ms, LOOK_MS) {
            return Ok(false);
        }
        self.looked_ms.store(now_ms, Ordering::Relaxed);
        let needed = !self.store.consumer_list().await?.is_empty();
        self.needed.store(needed, Ordering::Relaxed);
        Ok(needed)
    }

    /// Gives positions to all committed events that have none, if somebody reads the feed and no other server does it. Returns the number.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn run(&self) -> Result<u64, StoreError> {
        if !self.is_needed().await? || !claim_run(&*self.store, "event-feed", self.clock.now_ms(), INTERVAL).await? {
            return Ok(0);
        }
        let mut total = 0;
        loop {
            let placed = self.store.feed_sequence(BATCH).await?;
            total += placed;
            if placed < u64::from(BATCH) {
                return Ok(total);
            }
        }
    }

    /// Returns the task that calls [`Self::run`] twice a second.
    pub fn task(self: &Arc<Self>) -> Task {
        Task::every("event-feed", INTERVAL, self, |sequencer: Arc<Self>, _| async move { Ok(sequencer.run().await?) })
            .while_failing("Events are not delivered until then: check the database")
    }
}
