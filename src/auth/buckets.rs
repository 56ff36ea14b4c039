//! The recent requests of organisations and principals, for the limits of requests per second. Kept in memory only.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tidewater_core::burst::{BucketState, BurstLimit};
use tidewater_core::ids::{OrganisationId, PrincipalId};

use crate::base::clock::{Clock, IntervalClock};

/// A bucket of recent requests in one atomic word.
#[derive(Debug, Default)]
pub struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one request within a limit, and leaves `reserve` requests of its burst.
    ///
    /// # Errors
    /// The time until there is room, in milliseconds. Nothing is taken.
    pub fn take(&self, limit: BurstLimit, now_ms: u64, reserve: u64) -> Result<(), u64> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = limit.take(BucketState::from_word(word), now_ms, reserve)?;
            match self.0.compare_exchange_weak(word, next.word(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Counts one request, also beyond a limit. Returns whether it is within the limit.
    pub fn count(&self, limit: BurstLimit, now_ms: u64) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (next, is_within) = limit.count(BucketState::from_word(word), now_ms);
            match self.0.compare_exchange_weak(word, next.word(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return is_within,
                Err(now) => word = now,
            }
        }
    }

    /// Gives back one request that was taken and then refused.
    pub fn give_back(&self) {
        let change = |word| Some(BucketState::from_word(word).give_back().word());
        // The change is never refused.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// Returns whether the bucket is empty under every limit.
    fn is_empty(&self, now_ms: u64) -> bool {
        BurstLimit::new(1, 1).is_empty(BucketState::from_word(self.0.load(Ordering::Relaxed)), now_ms)
    }
}

/// The recent requests of a principal. All its keys share them.
#[derive(Debug, Default)]
pub struct PrincipalBuckets {
    /// Requests within the limit of a key.
    pub requests: Bucket,
    /// All requests to the catalog, for the principal's share of the organisation's limit.
    pub share: Bucket,
    /// Requests to the management API.
    pub management: Bucket,
}

/// The recent requests of a principal and of its organisation.
#[derive(Clone)]
pub struct Buckets {
    /// The organisation's.
    pub organisation: Arc<Bucket>,
    /// The principal's.
    pub principal: Arc<PrincipalBuckets>,
    clock: IntervalClock,
}

impl Buckets {
    /// Returns the time for the buckets, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

/// Two values are equal if they belong to the same principal.
impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.principal, &other.principal)
    }
}

impl Eq for Buckets {}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}

/// The number of buckets from which unused ones are removed.
const MANY: usize = 1_024;

/// The buckets of recent callers. Callers hold them, so that a request needs no look-up.
#[derive(Debug)]
pub(super) struct BucketRegistry {
    clock: IntervalClock,
    organisations: Mutex<Known<OrganisationId, Bucket>>,
    principals: Mutex<Known<PrincipalId, PrincipalBuckets>>,
}

#[derive(Debug)]
struct Known<I, B> {
    all: HashMap<I, Arc<B>>,
    /// The number of entries at which unused ones are removed next.
    many: usize,
}

impl<I, B> Default for Known<I, B> {
    fn default() -> Self {
        Self { all: HashMap::new(), many: MANY }
    }
}

impl<I: Eq + Hash, B: Default> Known<I, B> {
    fn find(&mut self, id: I, is_empty: impl Fn(&B) -> bool) -> Arc<B> {
        if self.all.len() >= self.many && !self.all.contains_key(&id) {
            // Without a caller and without recent requests, an entry equals a new one.
            self.all.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !is_empty(bucket));
            self.many = MANY.max(2 * self.all.len());
        }
        Arc::clone(self.all.entry(id).or_default())
    }
}

impl BucketRegistry {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock: IntervalClock::new(clock), organisations: Mutex::default(), principals: Mutex::default() }
    }

    /// Returns the buckets of a principal.
    pub(super) fn find(&self, organisation: OrganisationId, principal: PrincipalId) -> Buckets {
        let now_ms = self.clock.now_ms();
        Buckets {
            clock: self.clock.clone(),
            organisation: self.organisations.lock().find(organisation, |bucket| bucket.is_empty(now_ms)),
            principal: self.principals.lock().find(principal, |buckets| {
                [&buckets.requests, &buckets.share, &buckets.management].iter().all(|bucket| bucket.is_empty(now_ms))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::base::clock::fresh_uuid;

    #[test]
    fn concurrent_requests_get_exactly_the_burst() {
        let (bucket, limit) = (Bucket::default(), BurstLimit::new(100, 500));
        let served: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..500).filter(|_| bucket.take(limit, 1_000, 0).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(served, 500);
        assert_eq!((0..100).filter(|_| bucket.take(limit, 1_500, 0).is_ok()).count(), 50);
    }

    #[test]
    fn unused_buckets_are_removed_and_recent_requests_are_kept() {
        let registry = BucketRegistry::new(Clock::Manual(Arc::new(AtomicI64::new(1_000))));
        let organisation = OrganisationId(fresh_uuid());
        let (busy, held) = (PrincipalId(fresh_uuid()), PrincipalId(fresh_uuid()));
        let limit = BurstLimit::new(1, 2);
        let take = || {
            let buckets = registry.find(organisation, busy);
            buckets.principal.requests.take(limit, buckets.now_ms(), 0).is_ok()
        };
        assert!(take());
        let holder = registry.find(organisation, held);
        for _ in 0..10 * MANY {
            registry.find(organisation, PrincipalId(fresh_uuid()));
        }
        assert!(registry.principals.lock().all.len() <= MANY + 2);
        assert!(take());
        assert!(!take(), "no new burst");
        assert_eq!(registry.find(organisation, held), holder);
    }
}
