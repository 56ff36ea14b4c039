//! Tests of tokens: accepted tokens, all kinds of forged ones, and the rotation of the signing keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::auth::testing::{World, bearer, organisation};
use crate::auth::token::{AUDIENCE, Claims, ISSUER, LEEWAY_MS, MAX_TOKEN_BYTES, Subject, TokenError};
use crate::auth::{
    ACTIVE_AFTER_MS, AuthError, Authenticator, Caller, CredentialSource, MAX_TOKEN_LIFETIME_MS, OlderKeys,
};
use crate::base::secret::Secret;
use crate::store::{ApiKey, Change, SigningKey};

const HOUR_MS: i64 = 3_600_000;

async fn present(server: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthError> {
    server.authenticate(Some(bearer(token).as_bytes()), CredentialSource::default()).await
}

async fn refusal(server: &Authenticator, token: &str) -> TokenError {
    match present(server, token).await {
        Err(AuthError::Token(error)) => error,
        other => panic!("not refused as a token: {other:?}"),
    }
}

fn claims_for(key: &ApiKey, role: Role, now_ms: i64) -> Claims {
    let (subject, organisation) = (Subject::Key(key.id), key.organisation);
    let (selected, engine) = (None, None);
    let expires_ms = now_ms + HOUR_MS;
    Claims { subject, organisation, role, selected, engine, signed_in_ms: now_ms, issued_ms: now_ms, expires_ms }
}

async fn genuine(server: &Authenticator, claims: &Claims) -> String {
    server.signing.sign(claims, claims.issued_ms).await.unwrap().expose().clone()
}

async fn signing_key(world: &World) -> SigningKey {
    world.store.signing_key_list().await.unwrap().remove(0)
}

/// Returns a token's serialized claims, for a test to change.
fn wire(key: &ApiKey, now_ms: i64) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": key.id, "org": key.organisation, "role": "writer",
        "iat": now_ms / 1_000, "exp": (now_ms + HOUR_MS) / 1_000,
    })
}

/// Returns a token that an attacker with `secret` could sign.
fn forged(algorithm: Algorithm, kid: Option<&str>, secret: &[u8], claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn base64(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn valid_token_returns_its_caller_and_is_verified_once() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let server = world.server();
    let token = genuine(&server, &claims_for(&key, Role::Writer, world.now_ms())).await;
    let caller = present(&server, &token).await.unwrap();
    assert_eq!((caller.key(), caller.organisation(), caller.role()), (key.id, key.organisation, Role::Writer));
    let asked = world.store.total_call_count();
    for _ in 0..1_000 {
        present(&server, &token).await.unwrap();
    }
    assert_eq!(world.store.total_call_count(), asked, "a token in use needs no database");
    let other = world.server();
    assert!(present(&other, &token).await.is_ok(), "another server of the deployment takes it");
}

#[tokio::test]
async fn token_with_another_algorithm_is_refused() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let server = world.server();
    server.prepare().await.unwrap();
    let signer = signing_key(&world).await;
    let claims = wire(&key, world.now_ms());
    let good = forged(Algorithm::HS256, Some(&signer.id), signer.secret.expose(), &claims);
    assert!(present(&server, &good).await.is_ok(), "the forger's tools work");
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = forged(algorithm, Some(&signer.id), signer.secret.expose(), &claims);
        assert_eq!(refusal(&server, &token).await, TokenError::Algorithm);
    }
    let signature = good.rsplit('.').next().unwrap();
    for alg in ["none", "None", "NONE", "nOnE", "hs256", "", "RS256", "ES256", "EdDSA", "HS256 "] {
        let header = base64(&json!({"alg": alg, "typ": "JWT", "kid": signer.id}));
        for signature in ["", signature] {
            let token = format!("{header}.{}.{signature}", base64(&claims));
            assert_eq!(refusal(&server, &token).await, TokenError::Algorithm, "{alg}");
        }
    }
    let unsigned = good.trim_end_matches(signature);
    assert_eq!(refusal(&server, unsigned).await, TokenError::Signature, "the right header, no signature");
    for header in [json!({"kid": signer.id}), json!({"alg": null}), json!({"alg": ["HS256"]}), json!([])] {
        let token = format!("{}.{}.{signature}", base64(&header), base64(&claims));
        assert_eq!(refusal(&server, &token).await, TokenError::Malformed);
    }
}

