//! When something is due whose time was stored earlier, maybe with a clock that was wrong.
//!
//! A clock can be set back. A time that was stored before then lies in the future, and would stop the work until the clock gets there.
//! So a time that is farther in the future than anybody waits counts as due.

use std::time::Duration;

/// Returns how long to wait for a stored time: zero if it has come, or lies more than `longest` in the future.
#[must_use]
pub fn wait(not_before_ms: i64, now_ms: i64, longest: Duration) -> Duration {
    if not_before_ms > latest_ms(now_ms, longest) {
        return Duration::ZERO;
    }
    Duration::from_millis(u64::try_from(not_before_ms.saturating_sub(now_ms)).unwrap_or(0))
}

/// Returns the latest time that somebody may wait for, in milliseconds since 1970, if nobody waits longer than `longest`.
#[must_use]
pub fn latest_ms(now_ms: i64, longest: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the latest end that another server's lease may have, in milliseconds since 1970: a lease that begins now ends at `until_ms`.
/// The other clock may be ahead by as much as a lease lasts. A lease that ends later was stored with a wrong clock, and has ended.
#[must_use]
pub const fn latest_lease_ms(now_ms: i64, until_ms: i64) -> i64 {
    until_ms.saturating_add(until_ms.saturating_sub(now_ms))
}

/// Returns whether at least `interval_ms` have passed since a time. Also if the time lies in the future: the clock was set back.
#[must_use]
pub fn has_passed(since_ms: i64, now_ms: i64, interval_ms: i64) -> bool {
    !(0..interval_ms).contains(&now_ms.saturating_sub(since_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wait_is_never_longer_than_the_longest_and_ends_on_time(
            not_before_ms in any::<i64>(), now_ms in any::<i64>(), longest_ms in 0_u64..i64::MAX.unsigned_abs()
        ) {
            let longest = Duration::from_millis(longest_ms);
            let waited = wait(not_before_ms, now_ms, longest);
            prop_assert!(waited <= longest);
            if not_before_ms <= now_ms {
                prop_assert_eq!(waited, Duration::ZERO);
            }
        }

        #[test]
        fn time_within_the_longest_wait_is_waited_for(
            now_ms in 0..i64::MAX / 2, after_ms in 0_u64..1 << 40, more_ms in 0_u64..1 << 40
        ) {
            let (after, longest) = (Duration::from_millis(after_ms), Duration::from_millis(after_ms + more_ms));
            prop_assert_eq!(wait(latest_ms(now_ms, after), now_ms, longest), after);
            let beyond_ms = latest_ms(now_ms, longest) + 1;
            prop_assert_eq!(wait(beyond_ms, now_ms, longest), Duration::ZERO);
        }

        #[test]
        fn lease_of_a_clock_that_is_ahead_by_at_most_a_lease_holds(
            now_ms in 0..i64::MAX / 4, lease_ms in 1_i64..1 << 40, ahead_percent in 0_i64..=100
        ) {
            let ahead_ms = lease_ms * ahead_percent / 100;
            let latest_ms = latest_lease_ms(now_ms, now_ms + lease_ms);
            prop_assert!(now_ms + ahead_ms + lease_ms <= latest_ms);
            prop_assert!(now_ms + 2 * lease_ms + 1 > latest_ms);
        }

        #[test]
        fn interval_has_passed_unless_its_start_is_recent(
            since_ms in any::<i64>(), now_ms in any::<i64>(), interval_ms in 1..i64::MAX
        ) {
            let is_recent = since_ms <= now_ms && now_ms.saturating_sub(since_ms) < interval_ms;
            prop_assert_eq!(has_passed(since_ms, now_ms, interval_ms), !is_recent);
        }
    }
}
