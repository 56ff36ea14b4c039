//! One question to the store at a time, however many wait for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::store::StoreError;

/// Lets one of many ask the store while the others wait, and lets those share a failure, so that a store that does not
/// answer is not asked by each in turn.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    turn: Arc<tokio::sync::Mutex<()>>,
    failures: AtomicU64,
    failed: Mutex<Option<Arc<StoreError>>>,
}

/// The right to ask. The next in the queue has its turn when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not read")] tokio::sync::OwnedMutexGuard<()>);

impl Flight {
    /// Waits for a turn. `ready` is looked at once it has come, because the one before may have brought what was wanted.
    ///
    /// # Errors
    /// When somebody asked meanwhile and failed.
    pub(crate) async fn join<T>(&self, ready: impl FnOnce() -> Option<T>) -> Result<Joined<T>, Arc<StoreError>> {
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

    /// Tells those who wait that asking failed. Call it before the turn is dropped.
    pub(crate) fn fail(&self, error: StoreError) -> Arc<StoreError> {
        let error = Arc::new(error);
        *self.failed.lock() = Some(Arc::clone(&error));
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