#[tokio::test]
async fn token_of_an_unknown_signing_key_is_refused() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let server = world.server();
    server.prepare().await.unwrap();
    let signer = signing_key(&world).await;
    let claims = wire(&key, world.now_ms());
    let elsewhere = World::new("premium", &[]).await;
    elsewhere.server().prepare().await.unwrap();
    let foreign = signing_key(&elsewhere).await;

    let sign = |kid: Option<&str>, secret: &[u8]| forged(Algorithm::HS256, kid, secret, &claims);
    assert_eq!(refusal(&server, &sign(Some(&foreign.id), foreign.secret.expose())).await, TokenError::UnknownSigner);
    assert_eq!(refusal(&server, &sign(Some(&signer.id), foreign.secret.expose())).await, TokenError::Signature);
    assert_eq!(refusal(&server, &sign(Some(&signer.id), b"")).await, TokenError::Signature);
    assert_eq!(refusal(&server, &sign(Some(&signer.id), signer.id.as_bytes())).await, TokenError::Signature);
    for kid in [None, Some(""), Some("../../dev/null"), Some("' OR 1=1 --"), Some("https://evil.example/jwks")] {
        assert_eq!(refusal(&server, &sign(kid, signer.secret.expose())).await, TokenError::UnknownSigner, "{kid:?}");
    }
    let mut header = Header { kid: Some("x".to_owned()), ..Header::new(Algorithm::HS256) };
    header.jku = Some("https://evil.example/jwks".to_owned());
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"evil")).unwrap();
    assert_eq!(refusal(&server, &token).await, TokenError::UnknownSigner, "no key is fetched");
}

#[tokio::test]
async fn token_with_a_missing_or_wrong_claim_is_refused() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let other = organisation("other", "premium");
    world.store.organisation_create(&other, &Change::by_catalog(0)).await.unwrap();
    let server = world.server();
    server.prepare().await.unwrap();
    let signer = signing_key(&world).await;
    let good = wire(&key, world.now_ms());
    let sign = |claims: &Value| forged(Algorithm::HS256, Some(&signer.id), signer.secret.expose(), claims);
    for name in ["iss", "aud", "sub", "org", "role", "iat", "exp"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(refusal(&server, &sign(&claims)).await, TokenError::Malformed, "without {name}");
    }
    let now_s = world.now_ms() / 1_000;
    let spoilt = [
        ("iss", json!("tidewater2"), TokenError::NotForUs),
        ("aud", json!("another-service"), TokenError::NotForUs),
        ("iss", json!([ISSUER, "evil"]), TokenError::Malformed),
        ("aud", json!([AUDIENCE, "another-service"]), TokenError::Malformed),
        ("role", json!("root"), TokenError::Malformed),
        ("role", json!(["admin"]), TokenError::Malformed),
        ("exp", json!("tomorrow"), TokenError::Malformed),
        ("exp", json!(1.0e300), TokenError::Malformed),
        ("exp", json!(i64::MIN), TokenError::Expired),
        ("exp", json!(now_s - 11), TokenError::Expired),
        ("iat", json!(now_s + 11), TokenError::NotYet),
        ("iat", json!(i64::MAX), TokenError::NotYet),
        ("nbf", json!(now_s + 11), TokenError::NotYet),
        ("sub", json!("admin"), TokenError::Malformed),
        ("sub", json!(crate::base::clock::fresh_uuid()), TokenError::UnknownKey),
        ("org", json!(other.id), TokenError::UnknownKey),
    ];
    for (name, value, expected) in spoilt {
        let mut claims = good.clone();
        claims[name] = value.clone();
        assert_eq!(refusal(&server, &sign(&claims)).await, expected, "{name} = {value}");
    }
    for claims in [json!([]), json!("x"), json!(null)] {
        assert_eq!(refusal(&server, &sign(&claims)).await, TokenError::Malformed);
    }
}

