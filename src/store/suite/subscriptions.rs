//! Subscriptions and dead letters.

use tidewater_core::ids::{OrganisationId, WarehouseId};

use super::fixture::{NOW_MS, Subject, assert_refused, change, organisation};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DeadLetter, EventFilter, FeedScope, Operation, PreviousSecret, Resource, SecretUpdate, StoreError, Subscription,
    SubscriptionFilter, SubscriptionHealth, SubscriptionUpdate,
};

/// Returns a subscription that is not yet stored.
pub(super) fn subscription(scope: FeedScope, name: &str) -> Subscription {
    Subscription {
        id: fresh_uuid(),
        scope,
        name: name.to_owned(),
        url: "https://example.com/hook".to_owned(),
        filter: SubscriptionFilter {
            warehouse: Some(WarehouseId(fresh_uuid())),
            objects: vec!["sales.*".to_owned(), "a.b".to_owned()],
            operations: vec![Operation::UpdateTable, Operation::DropTable],
        },
        sealed_secret: vec![1, 2, 3],
        previous_secret: None,
        created_ms: NOW_MS,
        disabled_ms: None,
        health: SubscriptionHealth::default(),
    }
}

/// Returns a dead letter of a subscription.
pub(super) fn letter(of: &Subscription, event: &str, at_ms: i64) -> DeadLetter {
    DeadLetter {
        scope: of.scope,
        subscription: of.id,
        event: event.to_owned(),
        body: "{}".to_owned(),
        reason: "HTTP 400".to_owned(),
        at_ms,
        replay: false,
    }
}

/// Returns an update of the name alone.
pub(super) fn renamed(name: &str) -> SubscriptionUpdate {
    SubscriptionUpdate { name: Some(name.to_owned()), ..SubscriptionUpdate::default() }
}

pub(in crate::store) async fn subscription_is_found_by_id_before_name(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let own = FeedScope::Organisation(acme.id);
    let (first, second) = (subscription(own, "first"), subscription(own, "second"));
    let all = subscription(FeedScope::All, "first");
    for one in [&first, &second, &all] {
        store.subscription_create(one, 2, &change()).await.unwrap();
    }
    let mut named_like_first = second.clone();
    named_like_first.name = first.id.to_string();
    let (update, operation) = (renamed(&named_like_first.name), Operation::UpdateSubscription);
    store.subscription_update(own, second.id, &update, operation, &change()).await.unwrap();
    for (scope, named, found) in [
        (own, first.id.to_string(), Some(&first)),
        (own, "first".to_owned(), Some(&first)),
        (own, second.id.to_string(), Some(&named_like_first)),
        (own, all.id.to_string(), None),
        (FeedScope::All, "first".to_owned(), Some(&all)),
        (own, "a\0b".to_owned(), None),
    ] {
        assert_eq!(store.subscription_find(scope, &named).await.unwrap().as_ref(), found, "{named}");
    }
}

