//! The time of day: read once at the start, then advanced by a monotonic clock.

use std::time::Instant;

/// A clock of milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start_ms: u64,
    started: Instant,
}

impl Clock {
    /// Creates a clock that shows `now_ms` now.
    #[must_use]
    pub fn starting_at(now_ms: u64) -> Self {
        Self { start_ms: now_ms, started: Instant::now() }
    }

    /// Returns the time in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.start_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(0)
    }
}
