//! Limits a log line to one every few seconds, however often its reason occurs.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The least time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts the occurrences between two lines.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    /// Counts an occurrence. Returns the number since the last line if it is time for the next line.
    pub(super) fn count(&self) -> Option<u64> {
        let mut state = self.0.lock();
        let (last, count) = &mut *state;
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_are_seldom_and_all_are_counted() {
        let throttle = Throttle::default();
        assert_eq!(throttle.count(), Some(1));
        for _ in 0..50 {
            assert_eq!(throttle.count(), None);
        }
        tokio::time::sleep(PAUSE).await;
        assert_eq!(throttle.count(), Some(51));
    }
}