pub(in crate::store) async fn subscription_is_stored_changed_and_removed_by_its_owner(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let own = FeedScope::Organisation(acme.id);
    let (first, all) = (subscription(own, "first"), subscription(FeedScope::All, "first"));
    store.subscription_create(&first, 2, &change()).await.unwrap();
    store.subscription_create(&all, 2, &change()).await.unwrap();
    let same_name = store.subscription_create(&subscription(own, "first"), 2, &change()).await;
    assert_refused!(same_name, StoreError::AlreadyExists(Resource::Subscription));
    let second = subscription(own, "second");
    store.subscription_create(&second, 2, &change()).await.unwrap();
    let third = store.subscription_create(&subscription(own, "third"), 2, &change()).await;
    assert_refused!(third, StoreError::LimitReached { limit: 2 });
    let nowhere = FeedScope::Organisation(OrganisationId(fresh_uuid()));
    let missing = store.subscription_create(&subscription(nowhere, "x"), 2, &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Organisation));
    assert_eq!(store.subscription_list(own).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.subscription_list(FeedScope::All).await.unwrap(), std::slice::from_ref(&all));
    assert_eq!(store.subscription_list_all().await.unwrap().len(), 3);
    let health = SubscriptionHealth {
        delivered_ms: Some(NOW_MS),
        failing_since_ms: Some(NOW_MS + 1),
        last_error: Some("no answer".to_owned()),
    };
    store.subscription_note(own, first.id, &health).await.unwrap();
    let update = SubscriptionUpdate {
        name: Some("renamed".to_owned()),
        warehouse: Some(None),
        objects: Some(Vec::new()),
        operations: Some(Vec::new()),
        disabled: Some(true),
        secret: Some(SecretUpdate::Rotate { sealed: vec![4], until_ms: NOW_MS + 9 }),
        url: None,
    };
    let operation = Operation::DisableSubscription;
    let updated = store.subscription_update(own, first.id, &update, operation, &change()).await.unwrap();
    let first = Subscription {
        name: "renamed".to_owned(),
        disabled_ms: Some(change().at_ms),
        previous_secret: Some(PreviousSecret { sealed: vec![1, 2, 3], until_ms: NOW_MS + 9 }),
        sealed_secret: vec![4],
        filter: SubscriptionFilter::default(),
        health,
        ..first
    };
    assert_eq!(updated, first);
    assert_eq!(store.subscription_list(own).await.unwrap(), [first.clone(), second.clone()], "by name");
    let taken = SubscriptionUpdate { name: Some("second".to_owned()), ..SubscriptionUpdate::default() };
    let operation = Operation::UpdateSubscription;
    let refused = store.subscription_update(own, first.id, &taken, operation, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::Subscription));
    let missing = store.subscription_update(own, fresh_uuid(), &taken, operation, &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Subscription));
    let elsewhere = store.subscription_delete(FeedScope::All, first.id, &change()).await;
    assert_refused!(elsewhere, StoreError::NotFound(Resource::Subscription));
    store.dead_letter_add(&letter(&first, "e", NOW_MS), 9).await.unwrap();
    store.subscription_delete(own, first.id, &change()).await.unwrap();
    assert_eq!(store.subscription_list(own).await.unwrap(), [second]);
    assert_eq!(store.dead_letter_count().await.unwrap(), 0);
    let events = store.event_list(Some(acme.id), &EventFilter::default(), None, 10).await.unwrap().events;
    let told: Vec<_> = events.iter().map(|event| (event.operation.as_str(), event.object.name.as_str())).collect();
    let expected = [
        ("delete-subscription", "renamed"),
        ("disable-subscription", "renamed"),
        ("create-subscription", "second"),
        ("create-subscription", "first"),
        ("create-organisation", "acme"),
    ];
    assert_eq!(told, expected);
}

