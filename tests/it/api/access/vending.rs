//! Vended credentials and signatures: read and write with TABLE_WRITE_DATA, read with TABLE_READ_DATA, none otherwise. Every
//! test has one store with a token service, whose sessions show the policy that the catalog asked for.

use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Role, Securable, SecurableKind};

use super::s3::S3;
use super::team::{TABLE, Team, namespace};
use crate::support::{Answer, Catalog, create_table};

const TABLES: &str = "/v1/namespaces/a%1Fb/tables";

/// Access to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vends {
    Nothing,
    Read,
    ReadAndWrite,
}

/// Returns the access that a privilege alone gives.
fn vends(privilege: Privilege) -> Vends {
    match privilege {
        Privilege::TableWriteData | Privilege::CatalogManageContent => Vends::ReadAndWrite,
        Privilege::TableReadData => Vends::Read,
        _ => Vends::Nothing,
    }
}

struct World {
    catalog: Catalog,
    s3: S3,
    organisation: tidewater_core::ids::OrganisationId,
}

impl World {
    async fn new(signs: bool) -> Self {
        let (catalog, s3) = (Catalog::new().await, S3::start().await);
        let organisation = catalog.organisation("acme", "enterprise").await;
        let body = s3.warehouse("lake", signs);
        catalog.machine(Method::POST, "/management/v1/organisations/acme/warehouses", &body).await.ok(200);
        Self { catalog, s3, organisation }
    }

    async fn team(&self) -> Team<'_> {
        Team::of(&self.catalog, self.organisation).await
    }

    /// Returns the access in an answer: that of the session whose key is in it. It must be for this location alone.
    fn vended(&self, answer: &Answer, location: &str) -> Vends {
        let body = answer.json();
        let text = body.to_string();
        let access_key = match &body["storage-credentials"][0]["config"]["s3.access-key-id"] {
            Value::String(key) => key.clone(),
            _ => {
                assert!(!text.contains("access-key") && !text.contains("session-"), "credentials elsewhere: {text}");
                return Vends::Nothing;
            }
        };
        let policy = self.s3.policy(&access_key);
        let own = location.strip_prefix("s3://").unwrap();
        assert!(policy.contains(own), "{policy} is not for {own}");
        match policy.contains("s3:PutObject") {
            true => Vends::ReadAndWrite,
            false => Vends::Read,
        }
    }
}

async fn send(
    team: &Team<'_>,
    key: &str,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("x-iceberg-access-delegation", "vended-credentials");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    team.catalog.send(request.body(body.into()).unwrap()).await
}

async fn vending(team: &Team<'_>, method: Method, path: &str, body: &Value) -> Answer {
    send(team, &team.key, method, path, body, &[]).await
}

fn location(answer: &Answer) -> String {
    answer.json()["metadata"]["location"].as_str().unwrap().to_owned()
}

/// Returns the objects around and beside the table on which a privilege can be granted, and whether the grant counts for it.
async fn objects(team: &Team<'_>, privilege: Privilege) -> Vec<(Securable, bool)> {
    let b = namespace(&["a", "b"]);
    let mut all = Vec::new();
    for kind in privilege.securables() {
        match kind {
            SecurableKind::Warehouse => all.push((Securable::Warehouse, true)),
            SecurableKind::Namespace => all.extend([
                (Securable::Namespace(namespace(&["a"])), true),
                (Securable::Namespace(b.clone()), true),
                (Securable::Namespace(namespace(&["a", "bc"])), false),
            ]),
            SecurableKind::Table => {
                let sibling = team.table(&namespace(&["a", "bc"]), "t").await;
                all.push((Securable::Table(team.table(&b, "t").await, None), true));
                all.push((Securable::Table(sibling, None), false));
            }
            SecurableKind::View => all.push((Securable::View(team.table(&b, "v").await, None), false)),
        }
    }
    all
}

