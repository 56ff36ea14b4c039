//! Tests of authentication with an API key: accepted and refused keys, reads of the database, and the delay of changes.

use std::sync::Arc;

use proptest::prelude::*;
use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;

use crate::auth::key::key_text;
use crate::auth::testing::{Mode, World, bearer, organisation};
use crate::auth::{
    AuthError, AuthSettings, Authenticator, Caller, CredentialSource, IssueError, LastCredential, NewKey, entropy,
    issue_key,
};
use crate::background::Runner;
use crate::base::clock::fresh_uuid;
use crate::store::{Change, Resource, Store, StoreError};

async fn try_key(server: &Authenticator, text: &str) -> Result<Arc<Caller>, AuthError> {
    server.authenticate(Some(bearer(text).as_bytes()), CredentialSource::default()).await
}

/// Returns whether the error is the caller's: another credential is needed. Other errors are for the operator.
fn is_callers(error: &AuthError) -> bool {
    !matches!(error, AuthError::Unavailable(_) | AuthError::NoEntropy(_))
}

/// Runs the background tasks to their end.
async fn let_background_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn valid_key_returns_its_caller() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Writer, None).await;
    let caller = try_key(&world.server(), &text).await.unwrap();
    assert_eq!(caller.organisation(), world.organisation.id);
    assert_eq!(caller.organisation_name(), "acme");
    assert_eq!(caller.key(), key.id);
    assert_eq!(caller.role(), Role::Writer);
    assert_eq!(caller.tier_name(), "premium");
    assert_eq!(caller.tier().requests_per_day, Some(100_000));
}

#[tokio::test]
async fn cached_key_needs_no_database() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    try_key(&server, &text).await.unwrap();
    let asked = world.store.total_call_count();
    for _ in 0..1_000 {
        try_key(&server, &text).await.unwrap();
    }
    assert_eq!(world.store.total_call_count(), asked);
}

#[tokio::test]
async fn change_of_one_organisation_leaves_the_keys_of_others_known() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    try_key(&server, &text).await.unwrap();
    let other = organisation("other", "premium");
    world.store.organisation_create(&other, &Change::by_catalog(0)).await.unwrap();
    let (key, _) = world.key_of(other.id, Role::Reader, None).await;
    world.store.key_revoke(other.id, key.id, &Change::by_catalog(0)).await.unwrap();
    try_key(&server, &text).await.unwrap();
    assert_eq!(world.store.call_count("key_by_digest"), 1);
    world.set_tier("professional").await;
    assert_eq!(try_key(&server, &text).await.unwrap().tier_name(), "professional");
    assert_eq!(world.store.call_count("key_by_digest"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_look_up_a_key_once() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    for round in 1..=3 {
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let (server, text) = (Arc::clone(&server), text.clone());
                tokio::spawn(async move { try_key(&server, &text).await.map(|_| ()) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(world.store.call_count("key_by_digest"), round);
        world.advance(2_000);
    }
}

#[tokio::test]
async fn revoked_key_is_refused_at_once_by_every_server() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Reader, None).await;
    let servers = [world.server(), world.server()];
    let mut callers = Vec::new();
    for server in &servers {
        callers.push(try_key(server, &text).await.unwrap());
    }
    assert!(callers.iter().all(|caller| caller.is_current()));
    world.store.key_revoke(world.organisation.id, key.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    assert!(callers.iter().all(|caller| !caller.is_current()));
    for server in &servers {
        assert!(matches!(try_key(server, &text).await, Err(AuthError::RevokedKey(_))));
    }
}

#[tokio::test]
async fn key_in_use_is_looked_up_in_the_background() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    try_key(&server, &text).await.unwrap();
    world.advance(1_000);
    for _ in 0..100 {
        assert!(try_key(&server, &text).await.is_ok());
    }
    assert_eq!(world.store.call_count("key_by_digest"), 1, "nobody waits");
    let_background_run().await;
    assert_eq!(world.store.call_count("key_by_digest"), 2, "one asked for all");
    world.advance(1_999);
    try_key(&server, &text).await.unwrap();
    assert_eq!(world.store.call_count("key_by_digest"), 2, "the answer of the background is known");
}

#[tokio::test]
async fn expired_key_is_refused_from_the_exact_millisecond() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, Some(world.now_ms() + 500)).await;
    let server = world.server();
    world.advance(499);
    assert!(try_key(&server, &text).await.is_ok());
    world.advance(1);
    assert!(matches!(try_key(&server, &text).await, Err(AuthError::ExpiredKey(_))));
}

