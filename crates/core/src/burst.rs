//! Limits requests per second: a token bucket in one word, so that a request needs one atomic step.
//!
//! The state is the number of recent requests, in thousandths, and the time of the last one. It does not depend on the limit.
//! So a changed limit applies to the same recent requests, and gives nobody a new burst. A bucket drains by exactly the rate:
//! per millisecond, as many thousandths of a request as the limit allows requests per second.

/// The largest rate and the largest burst.
pub const MAX_BURST: u32 = 250_000;

/// A request in a bucket.
const REQUEST: u64 = 1_000;

const FILL_BITS: u32 = 28;
const MAX_FILL: u64 = (1 << FILL_BITS) - 1;
const TIME_MASK: u64 = u64::MAX >> FILL_BITS;

/// A time that is at most this much before the last one is late, in milliseconds. Other such differences are the end of the
/// 36 bits of a time, after two years.
const MAX_LATE_MS: u64 = 3_600_000;

/// A limit: an average rate, and the number of requests that may come at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurstLimit {
    per_second: u64,
    size: u64,
}

/// The state of a bucket. The default is an empty bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketState(u64);

impl BucketState {
    /// Returns the state of a word from [`Self::word`].
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Returns the state as a word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    const fn new(fill: u64, at_ms: u64) -> Self {
        Self((at_ms & TIME_MASK) << FILL_BITS | if fill < MAX_FILL { fill } else { MAX_FILL })
    }

    const fn fill(self) -> u64 {
        self.0 & MAX_FILL
    }

    /// Removes one request that was taken and then not served.
    #[must_use]
    pub const fn give_back(self) -> Self {
        Self((self.0 & !MAX_FILL) | self.fill().saturating_sub(REQUEST))
    }
}

impl BurstLimit {
    /// Creates a limit of `per_second` requests per second, and `size` at the same time. Both are 1 to [`MAX_BURST`].
    #[must_use]
    pub fn new(per_second: u32, size: u32) -> Self {
        Self { per_second: per_second.clamp(1, MAX_BURST).into(), size: size.clamp(1, MAX_BURST).into() }
    }

    /// Returns the requests per second.
    #[must_use]
    pub const fn per_second(self) -> u64 {
        self.per_second
    }

    /// Returns the number of requests that may come at the same time.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Returns a quarter of the limit: the share that each key of an organisation has for certain.
    #[must_use]
    pub fn quarter(self) -> Self {
        Self { per_second: (self.per_second / 4).max(1), size: (self.size / 4).max(1) }
    }

    /// Takes one request at `now_ms`, in milliseconds of a clock that does not step back, and leaves `reserve` requests of the
    /// burst. A time before the last one counts as the last one.
    ///
    /// # Errors
    /// The time until there is room, in milliseconds. The state stays.
    pub fn take(self, state: BucketState, now_ms: u64, reserve: u64) -> Result<BucketState, u64> {
        let (fill, at_ms) = self.drained(state, now_ms);
        let room = self.size.saturating_sub(reserve).max(1) * REQUEST;
        match (fill + REQUEST).checked_sub(room) {
            None | Some(0) => Ok(BucketState::new(fill + REQUEST, at_ms)),
            Some(excess) => Err(excess.div_ceil(self.per_second)),
        }
    }

    /// Counts one request at `now_ms`, also beyond the limit. Returns whether it is within the limit. The excess is bounded, so
    /// that an excess ends within twice the time that an empty bucket needs.
    #[must_use]
    pub fn count(self, state: BucketState, now_ms: u64) -> (BucketState, bool) {
        let (fill, at_ms) = self.drained(state, now_ms);
        let (fill, room) = (fill + REQUEST, self.size * REQUEST);
        (BucketState::new(fill.min(2 * room), at_ms), fill <= room)
    }

    /// Returns whether the bucket is empty at `now_ms`, so that its state can be removed.
    #[must_use]
    pub fn is_empty(self, state: BucketState, now_ms: u64) -> bool {
        self.drained(state, now_ms).0 == 0
    }

