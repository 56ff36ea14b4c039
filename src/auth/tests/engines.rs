//! Tests of trusted engines: tokens of a user through an engine.

use std::sync::Arc;

use tidewater_core::access::Role;

use super::sign_in::{EXCHANGE, TOKEN_TYPE, basic, refusal, sign_in};
use crate::auth::testing::{World, bearer, organisation};
use crate::auth::token::TokenError;
use crate::auth::{AuthError, Authenticator, Caller, CredentialSource, OAuthErrorKind};
use crate::store::{AdministrationStore, ApiKey, Change, KeyUpdate};

async fn allow(world: &World, key: &ApiKey, acts_for_users: bool) {
    let update = KeyUpdate { acts_for_users: Some(acts_for_users), ..KeyUpdate::default() };
    world.store.key_update(key.organisation, key.id, &update, &Change::by_catalog(0)).await.unwrap();
}

async fn engine(world: &World) -> (ApiKey, String) {
    let (key, text) = world.key(Role::Writer, None).await;
    allow(world, &key, true).await;
    (key, text)
}

async fn token(server: &Authenticator, key: &str) -> String {
    let body = format!("grant_type=client_credentials&client_secret={key}");
    sign_in(server, &body, None).await.unwrap().access_token.expose().clone()
}

fn exchange(subject: &str) -> String {
    format!("{EXCHANGE}&subject_token={subject}&{TOKEN_TYPE}")
}