#[tokio::test]
async fn load_and_credentials_vend_what_the_privilege_on_data_allows() {
    let world = World::new(false).await;
    let team = world.team().await;
    let admin = world.catalog.get(&team.admin, TABLE).await;
    let own = location(&admin);
    let (mut loads, mut refreshes) = (0, 0);
    for privilege in Privilege::ALL {
        for (on, counts) in objects(&team, *privilege).await {
            let what = format!("{privilege} on {on:?}");
            team.grant(on, *privilege).await;
            let expected = if counts { vends(*privilege) } else { Vends::Nothing };
            let loaded = vending(&team, Method::GET, TABLE, &Value::Null).await;
            let may_load = counts && privilege.implied().contains(Privilege::TableReadProperties);
            assert_eq!(loaded.status == 200, may_load, "{what}: {}", loaded.status);
            if may_load {
                assert_eq!(world.vended(&loaded, &own), expected, "{what}");
                loads += 1;
            } else {
                assert!(!loaded.json().to_string().contains("session-"), "{what}");
            }
            let refreshed = vending(&team, Method::GET, &format!("{TABLE}/credentials"), &Value::Null).await;
            assert_eq!(refreshed.status == 200, expected != Vends::Nothing, "{what}: {}", refreshed.status);
            if expected != Vends::Nothing {
                assert_eq!(world.vended(&refreshed, &own), expected, "{what}");
                refreshes += 1;
            }
            team.revoke_all().await;
        }
    }
    assert!(loads > 20 && refreshes > 8, "{loads} {refreshes}");
    assert!([403, 404].contains(&vending(&team, Method::GET, TABLE, &Value::Null).await.status.as_u16()));
}

#[tokio::test]
async fn creator_gets_credentials_for_writing_its_new_table_only() {
    let world = World::new(false).await;
    let team = world.team().await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    for (name, stage) in [("created", false), ("staged", true)] {
        let mut body = create_table(name);
        body["stage-create"] = json!(stage);
        let created = vending(&team, Method::POST, TABLES, &body).await;
        assert_eq!(created.status, 200, "{created:?}");
        assert_eq!(world.vended(&created, &location(&created)), Vends::ReadAndWrite, "{name}");
        // The table of another location is not staged for its credentials.
        body["location"] = json!(location(&world.catalog.get(&team.admin, TABLE).await));
        body["name"] = json!(format!("{name}-over"));
        let refused = vending(&team, Method::POST, TABLES, &body).await;
        let message = refused.error(400, "BadRequestException");
        assert!(!message.contains("a.b.t"), "the message names the other table: {message}");
    }
    // The privilege to create does not read the tables that exist.
    vending(&team, Method::GET, TABLE, &Value::Null).await.error(403, "ForbiddenException");
    let own = vending(&team, Method::GET, &format!("{TABLES}/created"), &Value::Null).await;
    assert_eq!(world.vended(&own, &location(&own)), Vends::ReadAndWrite);
}

#[tokio::test]
async fn registration_vends_what_the_privilege_on_data_allows() {
    let world = World::new(false).await;
    let team = world.team().await;
    let data = [None, Some(Privilege::TableReadData), Some(Privilege::TableWriteData)];
    for (number, data) in data.into_iter().enumerate() {
        team.catalog.post(&team.admin, TABLES, &create_table("gone")).await.ok(200);
        let gone = team.catalog.post(&team.admin, &format!("{TABLES}/gone/unregister"), &json!({})).await.ok(200);
        team.grant_on(&["a", "b"], Privilege::TableCreate).await;
        if let Some(data) = data {
            team.grant_on(&["a", "b"], data).await;
        }
        let name = format!("back-{number}");
        let body = json!({ "name": name, "metadata-location": gone["metadata-location"] });
        let registered = vending(&team, Method::POST, "/v1/namespaces/a%1Fb/register", &body).await;
        assert_eq!(registered.status, 200, "{registered:?}");
        assert_eq!(world.vended(&registered, &location(&registered)), data.map_or(Vends::Nothing, vends), "{data:?}");
        team.revoke_all().await;
    }
}

