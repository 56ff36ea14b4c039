//! Tests of organisations, and of the exactness of the daily limit over crashes, restarts and changes of tiers.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::{Tier, day_of, default_tiers, slice_of};

use super::{Quota, QuotaError, TenancyError};
use crate::auth::Caller;
use crate::auth::testing::{Mode, World, limited};
use crate::background::Runner;
use crate::base::clock::fresh_uuid;
use crate::store::{Change, Store};

const DAY_MS: i64 = 86_400_000;

fn server(world: &World) -> Arc<Quota> {
    let store: Arc<dyn Store> = world.store.clone();
    Arc::new(Quota::new(store, world.clock()))
}

async fn used(world: &World, now_ms: i64) -> u64 {
    world.store.usage_get(world.organisation.id, day_of(now_ms)).await.unwrap()
}

/// Sends requests. Returns the number of served ones.
async fn serve(quota: &Quota, caller: &Caller, now_ms: i64, requests: u64) -> u64 {
    let mut served = 0;
    for _ in 0..requests {
        match quota.charge(caller, now_ms).await {
            Ok(_) => served += 1,
            Err(QuotaError::LimitExceeded(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_concurrent_requests_get_exactly_the_limit() {
    for limit in [1, 7, 250, 999] {
        let world = World::new("t", &[("t", limited(limit))]).await;
        let caller = world.caller().await;
        let servers = [server(&world), server(&world), server(&world)];
        let served = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..1_000)
            .map(|number| {
                let (quota, caller, served) =
                    (Arc::clone(&servers[number % 3]), Arc::clone(&caller), Arc::clone(&served));
                let now_ms = world.now_ms();
                tokio::spawn(async move {
                    match quota.charge(&caller, now_ms).await {
                        Ok(_) => drop(served.fetch_add(1, Ordering::SeqCst)),
                        Err(QuotaError::LimitExceeded(exceeded)) => assert_eq!(exceeded.limit, limit),
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut served = served.load(Ordering::SeqCst) as u64;
        assert!(served <= limit);
        // Each server serves the rest of its lease, and no more.
        for quota in &servers {
            served += serve(quota, &caller, world.now_ms(), 20).await;
        }
        assert_eq!(served, limit);
        assert_eq!(used(&world, world.now_ms()).await, limit);
    }
}

#[tokio::test]
async fn remaining_requests_only_decrease() {
    let world = World::new("t", &[("t", limited(1_000))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    for expected in (0..1_000).rev() {
        let budget = quota.charge(&caller, world.now_ms()).await.unwrap();
        assert_eq!((budget.limit, budget.remaining, budget.reset_s), (Some(1_000), expected, 43_200));
    }
    let refused = quota.charge(&caller, world.now_ms() + 1).await.unwrap_err();
    assert!(matches!(refused, QuotaError::LimitExceeded(it) if it.limit == 1_000 && it.retry_after_s == 43_200));
    let taken = world.store.call_count("usage_take");
    assert!((500..=541).contains(&taken), "slices of 2, single ones at the end, and one that was refused: {taken}");
}

#[tokio::test]
async fn requests_beyond_the_limit_do_not_reach_the_database() {
    let world = World::new("t", &[("t", limited(10))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    assert_eq!(serve(&quota, &caller, world.now_ms(), 500).await, 10);
    assert_eq!(world.store.call_count("usage_take"), 11);
    world.store.usage_give_back(world.organisation.id, day_of(world.now_ms()), 3).await.unwrap();
    assert_eq!(serve(&quota, &caller, world.now_ms() + 999, 5).await, 0);
    assert_eq!(serve(&quota, &caller, world.now_ms() + 1_000, 5).await, 3, "what another server gives back is found");
}

#[tokio::test]
async fn crash_loses_at_most_a_slice_and_never_exceeds_the_limit() {
    let world = World::new("t", &[("t", limited(1_000))]).await;
    let caller = world.caller().await;
    let mut served = 0;
    for _ in 0..5 {
        let crashing = server(&world);
        served += serve(&crashing, &caller, world.now_ms(), 13).await;
    }
    served += serve(&server(&world), &caller, world.now_ms(), 2_000).await;
    assert_eq!(served, 1_000 - 5, "each crash lost the one that was left of its seventh slice of 2");
}

#[tokio::test]
async fn orderly_restart_loses_no_request() {
    let world = World::new("t", &[("t", limited(1_000))]).await;
    let caller = world.caller().await;
    let mut served = 0;
    for _ in 0..5 {
        let ending = server(&world);
        served += serve(&ending, &caller, world.now_ms(), 13).await;
        ending.flush().await.unwrap();
        assert_eq!(used(&world, world.now_ms()).await, served);
    }
    served += serve(&server(&world), &caller, world.now_ms(), 2_000).await;
    assert_eq!(served, 1_000);
}

#[tokio::test]
async fn every_day_has_its_own_budget() {
    let world = World::new("t", &[("t", limited(1_600))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    let (today, tomorrow) = (world.now_ms(), world.now_ms() + DAY_MS);
    assert_eq!(serve(&quota, &caller, today, 7).await, 7);
    assert_eq!(used(&world, today).await, 8, "two slices of 4");
    let budget = quota.charge(&caller, tomorrow).await.unwrap();
    assert_eq!(budget.remaining, 1_599);
    assert_eq!(used(&world, today).await, 7, "what was left of yesterday went back");
    assert_eq!(serve(&quota, &caller, tomorrow, 2_000).await, 1_599);
    let midnight = (day_of(tomorrow) + 1) * DAY_MS;
    assert_eq!(serve(&quota, &caller, midnight - 1, 1).await, 0);
    assert_eq!(serve(&quota, &caller, midnight, 1).await, 1);
}

#[tokio::test]
async fn idle_organisation_gives_back_its_lease_within_seconds_and_after_the_day() {
    let world = World::new("t", &[("t", limited(2_000))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    let today = world.now_ms();
    assert_eq!(serve(&quota, &caller, today, 1).await, 1);
    quota.tick().await.unwrap();
    assert_eq!(used(&world, today).await, 5, "not while it may be in use");
    quota.tick().await.unwrap();
    assert_eq!(used(&world, today).await, 1);
    assert_eq!(serve(&quota, &caller, today, 1).await, 1);
    world.advance(DAY_MS);
    quota.tick().await.unwrap();
    assert_eq!(used(&world, today).await, 2);
}

#[tokio::test]
async fn leased_requests_are_served_while_the_database_is_down() {
    let world = World::new("t", &[("t", limited(4_000))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    assert_eq!(serve(&quota, &caller, world.now_ms(), 1).await, 1);
    world.store.set(Mode::Down);
    assert_eq!(serve(&quota, &caller, world.now_ms(), 9).await, 9);
    assert!(matches!(quota.charge(&caller, world.now_ms()).await, Err(QuotaError::Unavailable(_))));
    world.store.set(Mode::Up);
    assert_eq!(serve(&quota, &caller, world.now_ms(), 5_000).await, 3_990);
}

#[tokio::test]
async fn lost_answers_never_exceed_the_limit() {
    let world = World::new("t", &[("t", limited(1_000))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    let mut served = serve(&quota, &caller, world.now_ms(), 3).await;
    assert_eq!(used(&world, world.now_ms()).await, 4);
    world.store.set(Mode::Unheard);
    quota.flush().await.unwrap_err();
    quota.flush().await.unwrap_err();
    world.store.set(Mode::Up);
    assert_eq!(used(&world, world.now_ms()).await, 3, "given back once, though the answer was lost");
    world.store.set(Mode::Unheard);
    assert!(matches!(quota.charge(&caller, world.now_ms()).await, Err(QuotaError::Unavailable(_))));
    world.store.set(Mode::Up);
    served += serve(&quota, &caller, world.now_ms(), 2_000).await;
    assert_eq!(served, 998, "the slice whose answer was lost counts as used");
}

#[tokio::test]
async fn disconnected_client_does_not_lose_the_slice() {
    let world = World::new("t", &[("t", limited(1_000))]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    for _ in 0..20 {
        let mut charge = Box::pin(quota.charge(&caller, world.now_ms()));
        let poll = charge.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(!matches!(poll, Poll::Ready(Err(_))));
        drop(charge);
    }
    let served = serve(&quota, &caller, world.now_ms(), 2_000).await;
    assert!((980..=1_000).contains(&served), "each took one request at most: {served}");
}

#[tokio::test]
async fn request_within_a_lease_needs_no_database() {
    let world = World::new("premium", &[]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    assert_eq!(serve(&quota, &caller, world.now_ms(), 1).await, 1);
    let asked = world.store.total_call_count();
    assert_eq!(serve(&quota, &caller, world.now_ms(), 249).await, 249);
    assert_eq!(world.store.total_call_count(), asked);
}

#[tokio::test]
async fn requests_without_a_limit_are_counted_and_written_later() {
    let world = World::new("enterprise", &[]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    let (today, tomorrow) = (world.now_ms(), world.now_ms() + DAY_MS);
    let budget = quota.charge(&caller, today).await.unwrap();
    assert_eq!((budget.limit, budget.remaining), (None, u64::MAX));
    serve(&quota, &caller, today, 41).await;
    assert_eq!(used(&world, today).await, 0);
    world.store.set(Mode::Down);
    quota.tick().await.unwrap_err();
    world.store.set(Mode::Up);
    serve(&quota, &caller, tomorrow, 5).await;
    quota.flush().await.unwrap();
    assert_eq!((used(&world, today).await, used(&world, tomorrow).await), (42, 5), "nothing lost, no days mixed");
    let taken = world.store.call_count("usage_take");
    quota.tick().await.unwrap();
    assert_eq!(world.store.call_count("usage_take"), taken, "nothing new, nothing written");
}

#[tokio::test]
async fn tier_without_the_catalog_is_refused_by_name() {
    let world = World::new("free", &[]).await;
    let caller = world.caller().await;
    let refused = server(&world).charge(&caller, world.now_ms()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the catalog is not included in the tier 'free' of organisation 'acme'");
    assert!(
        matches!(refused, QuotaError::TierExcludes { organisation, tier } if organisation == "acme" && tier == "free")
    );
    assert_eq!(world.store.call_count("usage_take"), 0);
}

#[tokio::test]
async fn new_tier_applies_from_the_next_request() {
    let tiers = [("small", limited(10)), ("large", limited(1_000))];
    let world = World::new("small", &tiers).await;
    let small = world.caller().await;
    world.set_tier("large").await;
    let large = world.caller().await;
    world.set_tier("enterprise").await;
    let unlimited = world.caller().await;
    let quota = server(&world);
    let now_ms = world.now_ms();
    assert_eq!(serve(&quota, &small, now_ms, 20).await, 10);
    assert_eq!(serve(&quota, &large, now_ms, 2).await, 2, "at once after an upgrade");
    assert_eq!(serve(&quota, &small, now_ms, 1).await, 0, "at once after a downgrade, though something is leased");
    assert_eq!(serve(&quota, &unlimited, now_ms, 500).await, 500);
    let left = serve(&quota, &large, now_ms, 2_000).await;
    assert_eq!(left, 1_000 - 512, "what was served without a limit counts");
}

/// A lease of 250 was taken under the limit of 100,000 and 3 of it are spent.
async fn after_three_of_a_large_tier(world: &World, quota: &Quota) {
    assert_eq!(serve(quota, &*world.caller().await, world.now_ms(), 3).await, 3);
    assert_eq!(used(world, world.now_ms()).await, 250);
}

#[tokio::test]
async fn downgrade_gives_back_the_slice_of_the_larger_tier() {
    for limit in [100, 200] {
        let world = World::new("premium", &[("small", limited(limit))]).await;
        let (one, other) = (server(&world), server(&world));
        after_three_of_a_large_tier(&world, &one).await;
        world.set_tier("small").await;
        let small = world.caller().await;
        let budget = one.charge(&small, world.now_ms()).await.unwrap();
        assert_eq!(budget.remaining, limit - 4);
        let leased = slice_of(limit);
        assert!((4..=3 + leased).contains(&used(&world, world.now_ms()).await));
        let served =
            4 + serve(&other, &small, world.now_ms(), 2_000).await + serve(&one, &small, world.now_ms(), 2_000).await;
        assert_eq!((served, used(&world, world.now_ms()).await), (limit, limit), "on both servers together");
    }
}

#[tokio::test]
async fn downgrade_below_what_is_used_leaves_usage_exact() {
    let world = World::new("premium", &[("tiny", limited(2))]).await;
    let quota = server(&world);
    after_three_of_a_large_tier(&world, &quota).await;
    world.set_tier("tiny").await;
    assert_eq!(serve(&quota, &*world.caller().await, world.now_ms(), 50).await, 0);
    assert_eq!(used(&world, world.now_ms()).await, 3);
}

#[tokio::test]
async fn tier_without_limit_or_catalog_gives_back_the_slice_within_seconds() {
    for (tier, served) in [("enterprise", 3 + 5), ("free", 3)] {
        let world = World::new("premium", &[]).await;
        let quota = server(&world);
        after_three_of_a_large_tier(&world, &quota).await;
        world.set_tier(tier).await;
        let caller = world.caller().await;
        for _ in 0..5 {
            assert_eq!(quota.charge(&caller, world.now_ms()).await.is_ok(), tier == "enterprise");
        }
        quota.tick().await.unwrap();
        assert_eq!(used(&world, world.now_ms()).await, served, "{tier}");
    }
}

#[tokio::test]
async fn upgrade_after_a_spent_day_applies_from_the_next_request_with_its_own_slices() {
    let world = World::new("tiny", &[("tiny", limited(2))]).await;
    let quota = server(&world);
    assert_eq!(serve(&quota, &*world.caller().await, world.now_ms(), 5).await, 2);
    world.set_tier("premium").await;
    let premium = world.caller().await;
    assert_eq!(serve(&quota, &premium, world.now_ms(), 500).await, 500);
    assert_eq!(used(&world, world.now_ms()).await, 502, "two slices of 250 after the first two");
    quota.flush().await.unwrap();
    assert_eq!(used(&world, world.now_ms()).await, 502);
}

#[tokio::test]
async fn keys_of_old_and_new_tier_do_not_lease_a_slice_for_each_request() {
    let world = World::new("premium", &[("small", limited(5_000))]).await;
    let large = world.caller().await;
    world.set_tier("small").await;
    let small = world.caller().await;
    let quota = server(&world);
    for _ in 0..250 {
        quota.charge(&large, world.now_ms()).await.unwrap();
        quota.charge(&small, world.now_ms()).await.unwrap();
    }
    assert!(world.store.call_count("usage_take") <= 45, "{}", world.store.call_count("usage_take"));
}

#[tokio::test(start_paused = true)]
async fn counts_are_written_every_few_seconds_and_settled_at_the_end() {
    let world = World::new("enterprise", &[]).await;
    let caller = world.caller().await;
    let quota = server(&world);
    let runner = Runner::new(world.clock(), 1);
    runner.start(quota.task());
    serve(&quota, &caller, world.now_ms(), 3).await;
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    while world.store.call_count("usage_take") == 0 {
        tokio::task::yield_now().await;
    }
    serve(&quota, &caller, world.now_ms(), 4).await;
    tokio::time::resume();
    runner.stop(std::time::Duration::from_secs(10)).await.unwrap();
    assert_eq!(used(&world, world.now_ms()).await, 7);
}

/// The servers' parts of the requests, in a hundredth.
const LOADS: [[u64; 3]; 4] = [[34, 33, 33], [90, 9, 1], [50, 50, 0], [100, 0, 0]];

/// Sends requests to three servers until each has refused all for a minute, a tick of every server every five seconds. Returns the number
/// of served ones. After half of the budget, the first server is killed, if `kill` is set.
async fn serve_on_three(world: &World, limit: u64, load: [u64; 3], kill: bool) -> u64 {
    let caller = world.caller().await;
    let mut servers = [server(world), server(world), server(world)];
    let (mut served, mut quiet, mut killed) = (0, 0, !kill);
    while quiet < 12 {
        let before = served;
        for (at, part) in load.into_iter().enumerate() {
            served += serve(&servers[at], &caller, world.now_ms(), limit * part / 2_000 + u64::from(part > 0)).await;
        }
        if !killed && served > limit / 2 {
            (servers[0], killed) = (server(world), true);
        }
        world.advance(5_000);
        for one in &servers {
            one.tick().await.unwrap();
        }
        quiet = if served == before { quiet + 1 } else { 0 };
    }
    served
}

#[tokio::test]
async fn three_servers_serve_the_whole_limit_however_the_load_is_spread() {
    for limit in [100, 1_000, 10_000] {
        for load in LOADS {
            let world = World::new("t", &[("t", limited(limit))]).await;
            assert_eq!(serve_on_three(&world, limit, load, false).await, limit, "{load:?}");
        }
    }
}

#[tokio::test]
async fn killed_server_loses_less_than_half_a_percent_of_the_limit() {
    for limit in [1_000, 10_000] {
        for load in LOADS {
            let world = World::new("t", &[("t", limited(limit))]).await;
            let served = serve_on_three(&world, limit, load, true).await;
            assert!((limit - limit / 200..=limit).contains(&served), "{served} of {limit}, {load:?}");
        }
    }
}

#[tokio::test]
async fn leases_of_three_servers_are_not_spent_on_the_next_day() {
    let world = World::new("t", &[("t", limited(4_000))]).await;
    let caller = world.caller().await;
    let servers = [server(&world), server(&world), server(&world)];
    let today = world.now_ms();
    for one in &servers {
        assert_eq!(serve(one, &caller, today, 1).await, 1);
    }
    assert_eq!(used(&world, today).await, 30, "three slices of 10");
    let midnight = (day_of(today) + 1) * DAY_MS;
    let mut served = 0;
    for one in &servers {
        served += serve(one, &caller, midnight, 1_000).await;
    }
    assert_eq!((served, used(&world, today).await), (3_000, 3));
    for one in &servers {
        served += serve(one, &caller, midnight + 2_000, 4_000).await;
    }
    assert_eq!((served, used(&world, midnight).await), (4_000, 4_000));
}

/// An event in a deployment of two servers.
#[derive(Debug, Clone, Copy)]
enum Event {
    Requests(usize, u64),
    Crash(usize),
    Restart(usize),
    Tick(usize),
    Store(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..2_usize, 1..20_u64).prop_map(|(server, requests)| Event::Requests(server, requests)),
        1 => (0..2_usize).prop_map(Event::Crash),
        1 => (0..2_usize).prop_map(Event::Restart),
        1 => (0..2_usize).prop_map(Event::Tick),
        1 => any::<bool>().prop_map(Event::Store),
    ]
}

#[test]
fn random_crashes_and_restarts_never_exceed_the_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    proptest!(ProptestConfig::with_cases(16), |(
        limit in 1..300_u64, events in prop::collection::vec(event(), 1..40)
    )| {
        let served = runtime.block_on(async {
            let world = World::new("t", &[("t", limited(limit))]).await;
            let caller = world.caller().await;
            let mut servers = [server(&world), server(&world)];
            let mut served = 0;
            for event in events {
                match event {
                    Event::Requests(at, requests) => {
                        for _ in 0..requests {
                            served += u64::from(servers[at].charge(&caller, world.now_ms()).await.is_ok());
                        }
                    }
                    Event::Crash(at) => servers[at] = server(&world),
                    Event::Restart(at) => {
                        // Fails while the store does not answer.
                        let _ = servers[at].flush().await;
                        servers[at] = server(&world);
                    }
                    Event::Tick(at) => drop(servers[at].tick().await),
                    Event::Store(up) => world.store.set(if up { Mode::Up } else { Mode::Unheard }),
                }
            }
            served
        });
        prop_assert!(served <= limit);
    });
}

#[test]
fn usage_is_exact_after_random_changes_of_tiers_once_servers_have_settled() {
    const LIMITS: [Option<u64>; 4] = [Some(40), Some(700), Some(2_500), None];
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    proptest!(ProptestConfig::with_cases(16), |(
        steps in prop::collection::vec((0..4_usize, 0..2_usize, 1..60_u64), 1..25)
    )| {
        let (served, used) = runtime.block_on(async {
            let tiers: Vec<(&str, Tier)> = NAMES.into_iter().zip(LIMITS).map(|(name, requests_per_day)| {
                (name, Tier { requests_per_day, ..Tier::default() })
            }).collect();
            let world = World::new("a", &tiers).await;
            let servers = [server(&world), server(&world)];
            let mut served = 0;
            for (tier, at, requests) in steps {
                world.set_tier(NAMES[tier]).await;
                let before = served;
                let caller = world.caller().await;
                for _ in 0..requests {
                    if servers[at].charge(&caller, world.now_ms()).await.is_ok() {
                        // A server spends the part of an old lease that is a slice of the new tier.
                        assert!(LIMITS[tier].is_none_or(|limit| served < limit.max(before) + 2 * slice_of(limit)));
                        served += 1;
                    }
                }
                servers[at].tick().await.unwrap();
            }
            for server in &servers {
                server.flush().await.unwrap();
            }
            (served, used(&world, world.now_ms()).await)
        });
        prop_assert_eq!(served, used);
    });
}

#[tokio::test]
async fn organisations_are_created_moved_and_listed() {
    let world = World::new("professional", &[]).await;
    let (store, tiers): (&dyn Store, BTreeMap<_, _>) = (&*world.store, default_tiers());
    let id = OrganisationId(fresh_uuid());
    let create = async |name: &str, tier: &str| {
        super::organisation_create(store, &tiers, id, name, tier, &Change::by_catalog(5)).await
    };
    assert!(matches!(create("no spaces", "premium").await, Err(TenancyError::Name(_))));
    let unknown = create("glacier", "gold").await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "'gold' is not a tier: use one of enterprise, free, premium, professional, or define it in the configuration"
    );
    let made = create("glacier", "premium").await.unwrap();
    assert_eq!((made.id, made.created_ms), (id, 5));
    let change = &Change::by_catalog(6);
    let twice =
        super::organisation_create(store, &tiers, OrganisationId(fresh_uuid()), "glacier", "free", change).await;
    assert!(matches!(twice, Err(TenancyError::AlreadyExists(name)) if name == "glacier"));

    let moved = super::organisation_set_tier(store, &tiers, "glacier", "enterprise", change).await.unwrap();
    assert_eq!(moved.tier, "enterprise");
    assert_eq!(super::organisation_get(store, "glacier").await.unwrap(), moved);
    let nobody = super::organisation_set_tier(store, &tiers, "nobody", "free", change).await;
    assert!(matches!(nobody, Err(TenancyError::NotFound(name)) if name == "nobody"));
    let names: Vec<_> = super::organisation_list(store).await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["acme", "glacier"]);
}

#[tokio::test]
async fn usage_of_today_has_requests_tables_and_limits() {
    let world = World::new("professional", &[]).await;
    let caller = world.caller().await;
    serve(&server(&world), &caller, world.now_ms(), 150).await;
    let usage = super::usage_today(&*world.store, &world.tiers, &world.organisation, world.now_ms()).await.unwrap();
    assert_eq!((usage.requests, usage.requests_per_day), (150, Some(10_000)), "six slices of 25");
    assert_eq!((usage.tables, usage.max_tables, usage.reset_s), (0, None, 43_200));
}
