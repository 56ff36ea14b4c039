//! Failures that took long. For a moment they answer whoever asks the same, so that those who wait in a row for what does not
//! answer do not each wait as long.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A failure that came sooner costs nobody much.
const SLOW: Duration = Duration::from_secs(1);

/// For how long a failure answers: a client is told to try again after twice that time.
const REMEMBERED: Duration = Duration::from_secs(1);

/// How many are remembered.
const MOST: usize = 1_000;

/// The failures of the last moment.
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
    /// The failure of who asked the same just now.
    pub(super) fn recent(&self, key: &K) -> Option<E> {
        let failed = self.failed.lock();
        failed.get(key).filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, error)| error.clone())
    }

    /// Remembers a failure of a question that was begun then, if it took long.
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
    async fn slow_failure_answers_for_a_moment_and_a_quick_one_never() {
        let failures = SlowFailures::default();
        failures.note(1, Instant::now(), &"quick");
        assert_eq!(failures.recent(&1), None);
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(20)).await;
        failures.note(1, begun, &"slow");
        assert_eq!((failures.recent(&1), failures.recent(&2)), (Some("slow"), None));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(failures.recent(&1), None);
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
