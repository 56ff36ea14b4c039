//! The limits of requests per second, of an organisation and of each key. Kept in memory: no lock and no write per request.
//!
//! An organisation's limit leaves a quarter of its burst to keys that use less than a quarter of it. So one busy key cannot use up
//! the limit of the others. Requests to the management API have a limit of their own for each key: an admin can revoke a key that
//! floods the catalog.

use tidewater_core::burst::BurstLimit;

use crate::auth::Caller;

/// Whose limit of requests per second a request exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurstScope {
    /// The organisation's.
    Organisation,
    /// The key's.
    Key,
    /// The key's, for requests to the management API.
    Management,
}

/// A request comes too soon after others. Answered 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} {per_second} requests a second, with bursts of {burst}: try again in {retry_after_s} s. This is not the limit of the day; \
     an administrator can change the tier",
    match scope {
        BurstScope::Organisation => "your organisation exceeds its tier's limit of",
        BurstScope::Key => "this API key exceeds its tier's limit for a key of",
        BurstScope::Management => "this API key exceeds its tier's limit for the management API of",
    }
)]
pub struct TooFast {
    /// Whose limit it is.
    pub scope: BurstScope,
    /// The limit, in requests per second.
    pub per_second: u64,
    /// The number of requests that may come at the same time.
    pub burst: u64,
    /// The time after which there is room, in seconds, rounded up.
    pub retry_after_s: u64,
}

impl TooFast {
    fn new(scope: BurstScope, limit: BurstLimit, wait_ms: u64) -> Self {
        let retry_after_s = wait_ms.div_ceil(1_000).max(1);
        Self { scope, per_second: limit.per_second(), burst: limit.size(), retry_after_s }
    }
}

/// Takes one request to the catalog from the limits of the caller's key and organisation.
///
/// # Errors
/// `TooFast`. Then nothing is taken.
pub(super) fn take(caller: &Caller) -> Result<(), TooFast> {
    let (of_key, of_organisation) = (caller.tier().key_burst(), caller.tier().organisation_burst());
    if of_key.is_none() && of_organisation.is_none() {
        return Ok(());
    }
    let buckets = caller.buckets();
    let now_ms = buckets.now_ms();
    if let Some(limit) = of_key {
        let taken = buckets.principal.requests.take(limit, now_ms, 0);
        taken.map_err(|wait_ms| TooFast::new(BurstScope::Key, limit, wait_ms))?;
    }
    if let Some(limit) = of_organisation {
        // Requests that are refused count too: a key that floods the server does not get to the reserve between two of them.
        let is_within_share = buckets.principal.share.count(limit.quarter(), now_ms);
        let reserve = if is_within_share { 0 } else { limit.size() / 4 };
        if let Err(wait_ms) = buckets.organisation.take(limit, now_ms, reserve) {
            if of_key.is_some() {
                buckets.principal.requests.give_back();
            }
            return Err(TooFast::new(BurstScope::Organisation, limit, wait_ms));
        }
    }
    Ok(())
}

