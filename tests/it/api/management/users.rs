//! `/management/v1/organisations/{organisation}/users`, and requests of users with a provider's tokens.

use axum::http::Method;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidewater::base::clock::Clock;
use tidewater::config::{GroupMapping, IssuerConfig};
use tidewater_core::access::Role;

use crate::support::{Answer, Catalog, Tenant};

const ORGANISATION: &str = "/management/v1/organisations/acme";
const MAIN: &str = "/management/v1/organisations/acme/warehouses/main";
const WHO_AM_I: &str = "/management/v1/who-am-i";
const TABLE: &str = "/v1/namespaces/ns/tables/t";
const ISSUER: &str = "https://sso.example.com";

/// A catalog with the organisation `acme` and a provider, whose key set is a file.
struct World {
    catalog: Catalog,
    tenant: Tenant,
    key: EncodingKey,
}

impl World {
    async fn new() -> Self {
        let key = EncodingKey::from_ed_der(&ed25519());
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap()).unwrap();
        public["kid"] = json!("k1");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        std::fs::write(&file, json!({ "keys": [public] }).to_string()).unwrap();
        let mapping = GroupMapping {
            group: Some("data".to_owned()),
            principal_role: Some("analysts".to_owned()),
            ..GroupMapping::default()
        };
        let issuer = IssuerConfig {
            name: "sso".to_owned(),
            issuer: ISSUER.to_owned(),
            organisation: "acme".to_owned(),
            audiences: vec!["tidewater".to_owned()],
            jwks_file: Some(file),
            groups_claim: Some("groups".to_owned()),
            group_mappings: vec![mapping],
            ..IssuerConfig::default()
        };
        let catalog = Catalog::with(|config| config.auth.issuers = vec![issuer]).await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&tenant).await;
        let world = Self { catalog, tenant, key };
        // The file is read at the first token.
        world.get(&world.token(json!({ "sub": "first" })), WHO_AM_I).await.ok(200);
        drop(folder);
        world
    }

    /// Returns a token that is issued now, with further claims.
    fn token(&self, claims: Value) -> String {
        let now_s = Clock::System.now_ms() / 1_000;
        let mut all = json!({ "iss": ISSUER, "aud": "tidewater", "iat": now_s, "exp": now_s + 300 });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &all, &self.key).unwrap()
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.catalog.get(token, path).await
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        self.catalog.bytes(&self.tenant.key, method, path, body.to_string()).await
    }

    /// Assigns a catalog role that may read everything to `analysts`.
    async fn let_analysts_read(&self) {
        let roles = format!("{ORGANISATION}/principal-roles");
        self.admin(Method::POST, &roles, json!({ "name": "analysts" })).await.ok(200);
        let role = format!("{MAIN}/catalog-roles");
        self.admin(Method::POST, &role, json!({ "name": "readers" })).await.ok(200);
        self.admin(Method::PUT, &format!("{role}/readers/principal-roles/analysts"), json!({})).await.ok(204);
        let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "catalog" });
        self.admin(Method::PUT, &format!("{role}/readers/grants"), grant).await.ok(204);
    }
}

/// Returns a new private key in PKCS #8.
fn ed25519() -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
}

#[tokio::test]
async fn user_gets_the_roles_of_its_groups_and_explanations_show_them() {
    let world = World::new().await;
    world.let_analysts_read().await;
    let outsider = world.token(json!({ "sub": "u0" }));
    assert_eq!(world.get(&outsider, TABLE).await.status, 404);
    let alice = world.token(json!({ "sub": "u1", "name": "Alice", "email": "alice@example.com", "groups": ["data"] }));
    world.get(&alice, TABLE).await.ok(200);
    let refused = world.catalog.delete(&alice, TABLE).await.error(403, "ForbiddenException");
    assert!(refused.contains("TABLE_DROP"), "{refused}");
    let me = world.get(&alice, WHO_AM_I).await.ok(200);
    assert_eq!((&me["user"]["name"], &me["role"]), (&json!("Alice"), &json!("none")));
    assert_eq!(me["roles"][0]["principal-role"], "analysts");
    assert!(me.get("key").is_none(), "{me}");
    let question = |principal: &str| format!("{MAIN}/access?action=read-table-data&namespace=ns&table=t{principal}");
    for principal in ["alice@example.com", "u1", "Alice"] {
        let path = question(&format!("&principal={principal}"));
        let explained = world.admin(Method::GET, &path, json!({})).await.ok(200);
        assert_eq!(explained["access"][0]["by"]["principal-role"], "analysts", "{explained}");
        assert_eq!(explained["access"][0]["principal"]["type"], "user");
    }
    let all = world.admin(Method::GET, &question(""), json!({})).await.ok(200);
    let names = |list: &Value| -> Vec<Value> {
        list["access"].as_array().unwrap().iter().map(|one| one["principal"]["name"].clone()).collect()
    };
    assert!(names(&all).contains(&json!("Alice")), "{all}");
    let user = format!("{ORGANISATION}/users/u1");
    world.admin(Method::PATCH, &user, json!({ "disabled": true })).await.ok(200);
    let disabled = world.admin(Method::GET, &question("&principal=u1"), json!({})).await.ok(200);
    assert_eq!(
        (&disabled["access"][0]["allowed"], &disabled["access"][0]["message"]),
        (&json!(false), &json!("User 'Alice' is disabled"))
    );
    let all = world.admin(Method::GET, &question(""), json!({})).await.ok(200);
    assert!(!names(&all).contains(&json!("Alice")), "{all}");
}

