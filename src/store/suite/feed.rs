//! The feed of events, and its consumers.

use std::time::Duration;

use tidewater_core::ids::OrganisationId;

use super::fixture::{NOW_MS, Subject, change, change_at, organisation};
use crate::base::clock::fresh_uuid;
use crate::store::{Claim, FeedScope, FeedStart};

/// Gives positions to all events, as the background task does.
async fn sequence(store: &Subject) {
    while store.feed_sequence(3).await.unwrap() > 0 {}
}

/// Stores an organisation. Its creation is the first event.
async fn stored_organisation(store: &Subject, name: &str) -> OrganisationId {
    let new = organisation(name);
    store.organisation_create(&new, &change()).await.unwrap();
    new.id
}

/// Leaves an event with a time.
async fn set_tier(store: &Subject, organisation: OrganisationId, at_ms: i64) {
    store.organisation_set_tier(organisation, &format!("tier-{at_ms}"), &change_at(at_ms)).await.unwrap();
}

/// Reads the times of a feed's events after a position in pages, and the last position.
async fn times(store: &Subject, scope: FeedScope, mut after: i64) -> (Vec<i64>, i64) {
    let mut times = Vec::new();
    loop {
        let page = store.feed_read(scope, after, 2).await.unwrap();
        if page.events.is_empty() {
            return (times, after);
        }
        for entry in page.events {
            assert!(entry.position > after, "positions ascend");
            after = entry.position;
            times.push(entry.event.at_ms);
        }
    }
}

pub(in crate::store) async fn feed_has_all_events_of_its_scope_in_order(store: Subject) {
    let (acme, other) = (stored_organisation(&store, "acme").await, stored_organisation(&store, "other").await);
    for at_ms in 1..=5 {
        set_tier(&store, if at_ms % 2 == 0 { other } else { acme }, at_ms).await;
    }
    sequence(&store).await;
    assert_eq!(times(&store, FeedScope::Organisation(acme), 0).await.0, [NOW_MS, 1, 3, 5]);
    assert_eq!(times(&store, FeedScope::Organisation(other), 0).await.0, [NOW_MS, 2, 4]);
    let (all, last) = times(&store, FeedScope::All, 0).await;
    assert_eq!(all, [NOW_MS, NOW_MS, 1, 2, 3, 4, 5]);
    let bounds = store.feed_bounds(FeedScope::Organisation(acme)).await.unwrap();
    assert_eq!((bounds.removed, bounds.latest), (0, last));

    set_tier(&store, acme, 6).await;
    sequence(&store).await;
    assert_eq!(times(&store, FeedScope::All, last).await.0, [6], "a reader continues where it was");
    assert_eq!(store.feed_changed(last, 10).await.unwrap(), [FeedScope::Organisation(acme)]);
    assert!(times(&store, FeedScope::Organisation(OrganisationId(fresh_uuid())), 0).await.0.is_empty());
}

pub(in crate::store) async fn feed_tells_that_events_were_removed(store: Subject) {
    let (acme, other) = (stored_organisation(&store, "acme").await, stored_organisation(&store, "other").await);
    for at_ms in 1..=4 {
        set_tier(&store, acme, at_ms).await;
    }
    sequence(&store).await;
    let scope = FeedScope::Organisation(acme);
    let (_, last) = times(&store, scope, 0).await;
    let (newest_surplus, bound) = {
        let page = store.feed_read(scope, 0, 100).await.unwrap();
        (page.events[2].event.id, page.events[2].position)
    };
    assert_eq!(store.event_remove_up_to(acme, newest_surplus, 2).await.unwrap(), 2);
    assert_eq!(store.event_remove_up_to(acme, newest_surplus, 2).await.unwrap(), 1);
    let removed = async |scope| store.feed_bounds(scope).await.unwrap().removed;
    assert_eq!(removed(scope).await, bound);
    assert_eq!(removed(FeedScope::All).await, bound);
    assert_eq!(removed(FeedScope::Organisation(other)).await, 0, "nothing of another organisation was removed");
    assert_eq!(store.feed_read(scope, 0, 100).await.unwrap().bounds.removed, bound);

    // By age: the events before were removed, and the oldest one left is of the other organisation.
    assert_eq!(store.event_remove_before(NOW_MS + 1, 100).await.unwrap(), 3);
    assert_eq!(removed(scope).await, last);
    assert!(removed(FeedScope::Organisation(other)).await > 0);
    assert_eq!(store.feed_bounds(scope).await.unwrap().latest, last, "the latest position stays without its event");
}