/// Takes one request to the management API from the limit of the caller's key: its tier's limit for a key, or else for the
/// organisation.
///
/// # Errors
/// `TooFast`. Then nothing is taken.
pub fn take_management(caller: &Caller) -> Result<(), TooFast> {
    let Some(limit) = caller.tier().key_burst().or_else(|| caller.tier().organisation_burst()) else { return Ok(()) };
    let buckets = caller.buckets();
    let taken = buckets.principal.management.take(limit, buckets.now_ms(), 0);
    taken.map_err(|wait_ms| TooFast::new(BurstScope::Management, limit, wait_ms))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::access::Role;
    use tidewater_core::limits::Tier;

    use super::*;
    use crate::auth::testing::{World, bearer};
    use crate::auth::{AuthSettings, Authenticator, CredentialSource};

    fn tier(requests_per_second: Option<u32>, burst: Option<u32>, per_key: Option<u32>) -> Tier {
        Tier { requests_per_second, burst, requests_per_second_per_key: per_key, ..Tier::default() }
    }

    async fn caller(world: &World, server: &Authenticator) -> Arc<Caller> {
        let (_, text) = world.key(Role::Writer, None).await;
        server.authenticate(Some(bearer(&text).as_bytes()), CredentialSource::default()).await.unwrap()
    }

    fn served(caller: &Caller, requests: usize) -> usize {
        (0..requests).filter(|_| take(caller).is_ok()).count()
    }

    #[tokio::test]
    async fn requests_beyond_the_burst_are_refused_until_the_rate_makes_room() {
        let world = World::new("t", &[("t", tier(Some(10), Some(40), None))]).await;
        let server = world.server();
        let one = caller(&world, &server).await;
        assert_eq!(served(&one, 100), 30, "a quarter of the burst is for other keys");
        let other = caller(&world, &server).await;
        assert_eq!(served(&other, 100), 10);
        let refused = take(&other).unwrap_err();
        assert_eq!((refused.scope, refused.per_second, refused.burst), (BurstScope::Organisation, 10, 40));
        assert_eq!(refused.retry_after_s, 2, "the reserve must fill up before a busy key gets more");
        world.advance(2_000);
        assert_eq!(served(&one, 100), 10);
    }

    #[tokio::test]
    async fn busy_keys_leave_room_for_a_quiet_one_at_all_times() {
        let world = World::new("t", &[("t", tier(Some(100), None, None))]).await;
        let server = world.server();
        let floods = [caller(&world, &server).await, caller(&world, &server).await, caller(&world, &server).await];
        let quiet = caller(&world, &server).await;
        for flood in &floods {
            served(flood, 50);
        }
        let mut of_floods = 0;
        for _ in 0..100 {
            world.advance(100);
            of_floods += floods.iter().map(|flood| served(flood, 50)).sum::<usize>();
            assert_eq!(served(&quiet, 2), 2, "20 requests a second");
        }
        assert!((750..=800).contains(&of_floods), "the rest of 1,000 in ten seconds: {of_floods}");
    }

    #[tokio::test]
    async fn key_limit_applies_to_each_key_and_costs_the_organisation_nothing_beyond() {
        let world = World::new("t", &[("t", tier(Some(100), None, Some(5)))]).await;
        let server = world.server();
        let (one, other) = (caller(&world, &server).await, caller(&world, &server).await);
        assert_eq!(served(&one, 1_000), 5);
        let refused = take(&one).unwrap_err();
        assert_eq!((refused.scope, refused.per_second, refused.retry_after_s), (BurstScope::Key, 5, 1));
        assert_eq!(served(&other, 1_000), 5, "refused requests of the other key took nothing");
        world.advance(1_000);
        assert_eq!(served(&one, 1_000), 5);
    }

    #[tokio::test]
    async fn request_refused_by_the_organisations_limit_costs_the_key_nothing() {
        let world = World::new("t", &[("t", tier(Some(4), None, Some(1)))]).await;
        let server = world.server();
        for _ in 0..4 {
            assert_eq!(served(&*caller(&world, &server).await, 1), 1);
        }
        let other = caller(&world, &server).await;
        assert_eq!(take(&other).unwrap_err().scope, BurstScope::Organisation);
        world.advance(750);
        assert_eq!(served(&other, 1), 1);
    }

    #[tokio::test]
    async fn flood_of_the_catalog_leaves_the_management_api_usable() {
        let world = World::new("t", &[("t", tier(Some(10), None, None))]).await;
        let one = caller(&world, &world.server()).await;
        served(&one, 1_000);
        assert_eq!((0..100).filter(|_| take_management(&one).is_ok()).count(), 10);
        assert_eq!(take_management(&one).unwrap_err().scope, BurstScope::Management);
    }

    #[tokio::test]
    async fn reload_applies_new_limits_and_gives_no_new_burst() {
        let (old, new) = (tier(Some(10), Some(100), None), tier(Some(50), Some(100), None));
        let world = World::new("t", &[("t", old)]).await;
        let server = world.server();
        let (key, text) = world.key(Role::Writer, None).await;
        let again = async |server: &Authenticator| {
            server.authenticate(Some(bearer(&text).as_bytes()), CredentialSource::default()).await.unwrap()
        };
        assert_eq!(served(&*again(&server).await, 1_000), 75);
        let mut tiers = world.tiers.clone();
        tiers.insert("t".to_owned(), new);
        let reloaded = server.with_settings(&tiers, &AuthSettings::default());
        let caller = again(&reloaded).await;
        assert_eq!((caller.key(), served(&caller, 1_000)), (key.id, 0));
        world.advance(100);
        assert_eq!(served(&*again(&reloaded).await, 1_000), 5, "the new rate");
    }

    #[tokio::test]
    async fn tier_without_limits_counts_nothing() {
        let world = World::new("enterprise", &[]).await;
        let one = caller(&world, &world.server()).await;
        assert_eq!(served(&one, 10_000), 10_000);
        assert_eq!((0..10_000).filter(|_| take_management(&one).is_ok()).count(), 10_000);
    }
}
