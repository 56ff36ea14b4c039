//! Those who want the same thing take turns inside a process, first come first served: commits to one table, so that each
//! applies to what the one before it left and none writes a document in vain, and requests with the same key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A queue for each thing that is in use.
pub(crate) struct Turns<K> {
    queues: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

/// A turn; it ends when this is dropped.
pub(crate) struct Turn<'a, K: Eq + Hash> {
    turns: &'a Turns<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
    /// Whether another went first, so that what was read before is out of date.
    pub(crate) waited: bool,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { queues: Mutex::default() }
    }
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// Waits for a turn.
    pub(crate) async fn enter(&self, key: K) -> Turn<'_, K> {
        let queue = Arc::clone(self.queues.lock().entry(key).or_default());
        let (guard, waited) = match Arc::clone(&queue).try_lock_owned() {
            Ok(guard) => (guard, false),
            Err(_) => (queue.lock_owned().await, true),
        };
        Turn { turns: self, key, guard: Some(guard), waited }
    }
}

impl<K: Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.turns.queues.lock();
        self.guard = None;
        // Whoever waits holds a reference, and can take one only under the lock that is held here.
        if queues.get(&self.key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let queues = Arc::new(Turns::default());
        let inside = Arc::new(AtomicU32::new(0));
        let commits = (0..200u128).map(|n| {
            let (queues, inside) = (Arc::clone(&queues), Arc::clone(&inside));
            tokio::spawn(async move {
                let _turn = queues.enter(n % 3).await;
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
        assert!(queues.queues.lock().is_empty());
    }

    #[tokio::test]
    async fn a_commit_knows_whether_another_went_first() {
        let queues = Turns::default();
        let table = 1;
        let first = queues.enter(table).await;
        assert!(!first.waited);
        let second = queues.enter(table);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.waited);
    }
}
