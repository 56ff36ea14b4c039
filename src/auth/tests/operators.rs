//! Tests of operators' tokens.

use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::KeyId;

use super::sign_in::{EXCHANGE, TOKEN_TYPE, basic, refusal, sign_in};
use crate::auth::testing::{World, bearer};
use crate::auth::token::{OPERATOR_LIFETIME_MS, OperatorClaims, TokenError};
use crate::auth::{
    AuthError, Authenticator, CredentialSource, Identity, OAuthErrorKind, OperatorCaller, entropy,
    key::{digest, key_text},
};
use crate::base::clock::fresh_uuid;
use crate::store::{Change, Operator, OperatorStore as _};

const SESSION_MS: i64 = 86_400_000;

/// Creates an operator. Returns it with the text of its key.
async fn operator(world: &World) -> (Operator, String) {
    let text = key_text(&entropy().unwrap()).expose().clone();
    let operator = Operator {
        id: KeyId(fresh_uuid()),
        name: "ops".to_owned(),
        digest: digest(text.as_bytes()),
        created_ms: world.now_ms(),
        last_used_ms: None,
        revoked_ms: None,
    };
    world.store.operator_create(&operator, &Change::by_catalog(0)).await.unwrap();
    (operator, text)
}

fn with_key(key: &str) -> String {
    format!("grant_type=client_credentials&client_secret={key}&scope=catalog%20operator")
}

fn exchange(token: &str) -> String {
    format!("{EXCHANGE}&{TOKEN_TYPE}&subject_token={token}")
}

/// Returns the operator's token for its key.
async fn token(server: &Authenticator, key: &str) -> String {
    sign_in(server, &with_key(key), None).await.unwrap().access_token.expose().clone()
}

async fn identify(server: &Authenticator, token: &str) -> Result<Arc<OperatorCaller>, AuthError> {
    match server.identify(Some(bearer(token).as_bytes()), CredentialSource::default()).await? {
        Identity::Operator(operator) => Ok(operator),
        Identity::Key(caller) => panic!("an operator's token gave {caller:?}"),
    }
}

#[tokio::test]
async fn operators_key_gets_a_token_only_with_the_scope_for_operators() {
    let world = World::new("premium", &[]).await;
    let ((ops, key), (_, of_acme)) = (operator(&world).await, world.key(Role::Writer, None).await);
    let server = world.server();
    let without = format!("grant_type=client_credentials&client_secret={key}&scope=catalog");
    assert_eq!(refusal(&server, &without, None).await, OAuthErrorKind::InvalidClient);
    let answer = sign_in(&server, &with_key(&key), None).await.unwrap();
    assert_eq!((answer.scope.as_str(), answer.expires_in_s * 1_000), ("operator", OPERATOR_LIFETIME_MS));
    let by_token = identify(&server, answer.access_token.expose()).await.unwrap();
    assert!(by_token.is_by_token() && by_token.id() == ops.id && by_token.name() == "ops");
    assert!(!identify(&server, &key).await.unwrap().is_by_token());
    let other = sign_in(&server, &with_key(&of_acme), None).await.unwrap();
    assert!(matches!(other.identity, Identity::Key(_)), "the scope makes nobody an operator");
}

#[tokio::test]
async fn operators_token_reaches_no_table() {
    let world = World::new("premium", &[]).await;
    let (_, key) = operator(&world).await;
    let server = world.server();
    let header = bearer(&token(&server, &key).await);
    for _ in 0..2 {
        let refused = server.authenticate(Some(header.as_bytes()), CredentialSource::default()).await;
        assert!(matches!(refused, Err(AuthError::Operator(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn revocation_of_the_operator_ends_its_token_at_once_on_every_server() {
    let world = World::new("premium", &[]).await;
    let (ops, key) = operator(&world).await;
    let (server, other) = (world.server(), world.server());
    let token = token(&server, &key).await;
    for server in [&server, &other] {
        identify(server, &token).await.unwrap();
    }
    world.store.operator_revoke(ops.id, &Change::by_catalog(1)).await.unwrap();
    for server in [&server, &other] {
        assert!(matches!(identify(server, &token).await, Err(AuthError::RevokedKey(_))));
        assert_eq!(refusal(server, &exchange(&token), None).await, OAuthErrorKind::InvalidGrant);
    }
}

#[tokio::test]
async fn operators_token_is_renewed_until_its_sign_in_ends() {
    let world = World::new("premium", &[]).await;
    let (_, key) = operator(&world).await;
    let server = world.server();
    let first = token(&server, &key).await;
    let mut newest = first.clone();
    let mut renewals = 0;
    loop {
        world.advance(OPERATOR_LIFETIME_MS - 1_000);
        match sign_in(&server, &exchange(&newest), None).await {
            Ok(answer) => newest = answer.access_token.expose().clone(),
            Err(error) => {
                assert_eq!(error.kind, OAuthErrorKind::InvalidGrant);
                break;
            }
        }
        renewals += 1;
    }
    assert!((90..=97).contains(&renewals), "{renewals} renewals within {SESSION_MS} ms");
    let refused = identify(&server, &first).await;
    assert!(matches!(refused, Err(AuthError::Token(TokenError::Expired))), "{refused:?}");
}

#[tokio::test]
async fn operators_token_is_exchanged_without_other_credentials() {
    let world = World::new("premium", &[]).await;
    let ((_, key), (_, of_acme)) = (operator(&world).await, world.key(Role::Admin, None).await);
    let server = world.server();
    let token = token(&server, &key).await;
    for more in [format!("&client_secret={of_acme}"), format!("&actor_token={of_acme}"), format!("&client_id={key}")] {
        let body = exchange(&token) + &more;
        assert_eq!(refusal(&server, &body, None).await, OAuthErrorKind::InvalidRequest, "{more}");
    }
    let header = basic("id", &of_acme);
    assert_eq!(refusal(&server, &exchange(&token), Some(&header)).await, OAuthErrorKind::InvalidRequest);
    // Nor does it act for the holder of a key, or prove a client.
    let of_key = sign_in(&server, &with_key(&of_acme), None).await.unwrap().access_token.expose().clone();
    let body = format!("{}&actor_token={token}", exchange(&of_key));
    assert_eq!(refusal(&server, &body, None).await, OAuthErrorKind::InvalidGrant);
}

#[tokio::test]
async fn token_that_names_a_key_as_its_operator_is_refused() {
    let world = World::new("premium", &[]).await;
    let (key, _) = world.key(Role::Admin, None).await;
    let server = world.server();
    let now_ms = world.now_ms();
    let claims = OperatorClaims {
        operator: key.id,
        name: "ops".to_owned(),
        signed_in_ms: now_ms,
        issued_ms: now_ms,
        expires_ms: now_ms + 60_000,
    };
    let token = server.signing.sign_operator(&claims, now_ms).await.unwrap().expose().clone();
    let refused = identify(&server, &token).await;
    assert!(matches!(refused, Err(AuthError::Token(TokenError::UnknownKey))), "{refused:?}");
}
