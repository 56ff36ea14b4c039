//! Tests of the token endpoint: the requests of each client, and requests that must be refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidewater_core::access::Role;

use crate::auth::testing::{Mode, World, bearer, organisation};
use crate::auth::{
    Authenticator, CredentialSource, NewKey, OAuthError, OAuthErrorKind, SignIn, TokenResponse, new_key,
};
use crate::store::Change;

const FORM: &[u8] = b"application/x-www-form-urlencoded";
pub(super) const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
pub(super) const TOKEN_TYPE: &str = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

const NAMED: NewKey<'_> = NewKey { name: "a key", role: Role::Writer, no_delete: false, expires_ms: None };

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(super) async fn sign_in(
    server: &Authenticator,
    body: &str,
    header: Option<&str>,
) -> Result<TokenResponse, OAuthError> {
    let authorization = header.map(str::as_bytes);
    server
        .sign_in(SignIn {
            content_type: Some(FORM),
            authorization,
            query: None,
            body: body.as_bytes(),
            source: CredentialSource::default(),
        })
        .await
}

pub(super) async fn refusal(server: &Authenticator, body: &str, header: Option<&str>) -> OAuthErrorKind {
    sign_in(server, body, header).await.unwrap_err().kind
}

/// Returns the role of a caller with the token.
async fn role_of(server: &Authenticator, answer: &TokenResponse) -> Role {
    server
        .authenticate(Some(bearer(answer.access_token.expose()).as_bytes()), CredentialSource::default())
        .await
        .unwrap()
        .role()
}

#[tokio::test]
async fn key_in_any_field_that_clients_use_gets_a_token() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let grant = "grant_type=client_credentials";
    let sent = [
        ("Java, PyIceberg, iceberg-rust", format!("{grant}&client_secret={key}&scope=catalog"), None),
        ("the same with an id", format!("{grant}&client_id=any%3Athing&client_secret={key}&scope=catalog"), None),
        ("PyIceberg oauth2, DuckDB", grant.to_owned(), Some(basic("id", &key))),
        ("DuckDB with a scope", format!("{grant}&scope=PRINCIPAL_ROLE%3AALL"), Some(basic("id", &key))),
        ("the key as the user", grant.to_owned(), Some(basic(&key, ""))),
        ("the key twice", grant.to_owned(), Some(basic(&key, &key))),
        ("ClickHouse", format!("{grant}&scope=PRINCIPAL_ROLE%3AALL&client_secret={key}&client_id=id"), None),
        ("the documented example", format!("{grant}&client_id={key}"), None),
        ("Basic and form", format!("{grant}&client_id={key}&client_secret=x"), Some(basic("id", &key))),
        ("no credential in the header", format!("{grant}&client_secret={key}"), Some("Bearer None".to_owned())),
        ("the key as a bearer", grant.to_owned(), Some(bearer(&key))),
    ];
    for (client, body, header) in sent {
        let answer =
            sign_in(&server, &body, header.as_deref()).await.unwrap_or_else(|error| panic!("{client}: {error}"));
        assert_eq!(role_of(&server, &answer).await, Role::Writer, "{client}");
    }
}

#[tokio::test]
async fn client_id_of_another_key_is_refused() {
    let world = World::new("premium", &[]).await;
    let ((first, text), (other, _)) = (world.key(Role::Writer, None).await, world.key(Role::Admin, None).await);
    let server = world.server();
    let (mut rotated, new_text) = new_key(first.organisation, &NAMED, world.now_ms(), &[7; 32]);
    rotated.principal = first.principal;
    let change = Change::by_catalog(world.now_ms());
    world.store.key_rotate(first.id, i64::MAX, &rotated, &change).await.unwrap();
    let body = |id: &dyn std::fmt::Display, secret: &str| {
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=PRINCIPAL_ROLE%3AALL")
    };
    let new_text = new_text.expose();
    for (id, secret) in [(first.id, &text), (first.id, new_text), (rotated.id, &text), (rotated.id, new_text)] {
        sign_in(&server, &body(&id, secret), None).await.unwrap();
    }
    sign_in(&server, &body(&crate::base::clock::fresh_uuid(), &text), None).await.unwrap();
    assert_eq!(refusal(&server, &body(&other.id, &text), None).await, OAuthErrorKind::InvalidClient);
    world.store.set(Mode::Down);
    assert_eq!(refusal(&server, &body(&other.id, &text), None).await, OAuthErrorKind::TemporarilyUnavailable);
}

