//! The time of day, told once at the start and carried on by a clock that never jumps.

use std::time::Instant;

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start_ms: u64,
    started: Instant,
}

impl Clock {
    /// It is `now_ms` now.
    #[must_use]
    pub fn starting_at(now_ms: u64) -> Self {
        Self { start_ms: now_ms, started: Instant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.start_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(0)
    }
}
