//! The only source of the time and of new ids. Other code takes them as arguments.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

use uuid::Uuid;

/// A clock: the system's, or a test's.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The time of the machine.
    #[default]
    System,
    /// A time that a test sets.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the time in milliseconds since 1970-01-01 UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may call it")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Returns the time in nanoseconds since 1970-01-01 UTC, for traces.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may call it")]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::System => {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
            }
            Self::Manual(_) => self.now_ms().unsigned_abs().saturating_mul(1_000_000),
        }
    }
}

/// A clock for intervals. It does not step back when the machine's time is set.
#[derive(Debug, Clone)]
pub struct IntervalClock {
    clock: Clock,
    started: Instant,
}

impl IntervalClock {
    /// Creates a clock that follows the machine, or the time that a test sets.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, started: Instant::now() }
    }

    /// Returns a time in milliseconds. Only differences have a meaning.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match &self.clock {
            Clock::System => u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            Clock::Manual(_) => self.clock.now_ms().unsigned_abs(),
        }
    }
}

/// Returns a new random id.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may call it")]
pub fn fresh_uuid() -> Uuid {
    Uuid::new_v4()
}

/// Returns a new id that sorts by its time of creation, for keys of a store.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that may call it")]
pub fn fresh_ordered_uuid() -> Uuid {
    Uuid::now_v7()
}