#[tokio::test]
async fn revoked_key_is_refused_after_the_clock_was_set_back() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    try_key(&server, &text).await.unwrap();
    world.store.key_revoke(world.organisation.id, key.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    world.advance(-3_600_000);
    assert!(matches!(try_key(&server, &text).await, Err(AuthError::RevokedKey(_))));
}

#[tokio::test]
async fn refusals_name_the_reason_and_not_the_credential() {
    let world = World::new("premium", &[]).await;
    let (_, good) = world.key(Role::Reader, None).await;
    let server = world.server();
    let unknown = key_text(&[9; 32]).expose().clone();
    let mut mistyped = good.clone();
    mistyped.replace_range(10..11, if &good[10..11] == "A" { "B" } else { "A" });
    let cut_off = &good[..good.len() - 1];
    let cases: Vec<(Option<String>, &str)> = vec![
        (None, "no credential"),
        (Some("Bearer None".to_owned()), "sent a placeholder"),
        (Some("Bearer ".to_owned()), "holds no credential"),
        (Some(good.clone()), "send 'Authorization: Bearer'"),
        (Some(bearer(&unknown)), "unknown API key"),
        (Some(bearer(&mistyped)), "typing mistake"),
        (Some(bearer(cut_off)), "copy the whole key"),
        (Some(bearer("hello")), "neither an API key"),
        (Some(bearer("a.b.c")), "cannot be read"),
    ];
    for (header, expected) in cases {
        let error =
            server.authenticate(header.as_deref().map(str::as_bytes), CredentialSource::default()).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(expected), "{header:?}: {said}");
        assert!(is_callers(&error));
        let secret = header.and_then(|header| header.split_once(' ').map(|(_, secret)| secret.to_owned()));
        if let Some(secret) = secret.filter(|secret| secret.len() > 8) {
            assert!(!said.contains(&secret), "{said}");
        }
    }
}

#[tokio::test]
async fn organisation_of_an_unknown_tier_is_served_by_the_smallest_with_the_catalog() {
    let world = World::new("gold", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let caller = try_key(&world.server(), &text).await.unwrap();
    assert_eq!((caller.tier_name(), caller.tier().requests_per_day), ("professional", Some(10_000)));
}

#[tokio::test]
async fn changed_tier_settings_apply_to_the_next_request() {
    let world = World::new("gold", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let old = world.server();
    assert_eq!(try_key(&old, &text).await.unwrap().tier_name(), "professional");
    let mut tiers = world.tiers.clone();
    tiers.insert("gold".to_owned(), crate::auth::testing::limited(7));
    let new = old.with_settings(&tiers, &AuthSettings::default());
    let caller = try_key(&new, &text).await.unwrap();
    assert_eq!((caller.tier_name(), caller.tier().requests_per_day), ("gold", Some(7)));
    old.flush().await.unwrap();
    let written = world.store.key_list(world.organisation.id).await.unwrap();
    assert!(written.iter().all(|key| key.last_used_ms.is_some()), "uses are written by whichever runs");
}

#[tokio::test]
async fn changed_tier_of_an_organisation_applies_within_two_seconds() {
    let world = World::new("professional", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    assert_eq!(try_key(&server, &text).await.unwrap().tier_name(), "professional");
    world.set_tier("enterprise").await;
    world.advance(2_000);
    assert_eq!(try_key(&server, &text).await.unwrap().tier_name(), "enterprise");
}

#[tokio::test]
async fn cached_keys_work_for_two_seconds_without_the_database() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    try_key(&server, &text).await.unwrap();
    world.store.set(Mode::Down);
    world.advance(1_999);
    assert!(try_key(&server, &text).await.is_ok());
    let_background_run().await;
    world.advance(1);
    assert!(matches!(try_key(&server, &text).await, Err(AuthError::Unavailable(_))));
    world.store.set(Mode::Up);
    assert!(try_key(&server, &text).await.is_ok(), "a failure is not remembered");
}

#[tokio::test]
async fn concurrent_requests_share_a_failed_look_up() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    world.store.set(Mode::Down);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (server, text) = (Arc::clone(&server), text.clone());
            tokio::spawn(async move { try_key(&server, &text).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Err(AuthError::Unavailable(_))));
    }
    assert_eq!(world.store.call_count("key_by_digest"), 1);
}