#[tokio::test]
async fn expired_token_is_refused_after_the_clock_tolerance() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let server = world.server();
    let token = genuine(&server, &claims_for(&key, Role::Writer, world.now_ms())).await;
    world.advance(-LEEWAY_MS);
    assert!(present(&server, &token).await.is_ok(), "another server's clock may be behind");
    world.advance(-1);
    assert_eq!(refusal(&server, &token).await, TokenError::NotYet);
    world.advance(1 + LEEWAY_MS + HOUR_MS + LEEWAY_MS - 1);
    assert!(present(&server, &token).await.is_ok());
    world.advance(1);
    assert_eq!(refusal(&server, &token).await, TokenError::Expired, "though it was seen before");
    assert_eq!(refusal(&world.server(), &token).await, TokenError::Expired);
}

#[tokio::test]
async fn token_of_an_expired_or_revoked_key_is_refused() {
    let world = World::new("premium", &[]).await;
    let (revoked, _) = world.key(Role::Writer, None).await;
    let (expiring, _) = world.key(Role::Writer, Some(world.now_ms() + 5_000)).await;
    let server = world.server();
    let of_revoked = genuine(&server, &claims_for(&revoked, Role::Writer, world.now_ms())).await;
    let of_expiring = genuine(&server, &claims_for(&expiring, Role::Writer, world.now_ms())).await;
    assert!(present(&server, &of_revoked).await.is_ok());
    assert!(present(&server, &of_expiring).await.is_ok());
    world.store.key_revoke(world.organisation.id, revoked.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    world.advance(2_000);
    assert!(matches!(present(&server, &of_revoked).await, Err(AuthError::RevokedKey(_))));
    world.advance(3_000);
    assert!(matches!(present(&server, &of_expiring).await, Err(AuthError::ExpiredKey(_))));
}

#[tokio::test]
async fn token_has_at_most_its_keys_role() {
    let world = World::new("premium", &[]).await;
    let (reader, _) = world.key(Role::Reader, None).await;
    let (admin, _) = world.key(Role::Admin, None).await;
    let server = world.server();
    let raised = genuine(&server, &claims_for(&reader, Role::Admin, world.now_ms())).await;
    assert_eq!(present(&server, &raised).await.unwrap().role(), Role::Reader);
    let lowered = genuine(&server, &claims_for(&admin, Role::Reader, world.now_ms())).await;
    assert_eq!(present(&server, &lowered).await.unwrap().role(), Role::Reader);
}

#[test]
fn changed_token_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let world = runtime.block_on(World::new("premium", &[]));
    let server = world.server();
    let token = runtime.block_on(async {
        let (key, _) = world.key(Role::Writer, None).await;
        genuine(&server, &claims_for(&key, Role::Writer, world.now_ms())).await
    });
    for end in 0..token.len() {
        assert!(runtime.block_on(present(&server, &token[..end])).is_err(), "cut off at {end}");
    }
    let change = proptest::sample::select((b'!'..=b'~').collect::<Vec<_>>());
    proptest!(|(at in 0..token.len(), change in change)| {
        let mut spoilt = token.clone().into_bytes();
        prop_assume!(spoilt[at] != change);
        spoilt[at] = change;
        let spoilt = String::from_utf8(spoilt)?;
        prop_assert!(runtime.block_on(present(&server, &spoilt)).is_err());
    });
    for longer in [format!("{token}A"), format!("{token}."), format!("{token}.{token}"), format!("A{token}")] {
        assert!(runtime.block_on(present(&server, &longer)).is_err());
    }
}

#[tokio::test]
async fn token_beyond_the_maximum_length_is_refused() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let server = world.server();
    server.prepare().await.unwrap();
    let signer = signing_key(&world).await;
    let mut claims = wire(&key, world.now_ms());
    claims["padding"] = json!("x".repeat(MAX_TOKEN_BYTES));
    let token = forged(Algorithm::HS256, Some(&signer.id), signer.secret.expose(), &claims);
    assert_eq!(refusal(&server, &token).await, TokenError::Malformed);
    let endless = "A".repeat(1 << 20);
    assert!(matches!(present(&server, &endless).await, Err(AuthError::Header(_))));
}

