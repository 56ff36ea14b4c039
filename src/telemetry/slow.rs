//! The slowest recent requests, in a memory of bounded size. A fast request costs one comparison.

use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;

use crate::base::clock::Clock;

/// The most requests that are kept.
const MOST: usize = 200;

/// The most requests of one organisation, and of all without one.
const MOST_OF_ORGANISATION: usize = 50;

/// How long a request is kept, in milliseconds.
const KEPT_MS: i64 = 60 * 60 * 1_000;

/// A slow request. It has neither names of objects nor a query nor a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowRequest {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its method.
    pub method: &'static str,
    /// Its route, with the names of parameters. `None` if no route matched.
    pub route: Option<String>,
    /// The answer's status. `None` if the client disconnected before there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// The organisation of its caller, with its name.
    pub organisation: Option<(OrganisationId, String)>,
    /// The id of the request in the server's log.
    pub request_id: String,
}

impl SlowRequest {
    fn owner(&self) -> Option<OrganisationId> {
        self.organisation.as_ref().map(|(id, _)| *id)
    }
}

/// Keeps the slowest requests of the last hour.
#[derive(Debug)]
pub struct SlowRequests {
    /// The shortest time that counts as slow. `Duration::MAX` keeps none.
    threshold: Duration,
    clock: Clock,
    kept: Mutex<Vec<SlowRequest>>,
}

impl SlowRequests {
    /// Creates an empty memory of requests that take `threshold_ms` milliseconds or longer. 0 keeps none.
    #[must_use]
    pub fn new(threshold_ms: u64, clock: Clock) -> Self {
        let threshold = if threshold_ms == 0 { Duration::MAX } else { Duration::from_millis(threshold_ms) };
        Self { threshold, clock, kept: Mutex::default() }
    }

    /// Returns the threshold. `None` if no requests are kept.
    #[must_use]
    pub fn threshold(&self) -> Option<Duration> {
        Some(self.threshold).filter(|threshold| *threshold != Duration::MAX)
    }

    /// Keeps a request that took `took` if it is slow. Calls `request` with the present time only then.
    #[inline]
    pub fn note(&self, took: Duration, request: impl FnOnce(i64) -> SlowRequest) {
        if took >= self.threshold {
            let now_ms = self.clock.now_ms();
            keep(&mut self.kept.lock(), request(now_ms), now_ms);
        }
    }

    /// Returns the kept requests, the slowest first.
    #[must_use]
    pub fn list(&self) -> Vec<SlowRequest> {
        let mut kept = self.kept.lock();
        remove_old(&mut kept, self.clock.now_ms());
        let mut listed = kept.clone();
        drop(kept);
        listed.sort_by(|one, other| other.took.cmp(&one.took).then(other.at_ms.cmp(&one.at_ms)));
        listed
    }
}

fn remove_old(kept: &mut Vec<SlowRequest>, now_ms: i64) {
    kept.retain(|one| one.at_ms > now_ms.saturating_sub(KEPT_MS));
}

/// Adds a request. If there is no room, the fastest one gives way: of the same organisation if it has its share, else of all.
fn keep(kept: &mut Vec<SlowRequest>, new: SlowRequest, now_ms: i64) {
    remove_old(kept, now_ms);
    let of_owner = kept.iter().filter(|one| one.owner() == new.owner()).count();
    let is_rival = |one: &SlowRequest| of_owner < MOST_OF_ORGANISATION || one.owner() == new.owner();
    if of_owner >= MOST_OF_ORGANISATION || kept.len() >= MOST {
        let rivals = kept.iter().enumerate().filter(|(_, one)| is_rival(one));
        match rivals.min_by_key(|(_, one)| one.took) {
            Some((at, fastest)) if fastest.took < new.took => {
                kept.swap_remove(at);
            }
            _ => return,
        }
    }
    kept.push(new);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn request(owner: u8, took_ms: u64, at_ms: i64) -> SlowRequest {
        let organisation = (owner > 0).then(|| (OrganisationId(Uuid::from_u128(owner.into())), format!("o{owner}")));
        SlowRequest {
            at_ms,
            method: "GET",
            route: Some("/v1/config".to_owned()),
            status: Some(200),
            took: Duration::from_millis(took_ms),
            organisation,
            request_id: "r".to_owned(),
        }
    }

    fn memory(threshold_ms: u64) -> (SlowRequests, Arc<AtomicI64>) {
        let now_ms = Arc::new(AtomicI64::new(KEPT_MS));
        (SlowRequests::new(threshold_ms, Clock::Manual(Arc::clone(&now_ms))), now_ms)
    }

    #[test]
    fn only_slow_requests_are_kept_for_an_hour_the_slowest_first() {
        let (slow, now_ms) = memory(100);
        slow.note(Duration::from_millis(99), |_| panic!("a fast request needs no record"));
        slow.note(Duration::from_millis(100), |at_ms| request(1, 100, at_ms));
        now_ms.fetch_add(1, Ordering::SeqCst);
        slow.note(Duration::from_millis(300), |at_ms| request(0, 300, at_ms));
        let took = || slow.list().iter().map(|one| one.took.as_millis()).collect::<Vec<_>>();
        assert_eq!(took(), [300, 100]);
        now_ms.fetch_add(KEPT_MS - 1, Ordering::SeqCst);
        assert_eq!(took(), [300]);
    }

    #[test]
    fn threshold_of_0_keeps_nothing() {
        let (slow, _) = memory(0);
        slow.note(Duration::from_secs(3_600), |_| panic!("nothing is kept"));
        assert_eq!((slow.threshold(), slow.list()), (None, Vec::new()));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_keeps_the_slowest_of_each_organisation(
            requests in prop::collection::vec((0_u8..8, 0_u64..1_000), 0..1_500)
        ) {
            let mut kept = Vec::new();
            for (owner, took_ms) in &requests {
                keep(&mut kept, request(*owner, *took_ms, 1), 1);
            }
            prop_assert!(kept.len() <= MOST);
            for owner in 0..8 {
                let of = |took_ms: u64| request(owner, took_ms, 1);
                let count = kept.iter().filter(|one| one.owner() == of(0).owner()).count();
                prop_assert!(count <= MOST_OF_ORGANISATION);
            }
            if let Some((owner, slowest)) = requests.iter().max_by_key(|(_, took_ms)| *took_ms) {
                let slowest = Duration::from_millis(*slowest);
                prop_assert!(kept.iter().any(|one| one.took == slowest), "the slowest, of {}", owner);
            }
        }
    }
}
