//! Remembers slow failures. A slow failure also answers requests for the same document that began before it, so that requests in
//! a row do not each wait for a storage that does not answer. Later requests read again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The least duration of a failure that is remembered.
const SLOW: Duration = Duration::from_secs(1);

/// For how long a failure is remembered. Few requests may take longer than this.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The most failures that are remembered.
const MOST: usize = 1_000;

/// The failures of the last minutes.
#[derive(Debug)]
pub(super) struct SlowFailures<K, E> {
    failed: Mutex<HashMap<K, (Instant, E)>>,
}

impl<K, E> Default for SlowFailures<K, E> {
    fn default() -> Self {
        Self { failed: Mutex::default() }
    }
}

impl<K: Eq + Hash, E: Clone> SlowFailures<K, E> {
    /// Returns a remembered failure of the same read that ended after `begun`.
    pub(super) fn since(&self, begun: Option<Instant>, key: &K) -> Option<E> {
        let begun = begun?;
        let failed = self.failed.lock();
        failed.get(key).filter(|(at, _)| *at > begun).map(|(_, error)| error.clone())
    }

    /// Remembers a failure of a read that began at `begun`, if it was slow.
    pub(super) fn note(&self, key: K, begun: Instant, error: &E) {
        if begun.elapsed() < SLOW {
            return;
        }
        let mut failed = self.failed.lock();
        if failed.len() >= MOST {
            failed.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        }
        if failed.len() < MOST {
            failed.insert(key, (Instant::now(), error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slow_failure_answers_requests_that_began_before_it_and_quick_failure_none() {
        let failures = SlowFailures::default();
        let begun = Instant::now();
        failures.note(1, begun, &"quick");
        assert_eq!(failures.since(Some(begun), &1), None);
        tokio::time::advance(Duration::from_secs(20)).await;
        failures.note(1, begun, &"slow");
        assert_eq!((failures.since(Some(begun), &1), failures.since(Some(begun), &2)), (Some("slow"), None));
        assert_eq!((failures.since(None, &1), failures.since(Some(Instant::now()), &1)), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_failures_is_bounded() {
        let failures = SlowFailures::default();
        let begun = Instant::now();
        tokio::time::advance(SLOW).await;
        (0..2 * MOST).for_each(|key| failures.note(key, begun, &"slow"));
        assert_eq!(failures.failed.lock().len(), MOST);
        tokio::time::advance(REMEMBERED).await;
        failures.note(2 * MOST, begun, &"slow");
        assert_eq!(failures.failed.lock().len(), 1);
    }
}
