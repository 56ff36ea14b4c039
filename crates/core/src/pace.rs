//! How often somebody may do something: so many times a second on average, some at once, and who comes too soon waits.

/// So many a second (the generic cell rate algorithm, ITU-T I.371). As many as in one second may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two of them, in microseconds.
    interval_us: i64,
    /// How long who comes too soon may be made to wait, in microseconds.
    max_wait_us: i64,
}

/// A turn that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceTurn {
    /// How long to wait for it, in microseconds.
    pub wait_us: u64,
    /// What to remember of the one whose turn it is, for the next; as `last_us` of [`Pace::turn`].
    pub last_us: i64,
}

const SECOND_US: i64 = 1_000_000;

impl Pace {
    /// `per_second` of them, 1 at least and a million at most, where none waits longer than `max_wait_us`.
    #[must_use]
    pub fn new(per_second: u32, max_wait_us: u32) -> Self {
        Self { interval_us: SECOND_US / i64::from(per_second.clamp(1, 1_000_000)), max_wait_us: i64::from(max_wait_us) }
    }

    /// The next turn of one who was remembered as `last_us` (0 where nothing is remembered), at `now_us`, in microseconds
    /// since 1970; nothing, where it would come too late. No turn is taken then.
    #[must_use]
    pub fn turn(&self, last_us: i64, now_us: i64) -> Option<PaceTurn> {
        // No turn is further ahead than this: where one seems to be, the clock was set back, and nobody waits for it.
        let is_from_ahead = last_us.saturating_sub(now_us) > SECOND_US + self.max_wait_us;
        let begin_us = if is_from_ahead { now_us } else { last_us.max(now_us) };
        // A second's worth at once.
        let wait_us = begin_us.saturating_sub(now_us).saturating_sub(SECOND_US - self.interval_us).max(0);
        let last_us = begin_us.saturating_add(self.interval_us);
        (wait_us <= self.max_wait_us).then_some(PaceTurn { wait_us: wait_us.unsigned_abs(), last_us })
    }
}

/// Whether nothing need be remembered of one any more: as if they had never come.
#[must_use]
pub const fn is_forgotten(last_us: i64, now_us: i64) -> bool {
    last_us <= now_us
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seconds_worth_comes_at_once_then_each_waits_then_none_may_come() {
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
    fn a_clock_that_is_set_back_stops_nobody() {
        let pace = Pace::new(10, 200_000);
        let hour_us = 3_600_000_000;
        let last_us = pace.turn(0, 2 * hour_us).unwrap().last_us;
        assert_eq!(pace.turn(last_us, hour_us), Some(PaceTurn { wait_us: 0, last_us: hour_us + 100_000 }));
    }

    proptest! {
        /// In no stretch of time does more begin than the pace allows, and what was a second's worth at its start.
        #[test]
        fn nobody_is_faster_than_the_pace(
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
        fn it_never_panics(per_second in any::<u32>(), wait in any::<u32>(), last in any::<i64>(), now in any::<i64>()) {
            if let Some(turn) = Pace::new(per_second, wait).turn(last, now) {
                prop_assert!(turn.wait_us <= u64::from(wait));
                prop_assert!(turn.last_us >= now);
            }
        }
    }
}