#[tokio::test]
async fn invalid_credentials_neither_fill_memory_nor_evict_keys() {
    let world = World::new("premium", &[]).await;
    let (_, good) = world.key(Role::Reader, None).await;
    let store: Arc<dyn Store> = world.store.clone();
    let server = Authenticator::remembering(200, store, &world.tiers, world.clock(), &AuthSettings::default());
    for _ in 0..3 {
        try_key(&server, &good).await.unwrap();
    }
    for number in 0..2_000_u32 {
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_le_bytes());
        let rubbish = key_text(&random);
        assert!(matches!(try_key(&server, rubbish.expose()).await, Err(AuthError::UnknownKey)));
        assert!(try_key(&server, &format!("x{number}.y.z")).await.is_err());
    }
    assert!(server.remembered_now() <= 200, "{}", server.remembered_now());
    let asked = world.store.call_count("key_by_digest");
    try_key(&server, &good).await.unwrap();
    assert_eq!(world.store.call_count("key_by_digest"), asked);
}

#[tokio::test]
async fn last_use_of_a_key_is_written_by_a_flush() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    world.key(Role::Reader, None).await;
    let server = world.server();
    let last_used = async || {
        let keys = world.store.key_list(world.organisation.id).await.unwrap();
        keys.into_iter().map(|key| key.last_used_ms).collect::<Vec<_>>()
    };
    for _ in 0..10 {
        try_key(&server, &text).await.unwrap();
    }
    assert_eq!(last_used().await, [None, None], "nothing is written on the way");
    world.store.set(Mode::Down);
    assert!(server.flush().await.is_err());
    world.store.set(Mode::Up);
    server.flush().await.unwrap();
    assert_eq!(last_used().await, [Some(world.now_ms()), None]);
    world.advance(60_000);
    try_key(&server, &text).await.unwrap();
    server.maintain().await.unwrap();
    assert_eq!(last_used().await, [Some(world.now_ms()), None]);
    let touched = world.store.call_count("key_touch");
    server.flush().await.unwrap();
    assert_eq!(world.store.call_count("key_touch"), touched, "nothing new, nothing written");
}

#[tokio::test(start_paused = true)]
async fn uses_are_written_every_minute_and_at_the_end() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Reader, None).await;
    let server = world.server();
    let runner = Runner::new(world.clock(), 1);
    runner.start(server.task());
    let_background_run().await;
    try_key(&server, &text).await.unwrap();
    assert_eq!(world.store.call_count("key_touch"), 0);
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    while world.store.call_count("key_touch") == 0 {
        tokio::task::yield_now().await;
    }
    world.advance(20_000);
    try_key(&server, &text).await.unwrap();
    tokio::time::resume();
    runner.stop(std::time::Duration::from_secs(10)).await.unwrap();
    let keys = world.store.key_list(world.organisation.id).await.unwrap();
    assert_eq!(keys[0].last_used_ms, Some(world.now_ms()));
}