pub(in crate::store) async fn new_consumer_reads_from_its_start(store: Subject) {
    let acme = stored_organisation(&store, "acme").await;
    let scope = FeedScope::Organisation(acme);
    set_tier(&store, acme, 1).await;
    // These events have no position yet.
    let latest = store.consumer_ensure(scope, "latest", FeedStart::Latest).await.unwrap();
    let oldest = store.consumer_ensure(scope, "oldest", FeedStart::Oldest).await.unwrap();
    set_tier(&store, acme, 2).await;
    sequence(&store).await;
    let read = async |consumer: &crate::store::Consumer| {
        let page = store.feed_read(scope, consumer.position, 10).await.unwrap();
        let read = page.events.into_iter().filter(|entry| consumer.reads(&entry.event));
        read.map(|entry| entry.event.at_ms).collect::<Vec<_>>()
    };
    assert_eq!(read(&latest).await, [2]);
    assert_eq!(read(&oldest).await, [NOW_MS, 1, 2]);
    let again = store.consumer_ensure(scope, "latest", FeedStart::Oldest).await.unwrap();
    assert_eq!(again, latest, "an existing consumer stays as it is");
    assert_eq!(store.consumer_list().await.unwrap(), [latest, oldest]);
}

pub(in crate::store) async fn progress_of_a_consumer_is_stored_by_its_holder(store: Subject) {
    let acme = stored_organisation(&store, "acme").await;
    let (scope, holder) = (FeedScope::Organisation(acme), fresh_uuid());
    let claim = async |holder, lease| store.consumer_claim(scope, "c", holder, lease).await.unwrap();
    assert_eq!(claim(holder, LEASE).await, Claim::Missing);
    store.consumer_ensure(scope, "c", FeedStart::Oldest).await.unwrap();
    assert!(!store.consumer_advance(scope, "c", holder, 3, false).await.unwrap(), "nobody holds it");
    let claimed = claim(holder, LEASE).await.held().unwrap();
    assert_eq!((claimed.position, claimed.gaps), (0, 0));
    assert!(claimed.held_until_ms > 0);
    assert!(store.consumer_advance(scope, "c", holder, 3, true).await.unwrap());
    let longer = claim(holder, 2 * LEASE).await.held().unwrap();
    assert_eq!((longer.position, longer.gaps), (3, 1));
    assert!(longer.held_until_ms > claimed.held_until_ms, "the lease is extended");

    assert!(store.consumer_postpone(scope, "c", holder, 2, NOW_MS + 7).await.unwrap());
    let postponed = &store.consumer_list().await.unwrap()[0];
    assert_eq!((postponed.attempts, postponed.retry_ms, postponed.position), (2, NOW_MS + 7, 3));
    let next = fresh_uuid();
    assert!(!store.consumer_postpone(scope, "c", next, 9, 0).await.unwrap());
    assert!(store.consumer_advance(scope, "c", holder, 3, false).await.unwrap());
    assert_eq!(store.consumer_list().await.unwrap()[0].attempts, 0, "progress ends the attempts");
    store.consumer_release(scope, "c", next).await.unwrap();
    assert_eq!(
        store.consumer_list().await.unwrap()[0].held_until_ms,
        longer.held_until_ms,
        "only the holder ends its lease"
    );
    claim(holder, Duration::ZERO).await.held().unwrap();
    let taken = claim(next, LEASE).await.held().unwrap();
    assert_eq!(taken.position, 3, "the lease has ended");
    assert!(!store.consumer_advance(scope, "c", holder, 9, false).await.unwrap(), "another has taken it");
    store.consumer_release(scope, "c", next).await.unwrap();
    assert!(claim(holder, LEASE).await.held().is_some());

    store.consumer_remove(scope, "c").await.unwrap();
    assert_eq!(store.consumer_list().await.unwrap(), []);
}

/// A lease that does not end during a test.
const LEASE: Duration = Duration::from_secs(3_600);

pub(in crate::store) async fn lease_of_a_clock_that_was_ahead_has_ended(store: Subject) {
    const DAYS_MS: i64 = 3 * 86_400_000;
    const DAYS: Duration = Duration::from_secs(3 * 86_400);
    let (scope, ahead_ms) = (FeedScope::All, NOW_MS + DAYS_MS);
    store.consumer_ensure(scope, "c", FeedStart::Oldest).await.unwrap();
    assert!(matches!(store.consumer_claim(scope, "c", fresh_uuid(), DAYS).await.unwrap(), Claim::Held(_)));
    assert!(matches!(store.consumer_claim(scope, "c", fresh_uuid(), LEASE).await.unwrap(), Claim::Held(_)));
    assert!(store.task_claim("sweep", ahead_ms, ahead_ms + 10).await.unwrap());
    assert!(store.task_claim("sweep", NOW_MS, NOW_MS + 10).await.unwrap());
}
