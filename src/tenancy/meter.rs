//! The counters of one organisation in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::base::flight::Flight;
use crate::store::StoreError;

const LEASE_BITS: u32 = 12;
const TOTAL_BITS: u32 = 32;

/// How long an exhausted budget is cached, in milliseconds: another server may return a part of its lease.
const EXHAUSTED_BELIEVED_MS: i64 = 1_000;

/// A lease in one word, so that a request spends it in one atomic step that cannot mix two days or two leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lease {
    /// Its day (UTC). 20 bits last until the year 4840.
    pub(super) day: u64,
    /// The number of its unspent requests, at most [`tidewater_core::limits::MAX_SLICE`].
    pub(super) left: u64,
    /// The organisation's total of that day over all servers when it was taken, at most 2^32 - 1.
    pub(super) total: u64,
}

impl Lease {
    const fn pack(self) -> u64 {
        let total = if self.total < 1 << TOTAL_BITS { self.total } else { (1 << TOTAL_BITS) - 1 };
        self.day << (LEASE_BITS + TOTAL_BITS) | self.left << TOTAL_BITS | total
    }

    const fn unpack(word: u64) -> Self {
        Self {
            day: word >> (LEASE_BITS + TOTAL_BITS),
            left: word >> TOTAL_BITS & ((1 << LEASE_BITS) - 1),
            total: word & ((1 << TOTAL_BITS) - 1),
        }
    }

    /// Returns how many requests of the day are spent, or leased to other servers.
    const fn used(self) -> u64 {
        self.total.saturating_sub(self.left)
    }
}

/// When the day's budget was found exhausted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exhausted {
    pub(super) day: u64,
    pub(super) limit: u64,
    pub(super) found_ms: i64,
}

/// The counters of one organisation.
#[derive(Debug, Default)]
pub(super) struct Meter {
    lease: AtomicU64,
    /// The lease at the last look for idle ones.
    looked_at: AtomicU64,
    /// Requests of organisations without a limit that are not written yet: the day in the upper 20 bits, their number below.
    uncounted: AtomicU64,
    /// Unwritten requests of earlier days, and requests whose write failed.
    pub(super) backlog: Mutex<BTreeMap<u64, u64>>,
    pub(super) exhausted: Mutex<Option<Exhausted>>,
    /// The day and the limit whose exhaustion was logged.
    told: Mutex<Option<(u64, u64)>>,
    /// Whether the organisation's tier needs no lease: it has no limit, or does not include the catalog.
    pub(super) needs_no_lease: AtomicBool,
    pub(super) flight: Flight<Arc<StoreError>>,
}