#[tokio::test]
async fn credentials_cached_for_one_principal_do_not_reach_another() {
    let world = World::new(false).await;
    let team = world.team().await;
    let writer = world.catalog.key(world.organisation, Role::Writer, None).await;
    let reader = world.catalog.key(world.organisation, Role::Reader, None).await;
    let own = location(&world.catalog.get(&team.admin, TABLE).await);
    let ask = async |key: &str, tag: &str| {
        send(&team, key, Method::GET, TABLE, &Value::Null, &[("if-none-match", tag)]).await
    };
    team.grant_on(&["a", "b"], Privilege::TableReadProperties).await;
    let mut tags = Vec::new();
    // Each in turn, twice, so that each answer comes after those of the others are cached.
    for _ in 0..2 {
        for (key, expected) in [
            (&writer, Vends::ReadAndWrite),
            (&team.key, Vends::Nothing),
            (&reader, Vends::Read),
            (&team.key, Vends::Nothing),
        ] {
            let answer = ask(key, "\"none\"").await;
            assert_eq!(world.vended(&answer, &own), expected);
            tags.push((expected, answer.header("etag").to_owned()));
        }
    }
    // A tag is good for answers with the same access alone.
    for (key, has) in [(&writer, Vends::ReadAndWrite), (&reader, Vends::Read), (&team.key, Vends::Nothing)] {
        for (of, tag) in &tags {
            let answer = ask(key, tag).await;
            assert_eq!(answer.status.as_u16(), if *of == has { 304 } else { 200 }, "{has:?} with the tag of {of:?}");
            assert!(answer.status == 200 || answer.bytes.is_empty());
        }
    }
    // A principal that may not load gets no 304, whatever tag it sends.
    team.revoke_all().await;
    for tag in ["*", &tags[0].1] {
        ask(&team.key, tag).await.error(404, "NoSuchWarehouseException");
    }
}

#[tokio::test]
async fn repeated_creation_vends_nothing_after_its_table_is_gone() {
    let world = World::new(false).await;
    let team = world.team().await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    let other = world.catalog.key(world.organisation, Role::Writer, None).await;
    let id = tidewater::base::clock::fresh_ordered_uuid().to_string();
    let create = async |key: &str| {
        send(&team, key, Method::POST, TABLES, &create_table("once"), &[("idempotency-key", &id)]).await
    };
    let first = create(&team.key).await;
    let own = location(&first);
    assert_eq!(world.vended(&create(&team.key).await, &own), Vends::ReadAndWrite);
    create(&other).await.error(409, "AlreadyExistsException");
    // Another principal's table gets the name.
    assert_eq!(team.catalog.delete(&team.admin, &format!("{TABLES}/once")).await.status, 204);
    team.catalog.post(&other, TABLES, &create_table("once")).await.ok(200);
    let repeated = create(&team.key).await;
    assert_eq!(world.vended(&repeated, &own), Vends::Nothing, "{repeated:?}");
    assert_eq!(location(&repeated), own);
}

