//! Commits to one table take turns inside a process: each applies to what the one before it left, and none writes a
//! document in vain.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_core::ids::TableId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A queue for each table that is being committed to.
#[derive(Default)]
pub(super) struct CommitQueues {
    tables: Mutex<HashMap<TableId, Arc<AsyncMutex<()>>>>,
}

/// A commit's turn; it ends when this is dropped.
pub(super) struct Turn<'a> {
    queues: &'a CommitQueues,
    table: TableId,
    guard: Option<OwnedMutexGuard<()>>,
    /// Whether another commit went first, so that what was read before is out of date.
    pub(super) waited: bool,
}

impl CommitQueues {
    /// Waits for a turn, first come first served.
    pub(super) async fn enter(&self, table: TableId) -> Turn<'_> {
        let queue = Arc::clone(self.tables.lock().entry(table).or_default());
        let (guard, waited) = match Arc::clone(&queue).try_lock_owned() {
            Ok(guard) => (guard, false),
            Err(_) => (queue.lock_owned().await, true),
        };
        Turn { queues: self, table, guard: Some(guard), waited }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut tables = self.queues.tables.lock();
        self.guard = None;
        // Whoever waits holds a reference, and can take one only under the lock that is held here.
        if tables.get(&self.table).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            tables.remove(&self.table);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use uuid::Uuid;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let queues = Arc::new(CommitQueues::default());
        let inside = Arc::new(AtomicU32::new(0));
        let commits = (0..200u128).map(|n| {
            let (queues, inside) = (Arc::clone(&queues), Arc::clone(&inside));
            tokio::spawn(async move {
                let _turn = queues.enter(TableId(Uuid::from_u128(n % 3))).await;
                if n % 3 == 0 {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            })
        });
        for commit in commits.collect::<Vec<_>>() {
            commit.await.unwrap();
        }
        assert!(queues.tables.lock().is_empty());
    }

    #[tokio::test]
    async fn a_commit_knows_whether_another_went_first() {
        let queues = CommitQueues::default();
        let table = TableId(Uuid::from_u128(1));
        let first = queues.enter(table).await;
        assert!(!first.waited);
        let second = queues.enter(table);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.waited);
    }
}
