//! Counters of changes that a cached value depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of changes, with its value before a read. What was read is current until the counter changes.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    counter: Arc<AtomicU64>,
    value: u64,
}

impl Counted {
    /// Notes the present value of a counter. Call it before the read.
    pub(super) fn new(counter: &Arc<AtomicU64>) -> Self {
        Self { counter: Arc::clone(counter), value: counter.load(Ordering::Acquire) }
    }

    /// Returns whether nothing has changed since the read.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        self.counter.load(Ordering::Acquire) == self.value
    }
}

/// Two are equal if the same read is current with both.
impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.counter, &other.counter) && self.value == other.value
    }
}

impl Eq for Counted {}
