//! The rules that slow down guesses of credentials: how many wrong ones are free, and how long a client waits after more.

/// A limit for wrong credentials of one address, or with one prefix: some are free, and one more after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongLimit {
    /// The number of wrong credentials that need no wait.
    pub free: u32,
    /// The time after which one more is free, in milliseconds.
    pub interval_ms: u32,
    /// The longest wait, in milliseconds.
    pub max_wait_ms: u32,
}

impl WrongLimit {
    /// Returns the time until which wrong credentials are remembered, after one more at `now_ms`. `until_ms` is this time for the
    /// earlier ones; 0 if there are none.
    #[must_use]
    pub fn add(&self, until_ms: i64, now_ms: i64) -> i64 {
        let interval_ms = i64::from(self.interval_ms);
        let most_ms = self.free_ms().saturating_add(self.max_wait_ms.into());
        let latest_ms = now_ms.saturating_add(most_ms.saturating_sub(interval_ms).max(0));
        until_ms.clamp(now_ms, latest_ms).saturating_add(interval_ms)
    }

    /// Returns the time until the next wrong credential is free, in milliseconds; 0 if it is now. A clock that was set back
    /// makes nobody wait for longer than the longest wait.
    #[must_use]
    pub fn wait_ms(&self, until_ms: i64, now_ms: i64) -> u64 {
        let wait_ms = until_ms.saturating_sub(now_ms).saturating_sub(self.free_ms());
        wait_ms.clamp(0, self.max_wait_ms.into()).unsigned_abs()
    }

    /// Returns for how long a credential is remembered if one more is free after it.
    fn free_ms(&self) -> i64 {
        (i64::from(self.free) - 1).max(0).saturating_mul(self.interval_ms.into())
    }
}

/// Returns whether wrong credentials are remembered at `now_ms`.
#[must_use]
pub const fn is_remembered(until_ms: i64, now_ms: i64) -> bool {
    until_ms > now_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: WrongLimit = WrongLimit { free: 20, interval_ms: 3_000, max_wait_ms: 60_000 };

    #[test]
    fn some_wrong_credentials_are_free_then_one_in_each_interval() {
        let (mut until_ms, now_ms) = (0, 1_000_000);
        for _ in 0..20 {
            assert_eq!(LIMIT.wait_ms(until_ms, now_ms), 0);
            until_ms = LIMIT.add(until_ms, now_ms);
        }
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms), 3_000);
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms + 2_999), 1);
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms + 3_000), 0);
        assert!(is_remembered(until_ms, now_ms + 59_999) && !is_remembered(until_ms, now_ms + 60_000));
    }

    #[test]
    fn wait_has_a_maximum() {
        let (mut until_ms, now_ms) = (0, 1_000_000);
        for _ in 0..10_000 {
            until_ms = LIMIT.add(until_ms, now_ms);
        }
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms), 60_000);
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms + 59_999), 1);
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms + 60_000), 0);
        assert_eq!(LIMIT.wait_ms(until_ms, now_ms - 86_400_000), 60_000, "the clock was set back");
    }

    proptest! {
        /// In every period, at most the free ones and one for each interval need no wait.
        #[test]
        fn free_ones_never_exceed_the_limit(gaps_ms in prop::collection::vec(0i64..5_000, 1..300)) {
            let (mut until_ms, mut now_ms) = (0, 50_000);
            let mut free_at_ms = Vec::new();
            for gap_ms in gaps_ms {
                now_ms += gap_ms;
                if LIMIT.wait_ms(until_ms, now_ms) == 0 {
                    free_at_ms.push(now_ms);
                    until_ms = LIMIT.add(until_ms, now_ms);
                }
            }
            for (index, first_ms) in free_at_ms.iter().enumerate() {
                for (count, last_ms) in free_at_ms[index..].iter().enumerate() {
                    prop_assert!((count as i64) < 20 + (last_ms - first_ms) / 3_000);
                }
            }
        }

        #[test]
        fn extreme_values_do_not_panic(free in any::<u32>(), interval_ms in any::<u32>(), max_wait_ms in any::<u32>(), until in any::<i64>(), now in any::<i64>()) {
            let limit = WrongLimit { free, interval_ms, max_wait_ms };
            prop_assert!(limit.wait_ms(limit.add(until, now), now) <= u64::from(max_wait_ms));
        }
    }
}
