//! Failures that took long. They answer the requests that began before them and ask the same after them, so that those who wait
//! in a row for what does not answer do not each wait as long. Who comes later asks anew.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A failure that came sooner costs nobody much.
const SLOW: Duration = Duration::from_secs(1);

/// For how long a failure is remembered. Few requests may take longer than this.
const REMEMBERED: Duration = Duration::from_secs(120);

/// How many are remembered.
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
    /// The failure of who asked the same since a request began, if that is known.
    pub(super) fn since(&self, begun: Option<Instant>, key: &K) -> Option<E> {
        let begun = begun?;
        let failed = self.failed.lock();
        failed.get(key).filter(|(at, _)| *at > begun).map(|(_, error)| error.clone())
    }

    /// Remembers a failure of a question that was asked then, if it took long.
    pub(super) fn note(&self, key: K, asked: Instant, error: &E) {
        if asked.elapsed() < SLOW {
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
    async fn slow_failure_answers_who_began_before_it_and_a_quick_one_nobody() {
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
