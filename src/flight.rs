//! One question at a time, however many wait for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not read")] tokio::sync::OwnedMutexGuard<()>);

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
        Ok(Joined::Ask(Turn(turn)))
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
    Ask(Turn),
}

#[cfg(test)]
mod tests {
    use super::*;

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
