//! Shares one call among concurrent callers that need the same result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

/// Lets one caller make a call while the others wait. The waiting callers share a failure, so that they do not call a dead service
/// one after the other.
#[derive(Debug)]
pub(crate) struct Flight<E> {
    turn: Arc<tokio::sync::Mutex<()>>,
    failures: AtomicU64,
    failed: Mutex<Option<E>>,
}

impl<E> Default for Flight<E> {
    fn default() -> Self {
        Self { turn: Arc::default(), failures: AtomicU64::new(0), failed: Mutex::new(None) }
    }
}

/// The right to make the call. Dropping it passes the turn to the next waiting caller.
#[derive(Debug)]
pub(crate) struct AskGuard(#[expect(dead_code, reason = "it is held, not read")] tokio::sync::OwnedMutexGuard<()>);

impl<E: Clone> Flight<E> {
    /// Waits for a turn. Then returns the value of `ready`, if the previous caller has produced one meanwhile, or else the right to
    /// make the call.
    ///
    /// # Errors
    /// Returns the failure of a call that another caller made while this one waited.
    pub(crate) async fn join<T>(&self, ready: impl FnOnce() -> Option<T>) -> Result<Joined<T>, E> {
        let before = self.failures.load(Ordering::Acquire);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(value) = ready() {
            return Ok(Joined::Ready(value));
        }
        if self.failures.load(Ordering::Acquire) != before
            && let Some(error) = self.failed.lock().clone()
        {
            return Err(error);
        }
        Ok(Joined::Ask(AskGuard(turn)))
    }

    /// Records a failed call for the waiting callers. Returns the error. Call it before dropping the turn.
    pub(crate) fn fail(&self, error: E) -> E {
        *self.failed.lock() = Some(error.clone());
        self.failures.fetch_add(1, Ordering::Release);
        error
    }
}

/// The result of waiting for a turn.
#[derive(Debug)]
pub(crate) enum Joined<T> {
    /// Another caller has produced the value.
    Ready(T),
    /// Make the call.
    Ask(AskGuard),
}

/// Running calls by their keys. All concurrent callers with the same key share one call and its outcome, success or failure. A
/// call without waiting callers is cancelled.
#[derive(Debug)]
pub(crate) struct Flights<K: Eq + Hash, T> {
    under_way: Arc<UnderWay<K, T>>,
    begun: AtomicU64,
}

type UnderWay<K, T> = Mutex<HashMap<K, (u64, WeakShared<BoxFuture<'static, T>>)>>;

impl<K: Eq + Hash, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { under_way: Arc::default(), begun: AtomicU64::new(0) }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// Joins the running call for `key`, or starts the call `ask` if none is running.
    pub(crate) fn join(&self, key: &K, ask: impl FnOnce() -> BoxFuture<'static, T>) -> Shared<BoxFuture<'static, T>> {
        let mut under_way = self.under_way.lock();
        if let Some(flight) = under_way.get(key).and_then(|(_, flight)| flight.upgrade()) {
            return flight;
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { under_way: Arc::clone(&self.under_way), key: key.clone(), number };
        let asked = ask();
        let flight = async move {
            let _landing = landing;
            asked.await
        };
        let flight = flight.boxed().shared();
        if let Some(shared) = flight.downgrade() {
            under_way.insert(key.clone(), (number, shared));
        }
        flight
    }
}

/// Removes a call from the running ones when it has ended or was cancelled.
struct Landing<K: Eq + Hash, T> {
    under_way: Arc<UnderWay<K, T>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock();
        // A newer call with the same key stays.
        if under_way.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn waiting_callers_share_one_call_and_a_later_caller_starts_a_new_one() {
        let (flights, asked) = (Flights::<u32, Result<u32, &str>>::default(), Arc::new(AtomicU32::new(0)));
        let ask = |answer| {
            let asked = Arc::clone(&asked);
            move || {
                asked.fetch_add(1, Ordering::SeqCst);
                async move { answer }.boxed()
            }
        };
        let waiting: Vec<_> = (0..100).map(|_| flights.join(&1, ask(Err("dead")))).collect();
        for flight in waiting {
            assert_eq!(flight.await, Err("dead"));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(flights.join(&1, ask(Ok(2))).await, Ok(2));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(flights.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn call_without_waiting_callers_is_cancelled() {
        let flights = Flights::<u32, ()>::default();
        let (asking, mut given_up) = oneshot::channel::<()>();
        let ask = async move {
            let _asking = asking;
            std::future::pending().await
        };
        let first = flights.join(&1, || ask.boxed());
        let mut second = flights.join(&1, || unreachable!("the call is running"));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(given_up.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(second);
        assert_eq!(given_up.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(flights.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn waiting_callers_share_a_failure_and_a_later_caller_asks_again() {
        let flight = Flight::<&str>::default();
        let Ok(Joined::Ask(turn)) = flight.join(|| None::<()>).await else { panic!("no other call runs") };
        let waiting = flight.join(|| None::<()>);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(flight.fail("dead"), "dead");
        drop(turn);
        assert_eq!(waiting.await.unwrap_err(), "dead");
        assert!(matches!(flight.join(|| None::<()>).await, Ok(Joined::Ask(_))));
        assert!(matches!(flight.join(|| Some(1)).await, Ok(Joined::Ready(1))));
    }
}
