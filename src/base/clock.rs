//! The only place where the time and fresh ids come from. All else is given them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use uuid::Uuid;

/// What tells the time: the system, or a test.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The time of the machine.
    #[default]
    System,
    /// A time that a test moves.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that the others are sent to")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }
}

/// A fresh random id.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that the others are sent to")]
pub fn fresh_uuid() -> Uuid {
    Uuid::new_v4()
}

/// A fresh id that sorts by the time it was made, for keys of a store.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that the others are sent to")]
pub fn fresh_ordered_uuid() -> Uuid {
    Uuid::now_v7()
}