    /// Returns the fill at `now_ms`, and the time of the new state.
    const fn drained(self, state: BucketState, now_ms: u64) -> (u64, u64) {
        if state.0 == 0 {
            return (0, now_ms);
        }
        let at_ms = state.0 >> FILL_BITS;
        let passed_ms = now_ms.wrapping_sub(at_ms) & TIME_MASK;
        if passed_ms > TIME_MASK - MAX_LATE_MS {
            return (state.fill(), at_ms);
        }
        (state.fill().saturating_sub(passed_ms.saturating_mul(self.per_second)), now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: BucketState = BucketState(0);

    /// Takes as many requests as there are at that moment.
    fn take_all(limit: BurstLimit, state: &mut BucketState, now_ms: u64) -> u64 {
        let mut taken = 0;
        while let Ok(next) = limit.take(*state, now_ms, 0) {
            *state = next;
            taken += 1;
        }
        taken
    }

    #[test]
    fn burst_is_served_at_once_then_the_rate() {
        let (limit, mut state) = (BurstLimit::new(10, 25), EMPTY);
        assert_eq!(take_all(limit, &mut state, 5_000), 25);
        assert_eq!(limit.take(state, 5_000, 0), Err(100), "100 ms until the next");
        assert_eq!(limit.take(state, 5_099, 0), Err(1));
        assert_eq!(take_all(limit, &mut state, 5_100), 1);
        assert_eq!(take_all(limit, &mut state, 6_100), 10);
        assert_eq!(take_all(limit, &mut state, 1_000_000), 25);
    }

    #[test]
    fn reserve_is_left_for_others() {
        let (limit, mut state) = (BurstLimit::new(100, 100), EMPTY);
        while let Ok(next) = limit.take(state, 0, 25) {
            state = next;
        }
        assert_eq!(take_all(limit, &mut state, 0), 25);
        assert_eq!(limit.take(state, 0, 25), Err(260), "one request and the reserve");
        assert_eq!(BurstLimit::new(1, 1).take(EMPTY, 0, 5).map(BucketState::fill), Ok(REQUEST), "one always fits");
    }

    #[test]
    fn changed_limit_applies_to_the_recent_requests() {
        let mut state = EMPTY;
        assert_eq!(take_all(BurstLimit::new(100, 100), &mut state, 50), 100);
        assert_eq!(take_all(BurstLimit::new(1, 10), &mut state, 50), 0, "a lower limit gives no new burst");
        assert_eq!(take_all(BurstLimit::new(1_000, 100), &mut state, 50), 0, "nor does a higher rate");
        assert_eq!(take_all(BurstLimit::new(1, 120), &mut state, 50), 20, "a larger burst gives the difference");
    }

    #[test]
    fn counted_excess_is_bounded() {
        let (limit, mut state) = (BurstLimit::new(10, 10), EMPTY);
        for number in 0..500 {
            let (next, within) = limit.count(state, 0);
            assert_eq!(within, number < 10);
            state = next;
        }
        assert!(!limit.count(state, 1_000).1);
        assert!(limit.count(state, 1_100).1, "20 at most, of which 11 are drained");
        assert!(!limit.is_empty(state, 1_999) && limit.is_empty(state, 2_000));
    }

    #[test]
    fn time_that_wraps_or_steps_back_gives_no_burst() {
        let limit = BurstLimit::new(10, 10);
        for now_ms in [TIME_MASK - 1, TIME_MASK, TIME_MASK + 1, u64::MAX, u64::MAX >> 1] {
            let mut state = EMPTY;
            assert_eq!(take_all(limit, &mut state, now_ms), 10, "{now_ms}");
            assert_eq!(take_all(limit, &mut state, now_ms - 500), 0);
            assert_eq!(take_all(limit, &mut state, now_ms.wrapping_add(500)), 5);
            assert_eq!(take_all(limit, &mut state, now_ms.wrapping_add(86_400_000)), 10);
        }
    }

    proptest! {
        /// In every window of time, at most the burst and the rate times the window are served. Times may step back.
        #[test]
        fn no_window_exceeds_the_burst_and_the_rate(
            per_second in 1u32..3_000,
            size in 1u32..200,
            start_ms in 0u64..1 << 40,
            steps in prop::collection::vec((-40i64..200, 1usize..40), 1..80),
        ) {
            let limit = BurstLimit::new(per_second, size);
            let (mut state, mut now_ms) = (EMPTY, start_ms);
            let (mut latest_ms, mut served) = (0, Vec::new());
            for (step_ms, requests) in steps {
                now_ms = now_ms.saturating_add_signed(step_ms);
                latest_ms = latest_ms.max(now_ms);
                for _ in 0..requests {
                    if let Ok(next) = limit.take(state, now_ms, 0) {
                        state = next;
                        served.push(latest_ms);
                    }
                }
            }
            for (index, first_ms) in served.iter().enumerate() {
                for (count, last_ms) in served[index..].iter().enumerate() {
                    let allowed = u64::from(size) * REQUEST + (last_ms - first_ms) * u64::from(per_second);
                    prop_assert!((count as u64 + 1) * REQUEST <= allowed, "{} in {} ms", count + 1, last_ms - first_ms);
                }
            }
        }

        /// A refused request fits after exactly the time of the refusal, and not before.
        #[test]
        fn refused_request_fits_after_its_wait(per_second in 1u32..=MAX_BURST, size in 1u32..1_000, drained_ms in 0u64..50) {
            let (limit, mut state) = (BurstLimit::new(per_second, size), EMPTY);
            take_all(limit, &mut state, 7);
            take_all(limit, &mut state, 7 + drained_ms);
            let now_ms = 7 + drained_ms;
            if let Err(wait_ms) = limit.take(state, now_ms, 0) {
                prop_assert!(limit.take(state, now_ms + wait_ms, 0).is_ok());
                prop_assert!(limit.take(state, now_ms + wait_ms - 1, 0).is_err());
            }
        }

        #[test]
        fn request_that_is_given_back_leaves_no_trace(fill in 0u64..MAX_FILL - REQUEST, at_ms in 0u64..=TIME_MASK) {
            let (limit, state) = (BurstLimit::new(1, MAX_BURST), BucketState::new(fill, at_ms));
            if let Ok(taken) = limit.take(state, at_ms, 0) {
                prop_assert_eq!(taken.give_back(), state);
            }
        }

        #[test]
        fn extreme_values_do_not_panic(per_second in any::<u32>(), size in any::<u32>(), word in any::<u64>(), now in any::<u64>(), reserve in any::<u64>()) {
            let (limit, state) = (BurstLimit::new(per_second, size), BucketState::from_word(word));
            let _ = limit.take(state, now, reserve);
            let _ = limit.count(state, now);
            prop_assert!(limit.quarter().size() <= limit.size());
        }
    }
}
