//! Single flight: one call for many that wait for its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

/// Lets one of many ask while the others wait, and lets those share a failure, so that what does not answer is not asked by
/// each in turn.
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

/// The right to ask. The next in the queue has its turn when this is dropped.
#[derive(Debug)]
pub(crate) struct AskGuard(#[expect(dead_code, reason = "it is held, not read")] tokio::sync::OwnedMutexGuard<()>);

impl<E: Clone> Flight<E> {
    /// Waits for a turn. `ready` is looked at once it has come, because the one before may have brought what was wanted.
    ///
    /// # Errors
    /// When somebody asked meanwhile and failed.
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

    /// Tells those who wait that asking failed, and gives the error back. Call it before the turn is dropped.
    pub(crate) fn fail(&self, error: E) -> E {
        *self.failed.lock() = Some(error.clone());
        self.failures.fetch_add(1, Ordering::Release);
        error
    }
}

/// What waiting for a turn gave.
#[derive(Debug)]
pub(crate) enum Joined<T> {
    /// Somebody else has brought it.
    Ready(T),
    /// Ask.
    Ask(AskGuard),
}

/// Questions that are being asked, each once for all who want its answer, success or failure. A question that nobody waits for
/// any more is given up.
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
    /// Joins those who wait for the answer, or asks: `ask` is called if nobody has asked.
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

/// Forgets a question when it was answered or given up.
struct Landing<K: Eq + Hash, T> {
    under_way: Arc<UnderWay<K, T>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock();
        // Not the one that was asked anew since.
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
    async fn all_who_wait_have_one_answer_and_who_comes_later_asks_anew() {
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
    async fn question_that_nobody_waits_for_is_given_up() {
        let flights = Flights::<u32, ()>::default();
        let (asking, mut given_up) = oneshot::channel::<()>();
        let ask = async move {
            let _asking = asking;
            std::future::pending().await
        };
        let first = flights.join(&1, || ask.boxed());
        let mut second = flights.join(&1, || unreachable!("it is asked already"));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(given_up.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(second);
        assert_eq!(given_up.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(flights.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn those_who_wait_share_a_failure_and_who_comes_later_asks_anew() {
        let flight = Flight::<&str>::default();
        let Ok(Joined::Ask(turn)) = flight.join(|| None::<()>).await else { panic!("nobody else has asked") };
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
