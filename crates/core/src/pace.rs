//! Limits the rate of an action: an average per second, a burst, and a bounded wait for requests that come too soon.

/// A rate (generic cell rate algorithm, ITU-T I.371). The burst is the number of actions of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The interval between two actions, in microseconds.
    interval_us: i64,
    /// The longest wait of an action that comes too soon, in microseconds.
    max_wait_us: i64,
}

/// Permission for one action, possibly after a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceTurn {
    /// How long to wait, in microseconds.
    pub wait_us: u64,
    /// The state to pass as `last_us` to the next [`Pace::turn`] of the same key.
    pub last_us: i64,
}

const SECOND_US: i64 = 1_000_000;

impl Pace {
    /// Creates a rate of `per_second` actions (1 to 1,000,000), with a wait of at most `max_wait_us` microseconds.
    #[must_use]
    pub fn new(per_second: u32, max_wait_us: u32) -> Self {
        Self { interval_us: SECOND_US / i64::from(per_second.clamp(1, 1_000_000)), max_wait_us: i64::from(max_wait_us) }
    }

    /// Returns the next turn after the state `last_us` (0 if there is none) at `now_us`, both in microseconds since 1970.
    /// Returns `None` if the wait would be too long. A refused action does not use up a turn.
    #[must_use]
    pub fn turn(&self, last_us: i64, now_us: i64) -> Option<PaceTurn> {
        // No valid state is further ahead than this. If one is, the clock was set back, and the state is ignored.
        let is_from_ahead = last_us.saturating_sub(now_us) > SECOND_US + self.max_wait_us;
        let begin_us = if is_from_ahead { now_us } else { last_us.max(now_us) };
        // The burst of one second needs no wait.
        let wait_us = begin_us.saturating_sub(now_us).saturating_sub(SECOND_US - self.interval_us).max(0);
        let last_us = begin_us.saturating_add(self.interval_us);
        (wait_us <= self.max_wait_us).then_some(PaceTurn { wait_us: wait_us.unsigned_abs(), last_us })
    }
}

/// Returns whether a state equals no state, so that it can be removed from memory.
#[must_use]
pub const fn is_forgotten(last_us: i64, now_us: i64) -> bool {
    last_us <= now_us
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn burst_needs_no_wait_then_actions_wait_then_they_are_refused() {
        let pace = Pace::new(10, 200_000);
        let mut last_us = 0;
        let mut waits = Vec::new();
        while let Some(turn) = pace.turn(last_us, 5_000_000) {
            last_us = turn.last_us;
            waits.push(turn.wait_us);
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100_000, 200_000]);
        assert_eq!(pace.turn(last_us, 5_000_000), None);
        assert_eq!(pace.turn(last_us, 5_100_000).map(|turn| turn.wait_us), Some(200_000));
        assert!(!is_forgotten(last_us, 6_199_999) && is_forgotten(last_us, 6_200_000));
    }

    #[test]
    fn clock_that_is_set_back_does_not_refuse_an_action() {
        let pace = Pace::new(10, 200_000);
        let hour_us = 3_600_000_000;
        let last_us = pace.turn(0, 2 * hour_us).unwrap().last_us;
        assert_eq!(pace.turn(last_us, hour_us), Some(PaceTurn { wait_us: 0, last_us: hour_us + 100_000 }));
    }

    proptest! {
        /// In every period, the number of started actions is at most one burst plus the average rate.
        #[test]
        fn started_actions_never_exceed_the_rate(
            per_second in 1u32..5_000,
            gaps_us in prop::collection::vec(0i64..20_000, 1..400),
        ) {
            let pace = Pace::new(per_second, 2_000_000);
            let (mut now_us, mut last_us) = (1_000_000, 0);
            let mut begun_us = Vec::new();
            for gap_us in gaps_us {
                now_us += gap_us;
                if let Some(turn) = pace.turn(last_us, now_us) {
                    last_us = turn.last_us;
                    begun_us.push(now_us + i64::try_from(turn.wait_us)?);
                }
            }
            for (number, first) in begun_us.iter().enumerate() {
                let window = begun_us[number..].iter().filter(|at| **at < first + 1_000_000).count();
                prop_assert!(window <= 2 * usize::try_from(SECOND_US / pace.interval_us)? + 1, "{window} in a second");
            }
        }

        #[test]
        fn extreme_values_do_not_panic(per_second in any::<u32>(), wait in any::<u32>(), last in any::<i64>(), now in any::<i64>()) {
            if let Some(turn) = Pace::new(per_second, wait).turn(last, now) {
                prop_assert!(turn.wait_us <= u64::from(wait));
                prop_assert!(turn.last_us >= now);
            }
        }
    }
}