#[tokio::test]
async fn role_is_assigned_to_a_user_by_its_email_and_revoked() {
    let world = World::new().await;
    world.let_analysts_read().await;
    let bob = world.token(json!({ "sub": "u2", "email": "bob@example.com" }));
    assert_eq!(world.get(&bob, TABLE).await.status, 404);
    let member = format!("{ORGANISATION}/principal-roles/analysts/principals/bob@example.com");
    world.admin(Method::PUT, &member, json!({})).await.ok(204);
    world.get(&bob, TABLE).await.ok(200);
    world.admin(Method::DELETE, &member, json!({})).await.ok(204);
    assert_eq!(world.get(&bob, TABLE).await.status, 404);
    let nobody = member.replace("bob@", "nobody@");
    world.admin(Method::PUT, &nobody, json!({})).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn users_are_listed_shown_disabled_enabled_and_deleted() {
    let world = World::new().await;
    let users = format!("{ORGANISATION}/users");
    let alice = world.token(json!({ "sub": "u1", "name": "Alice", "email": "alice@example.com" }));
    world.get(&alice, WHO_AM_I).await.ok(200);
    let listed = world.admin(Method::GET, &users, json!({})).await.ok(200);
    let names: Vec<_> = listed["users"].as_array().unwrap().iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["first", "Alice"]);
    let shown = world.admin(Method::GET, &format!("{users}/alice@example.com"), json!({})).await.ok(200);
    assert_eq!(
        (&shown["subject"], &shown["issuer"], &shown["state"]),
        (&json!("u1"), &json!(ISSUER), &json!("active"))
    );
    let user = format!("{users}/{}", shown["id"].as_str().unwrap());
    world.admin(Method::PATCH, &user, json!({ "disabled": true })).await.ok(200);
    let refused = world.get(&alice, WHO_AM_I).await.error(401, "NotAuthorizedException");
    assert!(refused.contains("disabled"), "{refused}");
    world.admin(Method::PATCH, &user, json!({ "disabled": false })).await.ok(200);
    world.get(&alice, WHO_AM_I).await.ok(200);
    world.admin(Method::DELETE, &user, json!({})).await.ok(204);
    world.admin(Method::GET, &user, json!({})).await.error(404, "NotFoundException");
    let events = format!("{ORGANISATION}/events?operation=update-user");
    let events = world.admin(Method::GET, &events, json!({})).await.ok(200);
    assert_eq!(events["events"][0]["object-type"], "user");
    assert_eq!(events["events"][1]["details"]["disabled"], json!({ "before": false, "after": true }));
}

#[tokio::test]
async fn change_of_a_user_has_its_name_and_gives_it_ownership() {
    let world = World::new().await;
    world.let_analysts_read().await;
    let grant = json!({ "privilege": "NAMESPACE_CREATE", "type": "catalog" });
    world.admin(Method::PUT, &format!("{MAIN}/catalog-roles/readers/grants"), grant).await.ok(204);
    let alice = world.token(json!({ "sub": "u1", "name": "Alice", "groups": ["data"] }));
    world.catalog.post(&alice, "/v1/namespaces", &json!({ "namespace": ["mine"] })).await.ok(200);
    let events = world.admin(Method::GET, &format!("{ORGANISATION}/events?actor=Alice"), json!({})).await.ok(200);
    let newest = &events["events"][0];
    assert_eq!((&newest["actor-type"], &newest["operation"]), (&json!("user"), &json!("create-namespace")));
    // The creator owns the namespace.
    world.catalog.delete(&alice, "/v1/namespaces/mine").await.ok(204);
}

#[tokio::test]
async fn foreign_or_broken_token_gets_401_with_the_reason() {
    let world = World::new().await;
    for (claims, reason) in [
        (json!({ "sub": "u1", "aud": "other" }), "not for this catalog"),
        (json!({ "sub": "u1", "iss": "https://evil.example" }), "'https://evil.example' is not a provider"),
        (json!({ "sub": "u1", "exp": 1 }), "expired"),
        (json!({}), "no valid claim 'sub'"),
        (json!({ "sub": "u1", "hasgroups": true }), "a link instead of the user's groups"),
    ] {
        let message = world.get(&world.token(claims), "/v1/config").await.error(401, "NotAuthorizedException");
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn admin_by_a_group_administers_its_organisation() {
    let world = World::new().await;
    let nobody = world.token(json!({ "sub": "u1" }));
    world.get(&nobody, &format!("{ORGANISATION}/users")).await.error(403, "ForbiddenException");
    let mut issuer = world.catalog.app.running().config();
    let boss = GroupMapping { group: Some("boss".to_owned()), role: Some(Role::Admin), ..GroupMapping::default() };
    issuer.auth.issuers[0].group_mappings.push(boss);
    world.catalog.app.running().reload(issuer);
    let boss = world.token(json!({ "sub": "u9", "groups": ["boss"] }));
    world.get(&boss, &format!("{ORGANISATION}/users")).await.ok(200);
    world.get(&boss, "/management/v1/organisations/globex/users").await.error(404, "NotFoundException");
}