#[tokio::test]
async fn answer_has_the_fields_that_clients_need_and_masks_its_token_in_logs() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let body = format!("grant_type=client_credentials&client_id={key}&scope=PRINCIPAL_ROLE:ALL");
    let answer = sign_in(&server, &body, None).await.unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["access_token"].as_str(), Some(answer.access_token.expose().as_str()));
    assert_eq!(json["token_type"], "bearer");
    assert_eq!(json["expires_in"], 3_600);
    assert_eq!(json["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(json["scope"], "PRINCIPAL_ROLE:ALL");
    assert!(!format!("{answer:?}").contains(answer.access_token.expose()));
    let body = format!("grant_type=client_credentials&client_id={key}");
    assert_eq!(sign_in(&server, &body, None).await.unwrap().scope, "catalog");
}

#[tokio::test]
async fn refused_request_gets_an_error_in_the_oauth_shape() {
    use OAuthErrorKind::*;
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let (_, second) = world.key(Role::Writer, None).await;
    let (gone, revoked) = world.key(Role::Writer, None).await;
    world.store.key_revoke(world.organisation.id, gone.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    let server = world.server();
    let unknown = crate::auth::key::key_text(&[1; 32]).expose().clone();
    let cut_off = &key[..key.len() - 1];
    let grant = "grant_type=client_credentials";
    let cases = [
        (InvalidRequest, String::new(), None),
        (InvalidRequest, format!("client_id={key}"), None),
        (InvalidRequest, format!("grant_type=&client_id={key}"), None),
        (InvalidRequest, format!("{grant}&{grant}&client_id={key}"), None),
        (InvalidRequest, format!("{grant}&client_id={key}&client_id={key}"), None),
        (InvalidRequest, format!("{grant}&client_id={key}&client_secret={second}"), None),
        (InvalidRequest, format!("{grant}&client_id={key}"), Some(basic("id", &second))),
        (InvalidRequest, grant.to_owned(), Some(basic(&key, &second))),
        (InvalidRequest, format!("{grant}&client_id={key}&pad={}", "x".repeat(40_000)), None),
        (UnsupportedGrantType, format!("grant_type=password&client_id={key}"), None),
        (UnsupportedGrantType, format!("grant_type=refresh_token&client_id={key}"), None),
        (UnsupportedGrantType, format!("grant_type=Client_Credentials&client_id={key}"), None),
        (InvalidScope, format!("{grant}&client_id={key}&scope=a%22b"), None),
        (InvalidScope, format!("{grant}&client_id={key}&scope=a%0Ab"), None),
        (InvalidScope, format!("{grant}&client_id={key}&scope=%FF"), None),
        (InvalidScope, format!("{grant}&client_id={key}&scope={}", "x".repeat(1_001)), None),
        (InvalidClient, grant.to_owned(), None),
        (InvalidClient, format!("{grant}&client_id=root&client_secret=s3cr3t"), None),
        (InvalidClient, grant.to_owned(), Some(basic("root", "s3cr3t"))),
        (InvalidClient, grant.to_owned(), Some("Basic %%%".to_owned())),
        (InvalidClient, grant.to_owned(), Some("Digest x".to_owned())),
        (InvalidClient, grant.to_owned(), Some("Bearer None".to_owned())),
        (InvalidClient, format!("{grant}&client_secret={unknown}"), None),
        (InvalidClient, format!("{grant}&client_secret={cut_off}"), None),
        (InvalidClient, format!("{grant}&client_secret={revoked}"), None),
    ];
    for (expected, body, header) in cases {
        let error = sign_in(&server, &body, header.as_deref()).await.unwrap_err();
        assert_eq!(error.kind, expected, "{body} {header:?}: {error}");
        assert!(!error.description.is_empty());
        for secret in [&key, &second, &revoked, &unknown, "s3cr3t"] {
            assert!(!error.description.contains(secret), "{error}");
        }
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        assert!(error.description.bytes().all(allowed), "RFC 6749, 5.2: {error}");
    }
}

#[tokio::test]
async fn key_in_the_url_and_body_without_a_form_are_refused() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let body = format!("grant_type=client_credentials&client_id={key}");
    let request = SignIn {
        content_type: Some(FORM),
        authorization: None,
        query: None,
        body: body.as_bytes(),
        source: CredentialSource::default(),
    };
    let in_url = format!("client_secret={key}");
    let refused = server.sign_in(SignIn { query: Some(&in_url), ..request }).await.unwrap_err();
    assert_eq!(refused.kind, OAuthErrorKind::InvalidRequest);
    assert!(refused.description.contains("revoked"));
    assert!(server.sign_in(SignIn { query: Some("trace=1"), ..request }).await.is_ok());
    for content_type in ["application/json", "multipart/form-data; boundary=x", "", "text/plain"] {
        let refused = server.sign_in(SignIn { content_type: Some(content_type.as_bytes()), ..request }).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, OAuthErrorKind::InvalidRequest);
        assert!(refused.description.contains("application/x-www-form-urlencoded"));
    }
    for content_type in [None, Some(&b"Application/X-WWW-Form-Urlencoded; charset=UTF-8"[..])] {
        assert!(server.sign_in(SignIn { content_type, ..request }).await.is_ok());
    }
}