async fn present(server: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthError> {
    server.authenticate(Some(bearer(token).as_bytes()), CredentialSource::default()).await
}

#[tokio::test]
async fn engine_gets_a_token_for_its_user_in_every_way_that_clients_ask() {
    let world = World::new("premium", &[]).await;
    let ((trino, engine), (user_key, user)) = (engine(&world).await, world.key(Role::Reader, None).await);
    let server = world.server();
    let (subject, of_engine) = (token(&server, &user).await, token(&server, &engine).await);
    let ways = [
        (
            "Java, with its token as actor",
            format!("{}&actor_token={of_engine}", exchange(&subject)),
            Some(bearer(&of_engine)),
        ),
        ("an actor token alone", format!("{}&actor_token={of_engine}", exchange(&subject)), None),
        ("a key as actor", format!("{}&actor_token={engine}", exchange(&subject)), None),
        ("client credentials", exchange(&subject), Some(basic("", &engine))),
        ("client credentials in the form", format!("{}&client_id=x&client_secret={engine}", exchange(&subject)), None),
    ];
    for (way, body, header) in ways {
        let answer = sign_in(&server, &body, header.as_deref()).await.unwrap_or_else(|error| panic!("{way}: {error}"));
        let caller = present(&server, answer.access_token.expose()).await.unwrap();
        assert_eq!((caller.key(), caller.role()), (user_key.id, Role::Reader), "{way}");
        let through = caller.engine().unwrap();
        assert_eq!((through.key(), through.role()), (trino.id, Role::Writer), "{way}");
        assert_eq!(caller.actor().engine().unwrap().id, trino.id);
    }
}

#[tokio::test]
async fn key_without_the_permission_cannot_act_for_users() {
    let world = World::new("premium", &[]).await;
    let ((_, plain), (_, user)) = (world.key(Role::Admin, None).await, world.key(Role::Reader, None).await);
    let server = world.server();
    let subject = token(&server, &user).await;
    let refused = sign_in(&server, &exchange(&subject), Some(&basic("", &plain))).await.unwrap_err();
    assert_eq!(refused.kind, OAuthErrorKind::InvalidGrant);
    assert!(refused.description.contains("may not act for users"), "{refused}");
    let as_actor = format!("{}&actor_token={}", exchange(&subject), token(&server, &plain).await);
    assert_eq!(refusal(&server, &as_actor, Some(&bearer(&subject))).await, OAuthErrorKind::InvalidGrant);
}

#[tokio::test]
async fn token_is_refused_at_once_when_its_engine_loses_the_permission_or_its_key() {
    let world = World::new("premium", &[]).await;
    let ((trino, engine), (_, user)) = (engine(&world).await, world.key(Role::Reader, None).await);
    let server = world.server();
    let subject = token(&server, &user).await;
    let answer = sign_in(&server, &exchange(&subject), Some(&basic("", &engine))).await.unwrap();
    let through = answer.access_token.expose();
    assert!(present(&server, through).await.is_ok());
    let is_refused = async || matches!(present(&server, through).await, Err(AuthError::Token(TokenError::Engine)));
    allow(&world, &trino, false).await;
    assert!(is_refused().await);
    allow(&world, &trino, true).await;
    assert!(present(&server, through).await.is_ok());
    world.store.key_revoke(world.organisation.id, trino.id, &Change::by_catalog(0)).await.unwrap();
    assert!(is_refused().await);
    assert!(present(&server, &subject).await.is_ok(), "the user's own token stays good");
}

#[tokio::test]
async fn token_through_an_engine_stays_one() {
    let world = World::new("premium", &[]).await;
    let ((trino, engine), (_, second)) = (engine(&world).await, engine(&world).await);
    let (_, user) = world.key(Role::Reader, None).await;
    let server = world.server();
    let subject = token(&server, &user).await;
    let first = sign_in(&server, &exchange(&subject), Some(&basic("", &engine))).await.unwrap();
    let through = first.access_token.expose().clone();
    world.advance(1_000);
    for header in
        [Some(bearer(&through)), None, Some(basic("", &engine)), Some(basic("", &user)), Some(bearer(&subject))]
    {
        let renewed = sign_in(&server, &exchange(&through), header.as_deref()).await.unwrap();
        let caller = present(&server, renewed.access_token.expose()).await.unwrap();
        assert_eq!(caller.engine().map(|engine| engine.key()), Some(trino.id), "{header:?}");
    }
    // Another engine cannot take it over, nor can an engine prove itself with a token for a user.
    let invalid = OAuthErrorKind::InvalidGrant;
    assert_eq!(refusal(&server, &exchange(&through), Some(&basic("", &second))).await, invalid);
    let (_, another_user) = world.key(Role::Reader, None).await;
    let nested = format!("{}&actor_token={through}", exchange(&token(&server, &another_user).await));
    assert_eq!(refusal(&server, &nested, None).await, invalid);
    let two = format!("{}&actor_token={second}", exchange(&subject));
    assert_eq!(refusal(&server, &two, Some(&basic("", &engine))).await, invalid, "client and actor differ");
    world.advance(3_600_000 + 20_000);
    for key in [&engine, &user] {
        assert_eq!(refusal(&server, &exchange(&through), Some(&basic("", key))).await, invalid, "expired");
    }
}

#[tokio::test]
async fn engine_does_not_prolong_the_sign_in_of_its_user() {
    let world = World::new("premium", &[]).await;
    let ((_, engine), (_, user)) = (engine(&world).await, world.key(Role::Reader, None).await);
    let server = world.server();
    let mut subject = token(&server, &user).await;
    for _ in 0..28 {
        world.advance(3_000_000);
        subject = sign_in(&server, &exchange(&subject), None).await.unwrap().access_token.expose().clone();
    }
    world.advance(1_200_000);
    let through = sign_in(&server, &exchange(&subject), Some(&basic("", &engine))).await.unwrap();
    assert_eq!(through.expires_in_s, 1_200, "the user signed in 85,200 of 86,400 seconds ago");
    let again = sign_in(&server, &exchange(through.access_token.expose()), Some(&basic("", &engine))).await.unwrap();
    assert_eq!(again.expires_in_s, 1_200);
}

#[tokio::test]
async fn subject_and_engine_of_two_organisations_are_refused() {
    let world = World::new("premium", &[]).await;
    let other = organisation("other", "premium");
    world.store.organisation_create(&other, &Change::by_catalog(0)).await.unwrap();
    let (foreign, foreign_text) = world.key_of(other.id, Role::Admin, None).await;
    allow(&world, &foreign, true).await;
    let (_, user) = world.key(Role::Reader, None).await;
    let server = world.server();
    let subject = token(&server, &user).await;
    assert_eq!(
        refusal(&server, &exchange(&subject), Some(&basic("", &foreign_text))).await,
        OAuthErrorKind::InvalidGrant
    );
    let as_actor = format!("{}&actor_token={foreign_text}", exchange(&subject));
    assert_eq!(refusal(&server, &as_actor, None).await, OAuthErrorKind::InvalidGrant);
}