#[tokio::test]
async fn store_has_only_the_digest_of_a_key_and_invalid_new_keys_are_refused() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Reader, None).await;
    assert_eq!(world.store.key_by_digest(&crate::auth::key::digest(text.as_bytes())).await.unwrap().unwrap().0, key);
    let order = async |owner, name: &str, expires_ms| {
        let new = NewKey { name, role: Role::Reader, no_delete: false, expires_ms };
        issue_key(&*world.store, owner, &new, &Change::by_catalog(world.now_ms()), &entropy().unwrap()).await
    };
    let acme = world.organisation.id;
    assert!(matches!(order(acme, "", None).await, Err(IssueError::Name(_))));
    assert!(matches!(order(acme, "ci", Some(world.now_ms())).await, Err(IssueError::ExpiresInThePast)));
    let nobody = OrganisationId(fresh_uuid());
    let refused = order(nobody, "ci", None).await;
    assert!(matches!(refused, Err(IssueError::Store(StoreError::NotFound(Resource::Organisation)))));
}

#[test]
fn random_header_is_refused_without_a_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let world = runtime.block_on(World::new("premium", &[]));
    let server = world.server();
    let pieces = prop_oneof![
        any::<Vec<u8>>(),
        "flx_[A-Za-z0-9_-]{48}".prop_map(String::into_bytes),
        "(eyJ[A-Za-z0-9_-]{0,40}\\.){2}[A-Za-z0-9_-]{43}".prop_map(String::into_bytes),
    ];
    proptest!(|(scheme in "(Bearer |bearer\t|Basic |)", rest in pieces)| {
        let header = [scheme.as_bytes(), &rest].concat();
        let refused = runtime.block_on(server.authenticate(Some(&header), CredentialSource::default()));
        prop_assert!(refused.is_err_and(|error| is_callers(&error)));
    });
}

fn over(last: &LastCredential) -> CredentialSource<'_> {
    CredentialSource { last: Some(last), ..CredentialSource::default() }
}

#[tokio::test]
async fn another_key_on_a_connection_returns_its_own_caller() {
    let world = World::new("premium", &[]).await;
    let (one, one_text) = world.key(Role::Reader, None).await;
    let (other, other_text) = world.key(Role::Writer, None).await;
    let (server, last) = (world.server(), LastCredential::default());
    let again =
        async |text: &str| server.authenticate_again(Some(bearer(text).as_bytes()), over(&last), world.now_ms()).await;
    for (text, key) in [(&one_text, one.id), (&one_text, one.id), (&other_text, other.id), (&one_text, one.id)] {
        assert_eq!(again(text).await.unwrap().key(), key);
    }
    assert!(matches!(again("flx_rubbish").await, Err(AuthError::KeyFormat(_))));
    assert_eq!(again(&one_text).await.unwrap().key(), one.id);
    let missing = server.authenticate_again(None, over(&last), world.now_ms()).await;
    assert!(matches!(missing, Err(AuthError::Missing)));
}

#[tokio::test]
async fn revoked_key_is_refused_on_a_connection_that_used_it_before() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Reader, None).await;
    let (server, last) = (world.server(), LastCredential::default());
    let again = async || server.authenticate_again(Some(bearer(&text).as_bytes()), over(&last), world.now_ms()).await;
    again().await.unwrap();
    again().await.unwrap();
    world.store.key_revoke(world.organisation.id, key.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    world.advance(2_000);
    assert!(matches!(again().await, Err(AuthError::RevokedKey(_))));
}

#[tokio::test]
async fn credential_of_a_connection_is_checked_again_after_a_reload() {
    let world = World::new("premium", &[]).await;
    let (key, text) = world.key(Role::Reader, None).await;
    let (server, last) = (world.server(), LastCredential::default());
    let header = bearer(&text);
    server.authenticate_again(Some(header.as_bytes()), over(&last), world.now_ms()).await.unwrap();
    let other = world.server();
    let asked = world.store.total_call_count();
    let caller = other.authenticate_again(Some(header.as_bytes()), over(&last), world.now_ms()).await.unwrap();
    assert_eq!(caller.key(), key.id);
    assert!(world.store.total_call_count() > asked, "it asks the store itself");
}