#[tokio::test]
async fn token_is_renewed_by_the_java_clients_requests() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let first = sign_in(&server, &format!("grant_type=client_credentials&client_secret={key}"), None).await.unwrap();
    let first = first.access_token.expose();
    world.advance(3_300_000);
    let exchange = format!("{EXCHANGE}&subject_token={first}&{TOKEN_TYPE}&scope=catalog");
    let second = sign_in(&server, &exchange, Some(&bearer(first))).await.unwrap();
    assert_eq!(second.expires_in_s, 3_600);
    assert_eq!(second.issued_token_type, "urn:ietf:params:oauth:token-type:access_token");
    assert_ne!(second.access_token.expose(), first);
    assert_eq!(role_of(&server, &second).await, Role::Writer);

    world.advance(3_600_000);
    assert_eq!(refusal(&server, &exchange, Some(&bearer(first))).await, OAuthErrorKind::InvalidClient);
    assert_eq!(refusal(&server, &exchange, None).await, OAuthErrorKind::InvalidGrant, "expired, and no key");
    let third = sign_in(&server, &exchange, Some(&basic("", &key))).await.unwrap();
    assert_eq!(role_of(&server, &third).await, Role::Writer, "expired, but the key is good");
    let in_form = format!("{exchange}&client_id=id&client_secret={key}");
    assert!(sign_in(&server, &in_form, None).await.is_ok());

    let of_key = format!("{EXCHANGE}&subject_token={key}&{TOKEN_TYPE}");
    assert!(sign_in(&server, &of_key, Some(&bearer(&key))).await.is_ok(), "a key is exchanged, too");
}