pub(in crate::store) async fn concurrent_changes_of_a_subscription_all_stay(store: Subject) {
    let of = subscription(FeedScope::All, "own");
    store.subscription_create(&of, 9, &change()).await.unwrap();
    let plain = SubscriptionUpdate::default;
    let updates = [
        SubscriptionUpdate { name: Some("renamed".to_owned()), ..plain() },
        SubscriptionUpdate { url: Some("https://example.com/new".to_owned()), ..plain() },
        SubscriptionUpdate { warehouse: Some(None), ..plain() },
        SubscriptionUpdate { objects: Some(vec!["z".to_owned()]), ..plain() },
        SubscriptionUpdate { operations: Some(Vec::new()), ..plain() },
        SubscriptionUpdate { disabled: Some(true), ..plain() },
        SubscriptionUpdate { secret: Some(SecretUpdate::Rotate { sealed: vec![9], until_ms: 7 }), ..plain() },
    ];
    let change = change();
    let operation = Operation::UpdateSubscription;
    let all = updates.iter().map(|update| store.subscription_update(of.scope, of.id, update, operation, &change));
    let done = futures_util::future::join_all(all).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let expected = Subscription {
        name: "renamed".to_owned(),
        url: "https://example.com/new".to_owned(),
        filter: SubscriptionFilter { objects: vec!["z".to_owned()], ..SubscriptionFilter::default() },
        disabled_ms: Some(change.at_ms),
        sealed_secret: vec![9],
        previous_secret: Some(PreviousSecret { sealed: of.sealed_secret.clone(), until_ms: 7 }),
        ..of.clone()
    };
    assert_eq!(store.subscription_list(of.scope).await.unwrap(), std::slice::from_ref(&expected));

    let update = async |update: SubscriptionUpdate| {
        store.subscription_update(of.scope, of.id, &update, operation, &change).await.unwrap()
    };
    let reseal = |from: &[u8], to: &[u8]| SubscriptionUpdate {
        secret: Some(SecretUpdate::Reseal { from: from.to_vec(), to: to.to_vec() }),
        ..plain()
    };
    let stale = update(reseal(&of.sealed_secret, &[1])).await;
    assert_eq!(stale, expected, "a rotated secret stays");
    let resealed = update(reseal(&[9], &[10])).await;
    assert_eq!((resealed.sealed_secret, resealed.previous_secret), (vec![10], None));
    let health = SubscriptionHealth { failing_since_ms: Some(5), ..SubscriptionHealth::default() };
    store.subscription_note(of.scope, of.id, &health).await.unwrap();
    let enabled = update(SubscriptionUpdate { disabled: Some(false), ..plain() }).await;
    assert_eq!((enabled.disabled_ms, enabled.health.failing_since_ms), (None, None));
}

pub(in crate::store) async fn dead_letters_are_listed_replayed_and_limited(store: Subject) {
    let own = subscription(FeedScope::All, "own");
    store.subscription_create(&own, 9, &change()).await.unwrap();
    for (event, at_ms) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(store.dead_letter_add(&letter(&own, event, at_ms), 3).await.unwrap(), 0);
    }
    assert_eq!(store.dead_letter_add(&letter(&own, "d", 4), 3).await.unwrap(), 1, "the oldest one goes");
    let list = async |replay, after| {
        let letters = store.dead_letter_list(own.scope, own.id, replay, after, 2).await.unwrap();
        letters.into_iter().map(|letter| letter.event).collect::<Vec<_>>()
    };
    assert_eq!(list(false, None).await, ["b", "c"]);
    assert_eq!(list(false, Some("c")).await, ["d"]);
    assert_eq!(list(true, None).await.len(), 0);
    let some = ["c".to_owned(), "x".to_owned()];
    assert_eq!(store.dead_letter_replay(own.scope, own.id, Some(&some)).await.unwrap(), 1);
    assert_eq!(list(true, None).await, ["c"]);
    assert_eq!(store.dead_letter_replays(9).await.unwrap(), [own.id]);
    let failed = DeadLetter { reason: "HTTP 500".to_owned(), ..letter(&own, "c", 5) };
    store.dead_letter_add(&failed, 3).await.unwrap();
    assert_eq!(store.dead_letter_list(own.scope, own.id, false, Some("b"), 1).await.unwrap(), [failed]);
    assert_eq!(store.dead_letter_replay(own.scope, own.id, None).await.unwrap(), 3);
    assert_eq!(store.dead_letter_remove(own.scope, own.id, Some(&some)).await.unwrap(), 1);
    assert_eq!(store.dead_letter_remove_before(4, 9).await.unwrap(), 1);
    assert_eq!(list(false, None).await, ["d"]);
    let unknown = DeadLetter { subscription: fresh_uuid(), ..letter(&own, "e", 1) };
    store.dead_letter_add(&unknown, 3).await.unwrap();
    assert_eq!(store.dead_letter_count().await.unwrap(), 1, "its subscription is gone");
    assert_eq!(store.dead_letter_remove(own.scope, own.id, None).await.unwrap(), 1);
}
