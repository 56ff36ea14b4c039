//! Tests of sign-in with a provider: a real HTTP server, tokens that it signs, and tokens that attackers make.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tidewater_core::access::Role;
use tidewater_core::ids::PrincipalRoleId;

use super::provider_keys::REFETCH_INTERVAL_MS;
use super::testing::{Answering, TestKey, TestProvider};
use crate::auth::testing::{Mode, World, bearer, organisation};
use crate::auth::{AuthError, Authenticator, Caller, CredentialSource, OAuthErrorKind, ProviderTokenError, SignIn};
use crate::base::clock::fresh_ordered_uuid;
use crate::config::{GroupMapping, IssuerConfig, SigningAlgorithm};
use crate::store::{Actor, Change, EventFilter, KeyUpdate, PageRequest, PrincipalRole, User, UserUpdate};

async fn present(server: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthError> {
    server.authenticate(Some(bearer(token).as_bytes()), CredentialSource::default()).await
}

async fn refusal(server: &Authenticator, token: &str) -> ProviderTokenError {
    match present(server, token).await {
        Err(AuthError::Provider(error)) => error,
        other => panic!("not refused as a provider's token: {other:?}"),
    }
}

/// Returns claims with other members.
fn with(claims: &Value, members: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in members.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

async fn users(world: &World) -> Vec<User> {
    world.store.user_list(world.organisation.id, &PageRequest::default()).await.unwrap().items
}

async fn add_role(world: &World, name: &str) {
    let role = PrincipalRole { id: PrincipalRoleId(fresh_ordered_uuid()), name: name.to_owned(), created_ms: 0 };
    world.store.principal_role_create(world.organisation.id, &role, &Change::by_catalog(0)).await.unwrap();
}

/// Returns the names of the users with a principal role.
async fn members(world: &World, role: &str) -> Vec<String> {
    let role = world.store.principal_role_get(world.organisation.id, role).await.unwrap().unwrap();
    let page = PageRequest::default();
    let members = world.store.principal_role_members(world.organisation.id, role.id, &page).await.unwrap();
    members.items.into_iter().map(|member| member.name).collect()
}

fn mapping(group: &str, role: &str) -> GroupMapping {
    GroupMapping { group: Some(group.to_owned()), principal_role: Some(role.to_owned()), ..GroupMapping::default() }
}

/// A deployment with a provider that has an RSA key.
struct Setup {
    world: World,
    provider: TestProvider,
    key: TestKey,
}

impl Setup {
    async fn new() -> Self {
        let (world, key) = (World::new("premium", &[]).await, TestKey::rsa("k1"));
        let provider = TestProvider::start(&[&key]).await;
        Self { world, provider, key }
    }

    fn server(&self) -> Arc<Authenticator> {
        self.server_with(|_| {})
    }

    fn server_with(&self, change: impl FnOnce(&mut IssuerConfig)) -> Arc<Authenticator> {
        let mut config = self.provider.config();
        change(&mut config);
        self.world.server_with(vec![config])
    }

    fn claims(&self, subject: &str) -> Value {
        self.provider.claims(subject, self.world.now_ms())
    }

    fn token(&self, subject: &str) -> String {
        self.key.sign(&self.claims(subject))
    }
}

#[tokio::test]
async fn user_with_a_valid_token_is_a_caller_and_appears_once_with_an_event() {
    let setup = Setup::new().await;
    let server = setup.server();
    let claims = with(&setup.claims("u1"), json!({ "name": "Alice", "email": "alice@example.com" }));
    let caller = present(&server, &setup.key.sign(&claims)).await.unwrap();
    assert!(caller.is_user());
    assert_eq!(
        (caller.organisation(), caller.role(), caller.key_name()),
        (setup.world.organisation.id, Role::None, "Alice")
    );
    let later = with(&claims, json!({ "iat": setup.world.now_ms() / 1_000 + 1 }));
    assert_eq!(present(&server, &setup.key.sign(&later)).await.unwrap().principal(), caller.principal());
    let users = users(&setup.world).await;
    assert_eq!(users.len(), 1);
    assert_eq!((users[0].subject.as_str(), users[0].email.as_deref()), ("u1", Some("alice@example.com")));
    assert_eq!(caller.actor(), Actor::User { id: users[0].id, name: "Alice".into() });
    let filter = EventFilter { actor: Some("user".to_owned()), ..EventFilter::default() };
    let events =
        setup.world.store.event_list(Some(setup.world.organisation.id), &filter, None, 10).await.unwrap().events;
    assert_eq!(events.iter().map(|event| event.operation.as_str()).collect::<Vec<_>>(), ["create-user"]);
}

#[tokio::test]
async fn each_algorithm_with_a_public_key_is_verified() {
    let world = World::new("premium", &[]).await;
    let keys = [TestKey::rsa("r"), TestKey::p256("p"), TestKey::ed25519("e")];
    let provider = TestProvider::start(&keys.iter().collect::<Vec<_>>()).await;
    let server = world.server_with(vec![provider.config()]);
    for key in &keys {
        present(&server, &key.sign(&provider.claims("u1", world.now_ms()))).await.unwrap();
    }
    for (name, algorithm) in [("RS512", Algorithm::RS512), ("PS256", Algorithm::PS256), ("PS384", Algorithm::PS384)] {
        // The published key has no other algorithm then.
        let mut public = keys[0].public.clone();
        public.as_object_mut().unwrap().remove("alg");
        provider.publish_json(vec![public]);
        world.advance(REFETCH_INTERVAL_MS);
        let claims = provider.claims("u1", world.now_ms()).to_string();
        let token = keys[0].sign_with(&json!({ "alg": name, "kid": "r" }), algorithm, &claims);
        present(&server, &token).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn forged_token_is_refused_with_the_reason() {
    let setup = Setup::new().await;
    let (server, claims) = (setup.server(), setup.claims("u1"));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let algorithm = |name: &str| ProviderTokenError::Algorithm { algorithm: name.to_owned(), provider: "sso".into() };
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none", "kid": "k1" })), part(&claims));
    assert_eq!(refusal(&server, &unsigned).await, algorithm("none"));
    // Signed with the public key as a secret.
    for secret in [setup.key.public["n"].as_str().unwrap().to_owned(), setup.key.public.to_string()] {
        let header = jsonwebtoken::Header { kid: Some("k1".to_owned()), ..jsonwebtoken::Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        assert_eq!(refusal(&server, &token).await, algorithm("HS256"));
    }
    // Signed with another key of the same name, which the header brings along or links.
    let (attacker, header) = (TestKey::rsa("k1"), json!({ "alg": "RS256", "kid": "k1" }));
    for more in [
        json!({}),
        json!({ "jwk": attacker.public }),
        json!({ "jku": format!("{}/keys", setup.provider.issuer) }),
        json!({ "x5u": "http://127.0.0.1:1/" }),
    ] {
        let token = attacker.sign_with(&with(&header, more), Algorithm::RS256, &claims.to_string());
        assert_eq!(refusal(&server, &token).await, ProviderTokenError::Signature);
    }
    let critical = setup.key.sign_with(
        &with(&header, json!({ "crit": ["b64"], "b64": false })),
        Algorithm::RS256,
        &claims.to_string(),
    );
    assert_eq!(refusal(&server, &critical).await, ProviderTokenError::Critical);
    let valid = setup.token("u1");
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let changed = with(&claims, json!({ "sub": "u2" }));
    let moved = format!("{}.{}.{signature}", signed.split_once('.').unwrap().0, part(&changed));
    assert_eq!(refusal(&server, &moved).await, ProviderTokenError::Signature);
    assert_eq!(refusal(&server, &format!("{signed}.")).await, ProviderTokenError::Signature);
    let repeated = claims.to_string().replacen('{', r#"{"sub":"root","#, 1);
    let repeated = setup.key.sign_with(&header, Algorithm::RS256, &repeated);
    assert!(matches!(refusal(&server, &repeated).await, ProviderTokenError::Malformed(_)));
    let long = setup.key.sign(&with(&claims, json!({ "pad": "x".repeat(12_200) })));
    assert!(matches!(refusal(&server, &long).await, ProviderTokenError::TooLong { .. }), "{}", long.len());
    assert!(users(&setup.world).await.is_empty(), "a refused token adds no user");
    present(&server, &valid).await.unwrap();
}

#[tokio::test]
async fn token_with_wrong_claims_is_refused_with_the_reason() {
    use ProviderTokenError::{Audience, Claim, Expired, NotYet, UnknownIssuer};
    let setup = Setup::new().await;
    let (server, now_s) = (setup.server(), setup.world.now_ms() / 1_000);
    let refused = async |members: Value| refusal(&server, &setup.key.sign(&with(&setup.claims("u1"), members))).await;
    assert_eq!(
        refused(json!({ "iss": "https://other.example" })).await,
        UnknownIssuer("https://other.example".to_owned())
    );
    assert_eq!(refused(json!({ "aud": "other" })).await, Audience("sso".into()));
    assert_eq!(refused(json!({ "aud": null })).await, Audience("sso".into()));
    assert_eq!(refused(json!({ "exp": now_s - 61 })).await, Expired);
    assert_eq!(refused(json!({ "exp": null })).await, Claim("exp"));
    assert_eq!(refused(json!({ "iat": null })).await, Claim("iat"));
    assert_eq!(refused(json!({ "nbf": now_s + 61 })).await, NotYet);
    assert_eq!(refused(json!({ "iat": now_s + 61 })).await, NotYet);
    assert_eq!(refused(json!({ "sub": "" })).await, Claim("sub"));
    assert!(users(&setup.world).await.is_empty());
}

#[tokio::test]
async fn key_of_another_provider_is_refused() {
    let setup = Setup::new().await;
    let other_key = TestKey::rsa("k2");
    let other = TestProvider::start(&[&other_key]).await;
    let other_config = IssuerConfig { name: "other".to_owned(), ..other.config() };
    let server = setup.world.server_with(vec![setup.provider.config(), other_config]);
    present(&server, &other_key.sign(&other.claims("u1", setup.world.now_ms()))).await.unwrap();
    let crossed = other_key.sign(&setup.claims("u1"));
    assert_eq!(refusal(&server, &crossed).await, ProviderTokenError::UnknownKey("sso".into()));
    // Both users have the same subject, and are two.
    present(&server, &setup.token("u1")).await.unwrap();
    assert_eq!(users(&setup.world).await.len(), 2);
}

#[tokio::test]
async fn providers_of_one_issuer_are_told_apart_by_their_audience() {
    let setup = Setup::new().await;
    let globex = organisation("globex", "premium");
    setup.world.store.organisation_create(&globex, &Change::by_catalog(0)).await.unwrap();
    let mut second = setup.provider.config();
    (second.name, second.organisation, second.audiences) =
        ("two".to_owned(), "globex".to_owned(), vec!["two".to_owned()]);
    let server = setup.world.server_with(vec![setup.provider.config(), second]);
    let caller =
        present(&server, &setup.key.sign(&with(&setup.claims("u1"), json!({ "aud": ["two"] })))).await.unwrap();
    assert_eq!(caller.organisation(), globex.id);
    assert_eq!(present(&server, &setup.token("u1")).await.unwrap().organisation(), setup.world.organisation.id);
}

#[tokio::test]
async fn algorithm_that_is_not_configured_is_refused() {
    let setup = Setup::new().await;
    let server = setup.server_with(|config| config.algorithms = vec![SigningAlgorithm::ES256]);
    assert!(matches!(refusal(&server, &setup.token("u1")).await, ProviderTokenError::Algorithm { .. }));
}

#[tokio::test]
async fn new_key_is_read_when_a_token_names_it_and_invented_names_cause_few_reads() {
    let setup = Setup::new().await;
    let server = setup.server();
    present(&server, &setup.token("u1")).await.unwrap();
    assert_eq!(setup.provider.key_reads(), 1);
    let invented: Vec<_> =
        (0..20).map(|number| TestKey::p256(&format!("invented-{number}")).sign(&setup.claims("u1"))).collect();
    setup.world.advance(REFETCH_INTERVAL_MS);
    let refused = futures_util::future::join_all(invented.iter().map(|token| refusal(&server, token))).await;
    assert!(refused.iter().all(|error| *error == ProviderTokenError::UnknownKey("sso".into())));
    assert_eq!(setup.provider.key_reads(), 2, "20 requests share one read");
    let next = TestKey::rsa("k2");
    setup.provider.publish(&[&setup.key, &next]);
    let token = next.sign(&setup.claims("u1"));
    assert_eq!(refusal(&server, &token).await, ProviderTokenError::UnknownKey("sso".into()), "just read");
    setup.world.advance(REFETCH_INTERVAL_MS);
    present(&server, &token).await.unwrap();
    assert_eq!(setup.provider.key_reads(), 3);
}

#[tokio::test]
async fn unreachable_provider_does_not_stop_known_keys() {
    let setup = Setup::new().await;
    let server = setup.server();
    present(&server, &setup.token("u1")).await.unwrap();
    setup.provider.answer(Answering::Badly);
    setup.world.advance(REFETCH_INTERVAL_MS);
    present(&server, &setup.token("u2")).await.unwrap();
    let other = TestKey::rsa("k2").sign(&setup.claims("u1"));
    match present(&server, &other).await {
        Err(AuthError::ProviderUnavailable(name, why)) => assert!(&*name == "sso" && why.contains("500"), "{why}"),
        other => panic!("{other:?}"),
    }
    present(&server, &setup.token("u3")).await.unwrap();
    let fresh = setup.server();
    assert!(matches!(present(&fresh, &setup.token("u1")).await, Err(AuthError::ProviderUnavailable(..))));
    setup.provider.answer(Answering::Well);
    setup.world.advance(REFETCH_INTERVAL_MS);
    present(&fresh, &setup.token("u1")).await.unwrap();
}

#[tokio::test]
async fn removed_key_is_refused_after_the_next_read_even_for_cached_tokens() {
    let setup = Setup::new().await;
    let server = setup.server();
    let token = setup.token("u1");
    present(&server, &token).await.unwrap();
    setup.provider.publish(&[&TestKey::rsa("k2")]);
    present(&server, &token).await.unwrap();
    server.provider_keys.read_all().await.unwrap();
    assert_eq!(refusal(&server, &token).await, ProviderTokenError::UnknownKey("sso".into()));
}

#[tokio::test]
async fn redirects_other_hosts_and_large_documents_are_not_read() {
    let other = TestProvider::start(&[&TestKey::rsa("k1")]).await;
    let elsewhere = format!("{}/keys", other.issuer);
    let refused = async |change: &dyn Fn(&Setup), advice: &str| {
        let setup = Setup::new().await;
        change(&setup);
        match present(&setup.server(), &setup.token("u1")).await {
            Err(AuthError::ProviderUnavailable(_, why)) => assert!(why.contains(advice), "{why}"),
            other => panic!("{other:?}"),
        }
    };
    refused(&|setup| setup.provider.answer(Answering::Redirect(elsewhere.clone())), "redirect (302 Found)").await;
    refused(&|setup| setup.provider.answer(Answering::TooMuch), "more than 524288 bytes").await;
    refused(&|setup| setup.provider.name_keys_at(elsewhere.clone()), "if that is right, set `jwks_url").await;
    refused(&|setup| setup.provider.name_keys_at("file:///etc/passwd".to_owned()), "another host").await;
    refused(&|setup| setup.provider.publish_json(vec![json!({ "kty": "oct", "k": "AAAA" })]), "has no key for RS")
        .await;
    assert_eq!(other.key_reads(), 0);
}

#[tokio::test]
async fn keys_from_a_file_and_a_provider_that_requires_a_bearer_are_read() {
    let setup = Setup::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (keys, bearer_file) = (folder.path().join("keys.json"), folder.path().join("token"));
    std::fs::write(&keys, json!({ "keys": [setup.key.public] }).to_string()).unwrap();
    std::fs::write(&bearer_file, "abc\n").unwrap();
    setup.provider.require_bearer("abc");
    let with_bearer = setup.server_with(|config| config.bearer_file = Some(bearer_file.clone()));
    let claims = setup.claims("system:serviceaccount:spark:driver");
    let caller = present(&with_bearer, &setup.key.sign(&claims)).await.unwrap();
    assert_eq!(caller.key_name(), "system:serviceaccount:spark:driver");
    let reads = setup.provider.key_reads();
    let with_file = setup.server_with(|config| config.jwks_file = Some(keys.clone()));
    present(&with_file, &setup.key.sign(&claims)).await.unwrap();
    assert_eq!(setup.provider.key_reads(), reads);
}

#[tokio::test]
async fn cached_token_costs_no_call_of_the_store_and_is_refused_at_its_end() {
    let setup = Setup::new().await;
    let server = setup.server_with(|config| config.role = Role::Reader);
    let token = setup.token("u1");
    present(&server, &token).await.unwrap();
    let calls = setup.world.store.total_call_count();
    for _ in 0..100 {
        present(&server, &token).await.unwrap();
    }
    assert_eq!(setup.world.store.total_call_count(), calls);
    setup.world.advance(360_000);
    assert_eq!(refusal(&server, &token).await, ProviderTokenError::Expired);
}

#[tokio::test]
async fn disabled_user_is_refused_at_the_next_request_and_not_changed_by_new_tokens() {
    let setup = Setup::new().await;
    let server = setup.server();
    let token = setup.token("u1");
    let user = present(&server, &token).await.unwrap().principal();
    let set = async |disabled| {
        let update = UserUpdate { disabled: Some(disabled), no_delete: None };
        let change = Change::by_catalog(setup.world.now_ms());
        setup.world.store.user_update(setup.world.organisation.id, user, update, &change).await.unwrap();
    };
    set(true).await;
    assert!(matches!(present(&server, &token).await, Err(AuthError::DisabledUser(_))));
    let later = with(&setup.claims("u1"), json!({ "name": "New", "iat": setup.world.now_ms() / 1_000 + 5 }));
    assert!(matches!(present(&server, &setup.key.sign(&later)).await, Err(AuthError::DisabledUser(_))));
    assert_eq!(users(&setup.world).await[0].name, "u1");
    set(false).await;
    assert!(!present(&server, &token).await.unwrap().no_delete());
    let update = UserUpdate { disabled: None, no_delete: Some(true) };
    let change = Change::by_catalog(setup.world.now_ms());
    setup.world.store.user_update(setup.world.organisation.id, user, update, &change).await.unwrap();
    assert!(present(&server, &token).await.unwrap().no_delete());
}

#[tokio::test]
async fn deleted_user_is_a_new_user_at_the_next_request() {
    let setup = Setup::new().await;
    let server = setup.server();
    let token = setup.token("u1");
    let old = present(&server, &token).await.unwrap().principal();
    let change = Change::by_catalog(setup.world.now_ms());
    let own = exchange(&server, &token).await.unwrap();
    setup.world.store.user_delete(setup.world.organisation.id, old, &change).await.unwrap();
    assert!(
        matches!(present(&server, &own).await, Err(AuthError::UnknownUser)),
        "a token of the catalog is no sign-in"
    );
    let new = present(&server, &token).await.unwrap().principal();
    assert_ne!(new, old);
    assert_eq!(users(&setup.world).await.len(), 1);
}

#[tokio::test]
async fn suspended_and_missing_organisations_refuse_their_users() {
    let setup = Setup::new().await;
    let missing = setup.server_with(|config| config.organisation = "globex".to_owned());
    let refused = refusal(&missing, &setup.token("u1")).await;
    assert_eq!(refused, ProviderTokenError::NoOrganisation("globex".into()));
    let server = setup.server();
    let token = setup.token("u1");
    present(&server, &token).await.unwrap();
    let update = crate::store::OrganisationUpdate { suspended: Some(true), ..Default::default() };
    let change = Change::by_catalog(setup.world.now_ms());
    setup.world.store.organisation_update(setup.world.organisation.id, &update, &change).await.unwrap();
    assert!(matches!(present(&server, &token).await, Err(AuthError::Suspended(_))));
    assert!(matches!(present(&server, &setup.token("u2")).await, Err(AuthError::Suspended(_))));
    assert_eq!(users(&setup.world).await.len(), 1, "a suspended organisation gets no users");
}

#[tokio::test]
async fn groups_become_roles_and_an_older_token_never_brings_one_back() {
    let setup = Setup::new().await;
    let server = setup.server_with(|config| {
        config.groups_claim = Some("realm_access.roles".to_owned());
        let admin = GroupMapping { group: Some("boss".to_owned()), role: Some(Role::Admin), ..GroupMapping::default() };
        config.group_mappings = vec![mapping("data", "analysts"), mapping("ops", "missing"), admin];
    });
    add_role(&setup.world, "analysts").await;
    let now_s = setup.world.now_ms() / 1_000;
    let token = |seconds: i64, groups: &[&str]| {
        let members = json!({ "iat": now_s + seconds, "realm_access": { "roles": groups } });
        setup.key.sign(&with(&setup.claims("u1"), members))
    };
    let first = token(0, &["data", "ops", "boss"]);
    assert_eq!(present(&server, &first).await.unwrap().role(), Role::Admin);
    assert_eq!(members(&setup.world, "analysts").await, ["u1"]);
    assert_eq!(present(&server, &token(5, &[])).await.unwrap().role(), Role::None);
    assert!(members(&setup.world, "analysts").await.is_empty());
    assert_eq!(present(&server, &first).await.unwrap().role(), Role::None, "the older token");
    assert_eq!(present(&setup.server(), &token(3, &["data"])).await.unwrap().role(), Role::None);
    assert!(members(&setup.world, "analysts").await.is_empty());
    // The same groups in a newer token still count as newer.
    present(&server, &token(10, &["data"])).await.unwrap();
    present(&server, &token(20, &["data"])).await.unwrap();
    present(&server, &token(15, &[])).await.unwrap();
    assert_eq!(members(&setup.world, "analysts").await, ["u1"]);
}

#[tokio::test]
async fn role_of_a_group_is_created_if_the_settings_ask_for_it() {
    let setup = Setup::new().await;
    let any = GroupMapping {
        pattern: Some("tw-*".to_owned()),
        principal_role: Some("*".to_owned()),
        ..GroupMapping::default()
    };
    let set = |config: &mut IssuerConfig, create: bool| {
        config.groups_claim = Some("groups".to_owned());
        config.group_mappings = vec![any.clone()];
        config.create_roles = create;
    };
    let token = |seconds: i64| {
        let iat = setup.world.now_ms() / 1_000 + seconds;
        setup.key.sign(&with(&setup.claims("u1"), json!({ "iat": iat, "groups": ["tw-analysts", "x"] })))
    };
    let organisation = setup.world.organisation.id;
    present(&setup.server_with(|config| set(config, false)), &token(0)).await.unwrap();
    assert!(setup.world.store.principal_role_get(organisation, "analysts").await.unwrap().is_none());
    present(&setup.server_with(|config| set(config, true)), &token(1)).await.unwrap();
    assert_eq!(members(&setup.world, "analysts").await, ["u1"]);
}

#[tokio::test]
async fn link_instead_of_groups_is_refused() {
    let setup = Setup::new().await;
    let server = setup.server_with(|config| config.groups_claim = Some("groups".to_owned()));
    let link =
        json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph" } } });
    let token = setup.key.sign(&with(&setup.claims("u1"), link));
    assert_eq!(refusal(&server, &token).await, ProviderTokenError::TooManyGroups);
}

/// Exchanges a token. Returns the new one.
async fn exchange(server: &Authenticator, token: &str) -> Result<String, OAuthErrorKind> {
    exchange_as(server, token, "access_token").await
}

async fn exchange_as(server: &Authenticator, token: &str, kind: &str) -> Result<String, OAuthErrorKind> {
    let body = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={token}\
         &subject_token_type=urn:ietf:params:oauth:token-type:{kind}"
    );
    let request = SignIn {
        content_type: None,
        authorization: None,
        query: None,
        body: body.as_bytes(),
        source: CredentialSource::default(),
    };
    let answer = server.sign_in(request).await.map_err(|error| error.kind)?;
    Ok(answer.access_token.expose().clone())
}

#[tokio::test]
async fn providers_token_is_exchanged_for_a_token_of_the_same_user() {
    let setup = Setup::new().await;
    let server = setup.server_with(|config| config.role = Role::Writer);
    let token = setup.token("u1");
    let user = present(&server, &token).await.unwrap();
    for kind in ["access_token", "jwt", "id_token"] {
        let own = exchange_as(&server, &token, kind).await.unwrap();
        let caller = present(&server, &own).await.unwrap();
        assert_eq!((caller.principal(), caller.role(), caller.is_user()), (user.principal(), Role::Writer, true));
        assert!(present(&setup.world.server(), &own).await.is_ok(), "any server of the catalog accepts it");
    }
    assert_eq!(exchange_as(&server, &token, "saml2").await, Err(OAuthErrorKind::InvalidRequest));
    let forged = TestKey::rsa("k1").sign(&setup.claims("u1"));
    assert_eq!(exchange(&server, &forged).await, Err(OAuthErrorKind::InvalidGrant));
}

#[tokio::test]
async fn exchanged_token_outlives_neither_the_session_nor_the_user() {
    let setup = Setup::new().await;
    let server = setup.server();
    let mut own = exchange(&server, &setup.token("u1")).await.unwrap();
    let user = present(&server, &own).await.unwrap().principal();
    for _ in 0..25 {
        setup.world.advance(3_500_000);
        match exchange(&server, &own).await {
            Ok(next) => own = next,
            Err(kind) => {
                assert_eq!(kind, OAuthErrorKind::InvalidGrant);
                break;
            }
        }
    }
    let age_ms = setup.world.now_ms() - crate::auth::testing::NOON_MS;
    assert!((86_000_000..90_000_000).contains(&age_ms), "the session ends after a day: {age_ms}");
    let own = exchange(&server, &setup.token("u1")).await.unwrap();
    let change = Change::by_catalog(setup.world.now_ms());
    let update = UserUpdate { disabled: Some(true), no_delete: None };
    setup.world.store.user_update(setup.world.organisation.id, user, update, &change).await.unwrap();
    assert_eq!(exchange(&server, &own).await, Err(OAuthErrorKind::InvalidGrant));
    assert!(matches!(present(&server, &own).await, Err(AuthError::DisabledUser(_))));
}

#[tokio::test]
async fn last_use_of_a_user_is_written_with_those_of_keys() {
    let setup = Setup::new().await;
    let server = setup.server();
    present(&server, &setup.token("u1")).await.unwrap();
    setup.world.advance(100_000);
    present(&server, &setup.token("u1")).await.unwrap();
    assert_eq!(server.flush().await.unwrap(), 1);
    assert_eq!(users(&setup.world).await[0].last_seen_ms, Some(setup.world.now_ms()));
}

#[tokio::test]
async fn lost_store_refuses_new_tokens_as_unavailable() {
    let setup = Setup::new().await;
    let server = setup.server();
    setup.world.store.set(Mode::Down);
    assert!(matches!(present(&server, &setup.token("u1")).await, Err(AuthError::Unavailable(_))));
}

#[tokio::test]
async fn catalog_without_providers_refuses_their_tokens_as_before() {
    let setup = Setup::new().await;
    let error = present(&setup.world.server(), &setup.token("u1")).await.unwrap_err();
    assert!(matches!(error, AuthError::Token(crate::auth::token::TokenError::Algorithm)), "{error}");
}

#[tokio::test]
async fn reload_keeps_known_keys_of_a_provider() {
    let setup = Setup::new().await;
    let server = setup.server();
    present(&server, &setup.token("u1")).await.unwrap();
    setup.provider.answer(Answering::Badly);
    let mut config = setup.provider.config();
    config.role = Role::Writer;
    let settings = crate::auth::AuthSettings { issuers: vec![config], ..Default::default() };
    let reloaded = server.with_settings(&setup.world.tiers, &settings);
    assert_eq!(present(&reloaded, &setup.token("u2")).await.unwrap().role(), Role::Writer);
    let without = server.with_settings(&setup.world.tiers, &crate::auth::AuthSettings::default());
    assert!(present(&without, &setup.token("u2")).await.is_err());
}

#[tokio::test]
async fn token_with_any_changed_character_is_refused() {
    let (world, key) = (World::new("premium", &[]).await, TestKey::p256("k1"));
    let provider = TestProvider::start(&[&key]).await;
    let server = world.server_with(vec![provider.config()]);
    let token = key.sign(&provider.claims("u1", world.now_ms())).into_bytes();
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] = if token[at] == b'A' { b'B' } else { b'A' };
        let header = [b"Bearer ", &changed[..]].concat();
        assert!(server.authenticate(Some(&header), CredentialSource::default()).await.is_err(), "character {at}");
    }
    server.authenticate(Some(&[b"Bearer ", &token[..]].concat()), CredentialSource::default()).await.unwrap();
}

#[tokio::test]
async fn engine_acts_for_a_user_of_a_provider() {
    let setup = Setup::new().await;
    let server = setup.server();
    let world = &setup.world;
    let (trino, text) = world.key(Role::Writer, None).await;
    let token = setup.token("u1");
    let through = async || {
        let body = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={token}&actor_token={text}"
        );
        let content_type = Some(&b"application/x-www-form-urlencoded"[..]);
        let request = SignIn {
            content_type,
            authorization: None,
            query: None,
            body: body.as_bytes(),
            source: CredentialSource::default(),
        };
        server.sign_in(request).await.map(|answer| answer.access_token.expose().clone())
    };
    assert_eq!(through().await.unwrap_err().kind, OAuthErrorKind::InvalidGrant, "not allowed yet");
    let update = KeyUpdate { acts_for_users: Some(true), ..KeyUpdate::default() };
    world.store.key_update(trino.organisation, trino.id, &update, &Change::by_catalog(0)).await.unwrap();
    let caller = present(&server, &through().await.unwrap()).await.unwrap();
    assert!(caller.is_user());
    assert_eq!(caller.principal(), users(world).await[0].id);
    assert_eq!(caller.engine().map(|engine| engine.key()), Some(trino.id));
    assert_eq!((caller.actor().kind(), caller.actor().engine().unwrap().id), ("user", trino.id));
}