#[tokio::test]
async fn exchange_gives_no_more_rights_or_time() {
    use OAuthErrorKind::*;
    let world = World::new("premium", &[]).await;
    let other = organisation("other", "premium");
    world.store.organisation_create(&other, &Change::by_catalog(0)).await.unwrap();
    let (_, foreign_key) = world.key_of(other.id, Role::Admin, None).await;
    let (_, admin) = world.key(Role::Admin, None).await;
    let (short, reader) = world.key(Role::Reader, Some(world.now_ms() + 60_000)).await;
    let server = world.server();
    let token = async |key: &str| {
        let body = format!("grant_type=client_credentials&client_secret={key}");
        sign_in(&server, &body, None).await.unwrap().access_token.expose().clone()
    };
    let of_reader = token(&reader).await;
    let of_foreigner = token(&foreign_key).await;
    let exchange = |subject: &str| format!("{EXCHANGE}&subject_token={subject}&{TOKEN_TYPE}");

    let renewed = sign_in(&server, &exchange(&of_reader), Some(&bearer(&of_reader))).await.unwrap();
    assert!(renewed.expires_in_s <= 60, "not beyond its key's end: {}", renewed.expires_in_s);
    assert_eq!(role_of(&server, &renewed).await, Role::Reader);
    assert_eq!(refusal(&server, &exchange(&of_reader), Some(&basic("", &admin))).await, InvalidGrant, "no engine");

    assert_eq!(refusal(&server, &exchange(&of_reader), Some(&bearer(&of_foreigner))).await, InvalidGrant);
    assert_eq!(refusal(&server, &exchange(&of_foreigner), Some(&basic("", &admin))).await, InvalidGrant);
    let actor = format!("{}&actor_token={of_foreigner}", exchange(&of_reader));
    assert_eq!(refusal(&server, &actor, Some(&bearer(&of_reader))).await, InvalidGrant);
    for forged in ["x", "a.b.c", "e30.e30.", &of_reader[..of_reader.len() - 2]] {
        assert_eq!(refusal(&server, &exchange(forged), Some(&basic("", &admin))).await, InvalidGrant, "{forged}");
    }
    assert_eq!(refusal(&server, EXCHANGE, Some(&basic("", &admin))).await, InvalidRequest, "no subject");
    let saml =
        format!("{EXCHANGE}&subject_token={of_reader}&subject_token_type=urn:ietf:params:oauth:token-type:saml2");
    assert_eq!(refusal(&server, &saml, Some(&bearer(&of_reader))).await, InvalidRequest);

    world.store.key_revoke(world.organisation.id, short.id, &Change::by_catalog(world.now_ms())).await.unwrap();
    world.advance(2_000);
    assert_eq!(refusal(&server, &exchange(&of_reader), Some(&bearer(&of_reader))).await, InvalidClient);
    assert_eq!(refusal(&server, &exchange(&of_reader), Some(&basic("", &admin))).await, InvalidGrant);
    world.advance(3_700_000);
    assert_eq!(
        refusal(&server, &exchange(&of_foreigner), Some(&basic("", &admin))).await,
        InvalidGrant,
        "expired, foreign"
    );
}

#[tokio::test]
async fn token_cannot_be_renewed_after_its_sign_in_ends() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let first = sign_in(&server, &format!("grant_type=client_credentials&client_secret={key}"), None).await.unwrap();
    let mut token = first.access_token.expose().clone();
    let exchange = |token: &str| format!("{EXCHANGE}&subject_token={token}&{TOKEN_TYPE}");
    for _ in 0..28 {
        world.advance(3_000_000);
        let renewed = sign_in(&server, &exchange(&token), Some(&bearer(&token))).await.unwrap();
        token = renewed.access_token.expose().clone();
    }
    // 84,000 of the 86,400 seconds of a sign-in are over.
    world.advance(1_200_000);
    let last = sign_in(&server, &exchange(&token), Some(&bearer(&token))).await.unwrap();
    assert_eq!(last.expires_in_s, 1_200, "not beyond the sign-in");
    let token = last.access_token.expose();
    world.advance(1_200_000);
    assert_eq!(refusal(&server, &exchange(token), Some(&bearer(token))).await, OAuthErrorKind::InvalidGrant);
    let renewed = sign_in(&server, &exchange(token), Some(&basic("", &key))).await.unwrap();
    assert_eq!(renewed.expires_in_s, 3_600, "the key was shown again");
}

#[tokio::test]
async fn actor_of_another_organisation_than_the_subject_is_refused() {
    let world = World::new("premium", &[]).await;
    let other = organisation("other", "premium");
    world.store.organisation_create(&other, &Change::by_catalog(0)).await.unwrap();
    let (_, foreign_key) = world.key_of(other.id, Role::Admin, None).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let exchange = format!("{EXCHANGE}&subject_token={key}&{TOKEN_TYPE}&actor_token={foreign_key}");
    assert_eq!(refusal(&server, &exchange, None).await, OAuthErrorKind::InvalidGrant);
    assert!(sign_in(&server, &exchange.replace(&foreign_key, &key), None).await.is_ok());
}

#[tokio::test]
async fn database_that_does_not_answer_is_not_blamed_on_the_key() {
    let world = World::new("premium", &[]).await;
    let (_, key) = world.key(Role::Writer, None).await;
    let server = world.server();
    let body = format!("grant_type=client_credentials&client_secret={key}");
    world.store.set(Mode::Down);
    assert_eq!(refusal(&server, &body, None).await, OAuthErrorKind::TemporarilyUnavailable);
    world.store.set(Mode::Up);
    assert!(sign_in(&server, &body, None).await.is_ok());
}
