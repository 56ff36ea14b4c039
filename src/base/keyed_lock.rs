//! A lock for each key, in one process, first come first served. Commits to one table use it, so that each applies to the result
//! of the one before and writes no document in vain. So do requests with the same idempotency key.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A set of locks, with a queue for each key that is in use.
pub(crate) struct KeyedLock<K> {
    queues: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

/// A held lock. Dropping it passes the lock to the next in the queue.
pub(crate) struct KeyGuard<'a, K: Eq + Hash> {
    lock: &'a KeyedLock<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
    /// Whether another holder went first, so that earlier reads may be out of date.
    pub(crate) waited: bool,
}

impl<K> Default for KeyedLock<K> {
    fn default() -> Self {
        Self { queues: Mutex::default() }
    }
}

impl<K: Copy + Eq + Hash> KeyedLock<K> {
    /// Waits for the lock of a key. A caller that holds another lock must not call this: use [`Self::enter_all`].
    pub(crate) async fn enter(&self, key: K) -> KeyGuard<'_, K> {
        let queue = Arc::clone(self.queues.lock().entry(key).or_default());
        // Created before the wait, so that a cancelled wait removes an unused queue.
        let mut turn = KeyGuard { lock: self, key, guard: None, waited: false };
        match Arc::clone(&queue).try_lock_owned() {
            Ok(guard) => turn.guard = Some(guard),
            Err(_) => {
                turn.guard = Some(queue.lock_owned().await);
                turn.waited = true;
            }
        }
        turn
    }

    /// Waits for the locks of several keys. A key that is given twice is locked once. All callers take the locks in the same order,
    /// so that they cannot deadlock.
    pub(crate) async fn enter_all(&self, keys: impl IntoIterator<Item = K>) -> Vec<KeyGuard<'_, K>>
    where
        K: Ord,
    {
        let keys: BTreeSet<K> = keys.into_iter().collect();
        let mut turns = Vec::with_capacity(keys.len());
        for key in keys {
            turns.push(self.enter(key).await);
        }
        turns
    }
}

impl<K: Eq + Hash> Drop for KeyGuard<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.lock.queues.lock();
        self.guard = None;
        // Each waiting caller has a reference, and takes it under the lock that is held here.
        if queues.get(&self.key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn holders_of_one_key_run_one_at_a_time_and_leave_no_queue() {
        let queues = Arc::new(KeyedLock::default());
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
    async fn turn_after_a_wait_is_marked_as_waited() {
        let queues = KeyedLock::default();
        let table = 1;
        let first = queues.enter(table).await;
        assert!(!first.waited);
        let second = queues.enter(table);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.waited);
    }

    #[tokio::test]
    async fn key_that_occurs_twice_is_taken_once() {
        let queues = KeyedLock::default();
        let all = queues.enter_all([3, 1, 3, 1]);
        tokio::pin!(all);
        let Poll::Ready(turns) = futures_util::poll!(&mut all) else { panic!("it waits for itself") };
        assert_eq!(turns.len(), 2);
        drop(turns);
        assert!(queues.queues.lock().is_empty());
    }

    #[tokio::test]
    async fn holders_of_several_keys_do_not_deadlock() {
        let queues = KeyedLock::default();
        let first = queues.enter_all([1, 2]).await;
        let others = async {
            tokio::join!(
                async { drop(queues.enter_all([2, 1, 3]).await) },
                async { drop(queues.enter_all([3, 2]).await) },
                async { drop(queues.enter_all([3, 1]).await) },
            )
        };
        tokio::pin!(others);
        assert!(futures_util::poll!(&mut others).is_pending());
        drop(first);
        tokio::time::timeout(Duration::from_secs(60), others).await.expect("all have their turns");
    }

    #[tokio::test]
    async fn cancelled_wait_leaves_no_queue() {
        let queues = KeyedLock::default();
        let first = queues.enter(1).await;
        let mut second = Box::pin(queues.enter(1));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second);
        assert!(queues.queues.lock().is_empty());
    }
}