#[tokio::test]
async fn servers_that_start_together_use_one_signing_key() {
    let world = World::new("premium", &[]).await;
    let servers: Vec<_> = (0..8).map(|_| world.server()).collect();
    let tasks: Vec<_> = servers
        .iter()
        .map(|server| {
            let server = Arc::clone(server);
            tokio::spawn(async move { server.prepare().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.store.signing_key_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_stay_valid_during_a_rotation() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let (here, there) = (world.server(), world.server());
    let sign = async |server: &Authenticator| genuine(server, &claims_for(&key, Role::Writer, world.now_ms())).await;
    let before = sign(&here).await;
    assert!(present(&there, &before).await.is_ok());
    let first = signing_key(&world).await.id;
    world.advance(HOUR_MS);
    here.rotate_signing_key(OlderKeys::Retire, &Change::by_catalog(world.now_ms())).await.unwrap();
    let second = signing_key(&world).await.id;
    assert_ne!(first, second);

    let signer = |token: &str| crate::auth::token::signer_of(token.as_bytes()).unwrap();
    assert_eq!(signer(&sign(&here).await), first, "until every server knows the new key, the old one signs");
    there.maintain().await.unwrap();
    world.advance(ACTIVE_AFTER_MS);
    let after = sign(&here).await;
    assert_eq!(signer(&after), second);
    let listed = world.store.call_count("signing_key_list");
    assert!(present(&there, &after).await.is_ok());
    assert_eq!(world.store.call_count("signing_key_list"), listed, "the other server knew it already");

    world.advance(MAX_TOKEN_LIFETIME_MS);
    here.maintain().await.unwrap();
    assert_eq!(world.store.signing_key_list().await.unwrap().len(), 2, "a token of the old key may still be good");
    world.advance(10 * 60_000);
    here.maintain().await.unwrap();
    let left: Vec<_> = world.store.signing_key_list().await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [second]);
}

#[tokio::test]
async fn tokens_of_a_removed_signing_key_are_refused_at_once() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let (here, there) = (world.server(), world.server());
    let old = genuine(&here, &claims_for(&key, Role::Writer, world.now_ms())).await;
    assert!(present(&here, &old).await.is_ok() && present(&there, &old).await.is_ok());
    here.rotate_signing_key(OlderKeys::Remove, &Change::by_catalog(world.now_ms())).await.unwrap();
    assert_eq!(refusal(&here, &old).await, TokenError::UnknownSigner, "though it was seen before");
    there.maintain().await.unwrap();
    assert_eq!(refusal(&there, &old).await, TokenError::UnknownSigner);
    let new = genuine(&here, &claims_for(&key, Role::Writer, world.now_ms())).await;
    assert!(present(&there, &new).await.is_ok());
}

#[tokio::test]
async fn unknown_signing_keys_cause_at_most_one_read_per_second() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Writer, None).await;
    let (here, there) = (world.server(), world.server());
    here.prepare().await.unwrap();
    there.prepare().await.unwrap();
    let listed = world.store.call_count("signing_key_list");
    let claims = wire(&key, world.now_ms());
    for number in 0..500 {
        let token = forged(Algorithm::HS256, Some(&format!("invented-{number}")), b"evil", &claims);
        assert_eq!(refusal(&there, &token).await, TokenError::UnknownSigner);
    }
    assert_eq!(world.store.call_count("signing_key_list"), listed + 1);
    assert_eq!(there.remembered_now(), 0, "forgeries are not remembered");

    let second = SigningKey { id: "second".to_owned(), secret: Secret::new([5; 32]), created_ms: world.now_ms() + 1 };
    world.store.signing_key_add(&second, false, &Change::by_catalog(0)).await.unwrap();
    world.advance(1_000);
    let token = forged(Algorithm::HS256, Some("second"), second.secret.expose(), &claims);
    assert!(present(&there, &token).await.is_ok(), "a key that another server added is found");
}
