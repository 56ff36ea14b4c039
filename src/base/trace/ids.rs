//! Ids of traces and spans.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::clock::fresh_uuid;

/// The ids of a trace and of a span, as texts in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
}

impl Ids {
    /// Returns the id of the trace.
    #[must_use]
    pub fn trace_id(self) -> impl fmt::Display {
        Hex(self.trace_id, 32)
    }

    /// Returns the id of the span.
    #[must_use]
    pub fn span_id(self) -> impl fmt::Display {
        Hex(self.span_id.into(), 16)
    }
}

struct Hex(u128, usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = self.1)
    }
}

/// Draws ids from a sequence without a pattern that begins at a random place (SplitMix64). Ids are as many as requests, so a call of
/// the system for each would cost too much.
#[derive(Debug)]
pub(super) struct Draw {
    seeds: (u64, u64),
    drawn: AtomicU64,
}

impl Draw {
    pub(super) fn new() -> Self {
        Self { seeds: fresh_uuid().as_u64_pair(), drawn: AtomicU64::new(0) }
    }

    /// Returns a new id of a span. It is not 0.
    pub(super) fn span_id(&self) -> u64 {
        self.next(self.seeds.0).max(1)
    }

    /// Returns a new id of a trace. It is not 0.
    pub(super) fn trace_id(&self) -> u128 {
        (u128::from(self.next(self.seeds.0)) << 64 | u128::from(self.next(self.seeds.1))).max(1)
    }

    fn next(&self, seed: u64) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
