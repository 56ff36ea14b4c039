//! Keys that sign tokens.

use super::fixture::{NOW_MS, Subject, assert_refused, change, signing_key};
use crate::store::{Resource, StoreError};

pub(in crate::store) async fn signing_keys_are_listed_newest_first(store: Subject) {
    for created_ms in [2, 3, 1] {
        store.signing_key_add(&signing_key(&format!("k{created_ms}"), created_ms), false, &change()).await.unwrap();
    }
    let keys = store.signing_key_list().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k3", "k2", "k1"]);
    assert_eq!(keys[0].secret.expose(), &[3; 32]);
    let again = store.signing_key_add(&signing_key("k3", 9), false, &change()).await;
    assert_refused!(again, StoreError::AlreadyExists(Resource::Key));
}

pub(in crate::store) async fn conditional_add_keeps_an_existing_signing_key(store: Subject) {
    let first = store.signing_key_add(&signing_key("first", 1), true, &change()).await.unwrap();
    assert_eq!(first.len(), 1);
    let second = store.signing_key_add(&signing_key("second", 2), true, &change()).await.unwrap();
    assert_eq!(second.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["first"]);
    let rotated = store.signing_key_add(&signing_key("third", 3), false, &change()).await.unwrap();
    assert_eq!(rotated.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["third", "first"]);
}

pub(in crate::store) async fn old_signing_keys_are_removed_except_the_newest(store: Subject) {
    assert_eq!(store.signing_key_remove_before(NOW_MS, &change()).await.unwrap(), 0);
    for created_ms in [1, 2, 3] {
        store.signing_key_add(&signing_key(&format!("k{created_ms}"), created_ms), false, &change()).await.unwrap();
    }
    assert_eq!(store.signing_key_remove_before(2, &change()).await.unwrap(), 1, "a key of exactly that time stays");
    assert_eq!(store.signing_key_remove_before(NOW_MS, &change()).await.unwrap(), 1);
    let left = store.signing_key_list().await.unwrap();
    assert_eq!(left.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k3"]);
}
