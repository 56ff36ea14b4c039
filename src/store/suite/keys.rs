//! API keys.

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::fixture::{NOW_MS, Subject, assert_refused, change, change_at, digest, key, organisation};
use crate::base::clock::fresh_uuid;
use crate::store::{Resource, StoreError};

pub(in crate::store) async fn key_is_found_by_id_and_by_digest(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    for (name, role) in [("läser 🔑", Role::Reader), ("etl", Role::Writer), ("boss", Role::Admin)] {
        let mut key = key(acme.id, name);
        key.role = role;
        key.expires_ms = (role == Role::Writer).then_some(NOW_MS + 1);
        key.last_used_ms = (role == Role::Admin).then_some(NOW_MS);
        store.key_create(&key, &change()).await.unwrap();
        let found = Some((key.clone(), acme.clone()));
        assert_eq!(store.key_by_id(key.id).await.unwrap(), found);
        assert_eq!(store.key_by_digest(&key.digest).await.unwrap(), found);
    }
    assert_eq!(store.key_by_digest(&digest(0)).await.unwrap(), None);
}

pub(in crate::store) async fn key_of_a_missing_organisation_is_refused(store: Subject) {
    let orphan = key(OrganisationId(fresh_uuid()), "orphan");
    assert_refused!(store.key_create(&orphan, &change()).await, StoreError::NotFound(Resource::Organisation));
    assert_eq!(store.key_by_id(orphan.id).await.unwrap(), None);

    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let first = key(acme.id, "first");
    store.key_create(&first, &change()).await.unwrap();
    let mut same_digest = key(acme.id, "second");
    same_digest.digest = first.digest;
    assert_refused!(store.key_create(&same_digest, &change()).await, StoreError::AlreadyExists(Resource::Key));
    assert_eq!(store.key_list(acme.id).await.unwrap(), [first]);
}

pub(in crate::store) async fn keys_are_listed_oldest_first_including_revoked(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let mut keys = Vec::new();
    for (name, created_ms) in [("third", 3), ("first", 1), ("second", 2)] {
        let mut key = key(acme.id, name);
        key.created_ms = created_ms;
        store.key_create(&key, &change()).await.unwrap();
        keys.push(key);
    }
    store.key_revoke(acme.id, keys[1].id, &change()).await.unwrap();
    let listed = store.key_list(acme.id).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_eq!(listed[0].revoked_ms, Some(NOW_MS));
    assert_eq!(listed[1].revoked_ms, None);
}

pub(in crate::store) async fn second_revocation_keeps_the_first_time(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let key = key(acme.id, "etl");
    store.key_create(&key, &change()).await.unwrap();
    store.key_revoke(acme.id, key.id, &change()).await.unwrap();
    store.key_revoke(acme.id, key.id, &change_at(NOW_MS + 5)).await.unwrap();
    let (by_id, _) = store.key_by_id(key.id).await.unwrap().unwrap();
    let (by_digest, _) = store.key_by_digest(&key.digest).await.unwrap().unwrap();
    assert_eq!(by_id.revoked_ms, Some(NOW_MS));
    assert_eq!(by_digest, by_id, "a revoked key is still found, for a clear message to its holder");
    let missing = store.key_revoke(acme.id, KeyId(fresh_uuid()), &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Key));
}

pub(in crate::store) async fn last_use_of_a_key_never_decreases(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let (used, unused) = (key(acme.id, "used"), key(acme.id, "unused"));
    store.key_create(&used, &change()).await.unwrap();
    store.key_create(&unused, &change()).await.unwrap();
    store.key_touch(&[]).await.unwrap();
    store.key_touch(&[(KeyId(fresh_uuid()), 1), (used.id, NOW_MS + 60_000)]).await.unwrap();
    store.key_touch(&[(used.id, NOW_MS)]).await.unwrap();
    let last_used = async |id| store.key_by_id(id).await.unwrap().unwrap().0.last_used_ms;
    assert_eq!(last_used(used.id).await, Some(NOW_MS + 60_000));
    assert_eq!(last_used(unused.id).await, None);
}