#[tokio::test]
async fn request_is_signed_for_the_method_and_path_that_the_privilege_allows() {
    let world = World::new(true).await;
    let team = world.team().await;
    let own = location(&world.catalog.get(&team.admin, TABLE).await);
    let sibling = location(&world.catalog.get(&team.admin, "/v1/namespaces/a%1Fbc/tables/t").await);
    let sign = async |method: &str, location: &str| {
        let uri = world.s3.address_of(location, "data/x");
        let headers =
            json!({ "x-amz-content-sha256": ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"] });
        let body = json!({ "region": "us-east-1", "uri": uri, "method": method, "headers": headers });
        team.ask(Method::POST, &format!("{TABLE}/sign"), &body).await
    };
    for privilege in Privilege::ALL {
        for (on, counts) in objects(&team, *privilege).await {
            team.grant(on.clone(), *privilege).await;
            let has = if counts { vends(*privilege) } else { Vends::Nothing };
            for (method, needs_write) in [("GET", false), ("HEAD", false), ("PUT", true), ("DELETE", true)] {
                let what = format!("{privilege} on {on:?}: {method}");
                let may = has == Vends::ReadAndWrite || has == Vends::Read && !needs_write;
                let signed = sign(method, &own).await;
                assert_eq!(signed.status == 200, may, "{what}: {signed:?}");
                assert!(may || [403, 404].contains(&signed.status.as_u16()), "{what}: {signed:?}");
                let beside = sign(method, &sibling).await;
                assert!([403, 404].contains(&beside.status.as_u16()), "{what} on the sibling: {beside:?}");
            }
            team.revoke_all().await;
        }
    }
}

#[tokio::test]
async fn pass_of_another_principal_signs_nothing_without_the_privilege() {
    let world = World::new(true).await;
    let team = world.team().await;
    let loaded = send(&team, &team.admin, Method::GET, TABLE, &Value::Null, &[]).await;
    let (own, pass) = (location(&loaded), loaded.json()["remote-signing-config"]["properties"].clone());
    assert!(pass.is_object(), "{loaded:?}");
    let sign = async |path: &str| {
        let uri = world.s3.address_of(&own, "data/x");
        let body = json!({ "region": "us-east-1", "uri": uri, "method": "GET", "headers": {}, "properties": pass });
        team.ask(Method::POST, path, &body).await
    };
    let path = format!("{TABLE}/sign");
    assert_eq!(sign(&path).await.status, 404);
    team.grant_on(&["a", "b"], Privilege::TableReadProperties).await;
    assert_eq!(sign(&path).await.status, 403);
    // The table is moved away: its pass is good only where the caller may read.
    let rename = json!({ "source": { "namespace": ["a", "b"], "name": "t" },
                         "destination": { "namespace": ["a", "bc"], "name": "moved" } });
    assert_eq!(team.catalog.post(&team.admin, "/v1/tables/rename", &rename).await.status, 204);
    assert!([403, 404].contains(&sign(&path).await.status.as_u16()));
    team.revoke_all().await;
    team.grant_on(&["a", "bc"], Privilege::TableReadData).await;
    // The pass is for the former name, whose namespace the caller does not see.
    assert_eq!(sign(&path).await.status, 404);
    assert_eq!(sign("/v1/namespaces/a%1Fbc/tables/moved/sign").await.status, 200);
}

/// Returns the key of a new user, and that of a new engine that may act for users.
async fn user_and_engine(team: &Team<'_>, user: &str, engine: &str) -> (String, String) {
    const KEYS: &str = "/management/v1/organisations/acme/keys";
    let mut keys = Vec::new();
    for (kind, role) in [("user", user), ("engine", engine)] {
        let new = json!({ "name": format!("{kind}-{user}-{engine}"), "role": role });
        let made = team.catalog.post(&team.admin, KEYS, &new).await.ok(200);
        keys.push((made["name"].as_str().unwrap().to_owned(), made["api_key"].as_str().unwrap().to_owned()));
    }
    let [(_, user), (name, engine)] = &keys[..] else { panic!("two keys") };
    team.catalog.patch(&team.admin, &format!("{KEYS}/{name}"), &json!({ "acts-for-users": true })).await.ok(200);
    (user.clone(), engine.clone())
}

/// Returns the token of a user through an engine.
async fn through(team: &Team<'_>, user: &str, engine: &str) -> String {
    let form =
        format!("grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={user}&actor_token={engine}");
    let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
    let answer = team.catalog.send(request.body(form.into()).unwrap()).await.ok(200);
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn token_through_an_engine_vends_the_lower_access_of_both() {
    let world = World::new(false).await;
    let team = world.team().await;
    let own = location(&world.catalog.get(&team.admin, TABLE).await);
    for (user, engine, expected) in [
        ("writer", "writer", Vends::ReadAndWrite),
        ("writer", "reader", Vends::Read),
        ("reader", "writer", Vends::Read),
    ] {
        let (user_key, engine_key) = user_and_engine(&team, user, engine).await;
        let token = through(&team, &user_key, &engine_key).await;
        let loaded = send(&team, &token, Method::GET, TABLE, &Value::Null, &[]).await;
        assert_eq!(world.vended(&loaded, &own), expected, "{user} through {engine}");
    }
    // The creator owns the table, but its engine may only create it.
    let (user, engine) = user_and_engine(&team, "writer", "none").await;
    team.join(&engine).await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    let token = through(&team, &user, &engine).await;
    let made = send(&team, &token, Method::POST, TABLES, &create_table("through"), &[]).await;
    assert_eq!(world.vended(&made, &location(&made)), Vends::Nothing, "{made:?}");
    let directly = send(&team, &user, Method::POST, TABLES, &create_table("directly"), &[]).await;
    assert_eq!(world.vended(&directly, &location(&directly)), Vends::ReadAndWrite);
}

#[tokio::test]
async fn restricted_caller_gets_credentials_only_through_a_trusted_engine() {
    const ACME: &str = "/management/v1/organisations/acme";
    for signs in [false, true] {
        let world = World::new(signs).await;
        let team = world.team().await;
        let own = location(&world.catalog.get(&team.admin, TABLE).await);
        let machine = async |method: Method, path: String, body: Value, status: u16| {
            world.catalog.machine(method, &format!("{ACME}{path}"), &body).await.ok(status)
        };
        let roles = machine(Method::GET, "/principal-roles".to_owned(), Value::Null, 200).await;
        let role = roles["roles"][0]["name"].as_str().unwrap().to_owned();
        let members = machine(Method::GET, format!("/principal-roles/{role}/principals"), Value::Null, 200).await;
        let principal = members["principals"][0]["name"].as_str().unwrap().to_owned();
        team.grant(Securable::Warehouse, Privilege::TableWriteData).await;
        let load = async || vending(&team, Method::GET, TABLE, &Value::Null).await;
        let gives = |answer: &Answer| {
            let text = answer.json().to_string();
            text.contains("session-") || text.contains("remote-signing-config")
        };
        assert!(gives(&load().await), "without a restriction");

        let restriction = format!("/warehouses/lake/namespaces/a%1Fb/tables/t/restrictions/{role}");
        let masks = json!({ "masks": [{ "column": "text", "action": "replace-with-null" }], "others": "plan" });
        machine(Method::PUT, restriction, masks, 204).await;
        let planned = load().await;
        assert!(planned.status == 200 && !gives(&planned), "{}", planned.json());
        let plan = vending(&team, Method::POST, &format!("{TABLE}/plan"), &json!({})).await;
        assert!(plan.status == 200 && plan.json().get("storage-credentials").is_none(), "{}", plan.json());
        let refreshed = vending(&team, Method::GET, &format!("{TABLE}/credentials"), &Value::Null).await;
        refreshed.error(403, "ForbiddenException");
        let object = own.replace("s3://", "https://s3.us-east-1.amazonaws.com/") + "/data/a.parquet";
        let sign = json!({ "region": "us-east-1", "uri": object, "method": "GET", "headers": {} });
        let signed = vending(&team, Method::POST, &format!("{TABLE}/sign"), &sign).await;
        signed.error(403, "ForbiddenException");

        machine(Method::PUT, format!("/trusted-engines/{principal}"), Value::Null, 204).await;
        let trusted = load().await;
        assert!(gives(&trusted), "{}", trusted.json());
        assert!(trusted.json()["read-restrictions"]["required-column-projections"].is_array());
    }
}