impl Meter {
    /// Spends one leased request of that day. Returns how many requests remain of the day.
    pub(super) fn spend(&self, day: u64, limit: u64) -> Option<u64> {
        let spent = self.lease.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let lease = Lease::unpack(word);
            // A lease that was taken under a higher limit is not spent beyond the present one.
            let good = lease.day == day && lease.left > 0 && lease.used() < limit;
            good.then(|| Lease { left: lease.left - 1, ..lease }.pack())
        });
        let lease = Lease::unpack(spent.ok()?);
        Some(limit - lease.used() - 1)
    }

    /// Replaces the lease. Returns the old one.
    pub(super) fn replace(&self, lease: Lease) -> Lease {
        Lease::unpack(self.lease.swap(lease.pack(), Ordering::AcqRel))
    }

    /// Cuts the lease to at most `at_most` requests. Returns the rest.
    pub(super) fn trim(&self, at_most: u64) -> Lease {
        let trimmed = |word| {
            let lease = Lease::unpack(word);
            let excess = lease.left.checked_sub(at_most).filter(|excess| *excess > 0)?;
            Some(Lease { left: at_most, total: lease.total.saturating_sub(excess), ..lease }.pack())
        };
        match self.lease.fetch_update(Ordering::AcqRel, Ordering::Acquire, trimmed).map(Lease::unpack) {
            Ok(before) => Lease { left: before.left - at_most, ..before },
            Err(_) => Lease::default(),
        }
    }

    /// Returns the number of unspent leased requests.
    pub(super) fn left(&self) -> u64 {
        Lease::unpack(self.lease.load(Ordering::Acquire)).left
    }

    /// Takes the unspent rest of a lease of which nothing was spent since the last call. What is known of the day's total stays.
    pub(super) fn take_idle_lease(&self) -> Lease {
        let word = self.lease.load(Ordering::Acquire);
        let (lease, before) = (Lease::unpack(word), self.looked_at.swap(word, Ordering::AcqRel));
        if before != word || lease.left == 0 {
            return Lease::default();
        }
        let rest = Lease { left: 0, total: lease.used(), ..lease }.pack();
        // A request may spend of it right now.
        let taken = self.lease.compare_exchange(word, rest, Ordering::AcqRel, Ordering::Acquire);
        taken.map_or_else(|_| Lease::default(), |_| lease)
    }

    /// Takes the unspent rest of a lease of an earlier day.
    pub(super) fn take_lease_before(&self, day: u64) -> Lease {
        let over = |word| (Lease::unpack(word).day < day).then_some(0);
        let taken = self.lease.fetch_update(Ordering::AcqRel, Ordering::Acquire, over);
        taken.map(Lease::unpack).unwrap_or_default()
    }

    /// Returns whether that budget was found exhausted a moment ago.
    pub(super) fn is_exhausted(&self, day: u64, limit: u64, now_ms: i64) -> bool {
        self.exhausted.lock().is_some_and(|found| {
            let age_ms = now_ms.saturating_sub(found.found_ms);
            found.day == day && found.limit == limit && (0..EXHAUSTED_BELIEVED_MS).contains(&age_ms)
        })
    }

    /// Returns whether the exhaustion of that day's limit is not logged yet, and records it as logged.
    pub(super) fn is_news(&self, day: u64, limit: u64) -> bool {
        self.told.lock().replace((day, limit)) != Some((day, limit))
    }

    /// Counts one request of an organisation without a limit.
    pub(super) fn count(&self, day: u64) {
        const COUNT_BITS: u32 = LEASE_BITS + TOTAL_BITS;
        let mut word = self.uncounted.load(Ordering::Acquire);
        loop {
            let same_day = word >> COUNT_BITS == day;
            let next = if same_day { word + 1 } else { day << COUNT_BITS | 1 };
            match self.uncounted.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if same_day => return,
                Ok(over) => return self.set_aside(over),
                Err(now) => word = now,
            }
        }
    }

    /// Moves the counted requests to the backlog, which is written to the store.
    pub(super) fn set_all_aside(&self) {
        self.set_aside(self.uncounted.swap(0, Ordering::AcqRel));
    }

    fn set_aside(&self, word: u64) {
        let (day, requests) = (word >> (LEASE_BITS + TOTAL_BITS), word & ((1 << (LEASE_BITS + TOTAL_BITS)) - 1));
        if requests > 0 {
            *self.backlog.lock().entry(day).or_default() += requests;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lease_is_spent_on_its_day_and_within_the_limit_only() {
        let meter = Meter::default();
        meter.replace(Lease { day: 20_000, left: 3, total: 10 });
        assert_eq!(meter.spend(20_001, 100), None);
        assert_eq!(meter.spend(20_000, 100), Some(92), "7 were used, this is the eighth");
        assert_eq!(meter.spend(20_000, 8), None, "the limit was lowered to what is used");
        assert_eq!(meter.spend(20_000, 9), Some(0));
        assert_eq!(meter.replace(Lease::default()), Lease { day: 20_000, left: 1, total: 10 });
    }

    #[test]
    fn trimmed_lease_keeps_what_is_used() {
        let meter = Meter::default();
        meter.replace(Lease { day: 20_000, left: 950, total: 1_000 });
        assert_eq!(meter.trim(1), Lease { day: 20_000, left: 949, total: 1_000 });
        assert_eq!(meter.trim(1), Lease::default(), "nothing more to cut off");
        assert_eq!(meter.spend(20_000, 100), Some(49), "50 were used, this is the next");
        assert_eq!(meter.left(), 0);
    }

    #[test]
    fn lease_is_idle_if_nothing_was_spent_since_the_last_look() {
        let meter = Meter::default();
        let lease = |left| Lease { day: 20_000, left, total: 10 };
        meter.replace(lease(3));
        assert_eq!(meter.take_idle_lease(), Lease::default());
        assert_eq!(meter.spend(20_000, 100), Some(92));
        assert_eq!(meter.take_idle_lease(), Lease::default(), "one was spent");
        assert_eq!(meter.take_idle_lease(), lease(2));
        assert_eq!(meter.spend(20_000, 100), None);
        assert_eq!(meter.replace(Lease::default()), Lease { day: 20_000, left: 0, total: 8 });
        assert_eq!(meter.take_idle_lease(), Lease::default());
    }

    #[test]
    fn a_spent_limit_is_news_once_a_day_and_once_more_when_it_was_changed() {
        let meter = Meter::default();
        let news: Vec<bool> = [(1, 5), (1, 5), (1, 9), (1, 9), (2, 9)]
            .into_iter()
            .map(|(day, limit)| meter.is_news(day, limit))
            .collect();
        assert_eq!(news, [true, false, true, false, true]);
    }

    #[test]
    fn requests_of_two_days_are_not_mixed() {
        let meter = Meter::default();
        for day in [5, 5, 6, 6, 6, 5] {
            meter.count(day);
        }
        meter.set_all_aside();
        assert_eq!(*meter.backlog.lock(), BTreeMap::from([(5, 3), (6, 3)]));
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(day in 0u64..1 << 20, left in 0u64..1 << 12, total in 0u64..1 << 32) {
            let lease = Lease { day, left, total };
            prop_assert_eq!(Lease::unpack(lease.pack()), lease);
        }

        #[test]
        fn a_huge_total_does_not_spill_into_the_lease(total in any::<u64>()) {
            let lease = Lease::unpack(Lease { day: 1, left: 2, total }.pack());
            prop_assert_eq!((lease.day, lease.left, lease.total), (1, 2, total.min((1 << 32) - 1)));
        }
    }
}
