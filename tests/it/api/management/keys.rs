//! `/management/v1/organisations/{organisation}/keys`

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::base::clock::Clock;
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant};

const KEYS: &str = "/management/v1/organisations/acme/keys";

async fn acme() -> (Catalog, Tenant) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    (catalog, tenant)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn key_created_by_local_user_operator_or_admin_works_at_once() {
    let (catalog, tenant) = acme().await;
    let operator = catalog.operator().await;
    let body = |name: &str| json!({ "name": name, "role": "writer" });
    let made = [
        catalog.machine(Method::POST, KEYS, &body("a")).await.ok(200),
        catalog.post(&operator, KEYS, &body("b")).await.ok(200),
        catalog.post(&tenant.key, KEYS, &body("c")).await.ok(200),
    ];
    for key in &made {
        catalog.get(text(&key["api_key"]), "/v1/namespaces").await.ok(200);
        let shown = catalog.get(&tenant.key, &format!("{KEYS}/{}", text(&key["id"]))).await.ok(200);
        assert_eq!(
            (&shown["name"], &shown["role"], &shown["state"]),
            (&key["name"], &json!("writer"), &json!("active"))
        );
        assert!(shown.get("api_key").is_none(), "{shown}");
    }
    let listed = catalog.get(&tenant.key, KEYS).await.ok(200);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 4);
    assert!(!listed.to_string().contains("flx_"), "{listed}");
    let events = catalog.get(&tenant.key, &KEYS.replace("keys", "events?operation=create-key")).await.ok(200);
    let actors: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["actor-type"]).collect();
    assert_eq!(actors[..3], ["key", "operator", "command-line"]);
}

#[tokio::test]
async fn keys_are_managed_only_by_administrators_of_their_organisation() {
    let (catalog, tenant) = acme().await;
    let other = catalog.tenant("other", "enterprise").await;
    let body = json!({ "name": "a", "role": "reader" });
    let one = format!("{KEYS}/test");
    for role in [Role::Reader, Role::Writer] {
        let key = catalog.key(tenant.organisation, role, None).await;
        catalog.get(&key, KEYS).await.error(403, "ForbiddenException");
        catalog.post(&key, KEYS, &body).await.error(403, "ForbiddenException");
        catalog.get(&key, &one).await.error(403, "ForbiddenException");
        catalog.patch(&key, &one, &json!({})).await.error(403, "ForbiddenException");
        catalog.delete(&key, &one).await.error(403, "ForbiddenException");
        catalog.post(&key, &format!("{one}/rotate"), &json!({})).await.error(403, "ForbiddenException");
    }
    catalog.get(&other.key, KEYS).await.error(404, "NotFoundException");
    catalog.post(&other.key, KEYS, &body).await.error(404, "NotFoundException");
    catalog.get(&other.key, &one).await.error(404, "NotFoundException");
    catalog.patch(&other.key, &one, &json!({})).await.error(404, "NotFoundException");
    catalog.delete(&other.key, &one).await.error(404, "NotFoundException");
    catalog.post(&other.key, &format!("{one}/rotate"), &json!({})).await.error(404, "NotFoundException");
    catalog.get(&tenant.key, "/v1/namespaces").await.ok(200);
}

#[tokio::test]
async fn key_name_is_unique_among_usable_keys() {
    let (catalog, tenant) = acme().await;
    let ci = json!({ "name": "ci", "role": "reader" });
    catalog.post(&tenant.key, KEYS, &ci).await.ok(200);
    let message = catalog.post(&tenant.key, KEYS, &ci).await.error(409, "AlreadyExistsException");
    assert!(message.contains("has a key 'ci' already"), "{message}");
    catalog.delete(&tenant.key, &format!("{KEYS}/ci")).await.ok(204);
    catalog.post(&tenant.key, KEYS, &ci).await.ok(200);
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let (catalog, tenant) = acme().await;
    for body in [
        json!({ "name": "a" }),
        json!({ "name": "a", "role": "operator" }),
        json!({ "name": "a", "role": "root" }),
        json!({ "name": " ", "role": "reader" }),
        json!({ "name": "a", "role": "reader", "expires-ms": 1 }),
        json!({ "name": "a", "role": "reader", "expires-s": -1 }),
        json!({ "name": "a", "role": "reader", "expires-s": u64::MAX }),
        json!({ "name": "a", "role": "reader", "expires-s": 60, "expires-ms": 9_000_000_000_000_i64 }),
        json!({ "name": "a", "role": "reader", "expires_ms": 9_000_000_000_000_i64 }),
    ] {
        let answer = catalog.post(&tenant.key, KEYS, &body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    catalog.get(&tenant.key, &format!("{KEYS}/none")).await.error(404, "NotFoundException");
    catalog.delete(&tenant.key, &format!("{KEYS}/none")).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let (catalog, tenant) = acme().await;
    for name in ["a", "b"] {
        catalog.post(&tenant.key, KEYS, &json!({ "name": name, "role": "reader" })).await.ok(200);
    }
    let first = catalog.get(&tenant.key, &format!("{KEYS}?page-size=2")).await.ok(200);
    assert_eq!(first["keys"].as_array().unwrap().len(), 2);
    let token = text(&first["next-page-token"]);
    let last = catalog.get(&tenant.key, &format!("{KEYS}?page-size=2&page-token={token}")).await.ok(200);
    assert_eq!((&last["keys"][0]["name"], &last["next-page-token"]), (&json!("b"), &Value::Null));
    catalog.get(&tenant.key, &format!("{KEYS}?page-token=x")).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn change_to_a_key_takes_effect_at_once_and_leaves_one_event() {
    let (catalog, tenant) = acme().await;
    let made = catalog.post(&tenant.key, KEYS, &json!({ "name": "etl", "role": "reader" })).await.ok(200);
    let (key, path) = (text(&made["api_key"]), format!("{KEYS}/{}", text(&made["id"])));
    let create = json!({ "namespace": ["a"] });
    catalog.post(key, "/v1/namespaces", &create).await.error(403, "ForbiddenException");
    let end = Clock::System.now_ms() + 3_600_000;
    let change = json!({ "role": "writer", "name": "load", "expires-ms": end, "no-delete": true });
    let changed = catalog.patch(&tenant.key, &path, &change).await.ok(200);
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(catalog.patch(&tenant.key, &path, &change).await.ok(200)["role"], "writer");
    catalog.post(key, "/v1/namespaces", &create).await.ok(200);
    let never = catalog.patch(&tenant.key, &path, &json!({ "expires-ms": null })).await.ok(200);
    assert_eq!(never["expires-ms"], Value::Null);
    assert_eq!(catalog.patch(&tenant.key, &path, &json!({})).await.ok(200), never, "absent fields stay unchanged");
    catalog.patch(&tenant.key, &path, &json!({ "name": "test" })).await.error(409, "AlreadyExistsException");
    catalog.patch(&tenant.key, &path, &json!({ "secret": "x" })).await.error(400, "BadRequestException");
    let events = catalog.get(&tenant.key, &KEYS.replace("keys", "events?operation=update-key")).await.ok(200);
    let events = events["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((&events[1]["object"], &events[1]["new-name"]), (&json!("etl"), &json!("load")));
    assert_eq!(events[1]["details"]["role"], json!({ "before": "reader", "after": "writer" }));
}

#[tokio::test]
async fn revoked_key_is_refused_at_once_and_for_ever() {
    let (catalog, tenant) = acme().await;
    let made = catalog.post(&tenant.key, KEYS, &json!({ "name": "ci", "role": "writer" })).await.ok(200);
    let (key, path) = (text(&made["api_key"]), format!("{KEYS}/{}", text(&made["id"])));
    catalog.get(key, "/v1/namespaces").await.ok(200);
    for path in [&path, &path, &format!("{KEYS}/ci")] {
        catalog.delete(&tenant.key, path).await.ok(204);
    }
    let message = catalog.get(key, "/v1/namespaces").await.error(401, "NotAuthorizedException");
    assert!(message.contains("revoked"), "{message}");
    assert_eq!(catalog.get(&tenant.key, &path).await.ok(200)["state"], "revoked");
    catalog.patch(&tenant.key, &path, &json!({ "role": "admin" })).await.error(409, "ConflictException");
    catalog.post(&tenant.key, &format!("{path}/rotate"), &json!({})).await.error(409, "ConflictException");
}

#[tokio::test]
async fn rotation_gives_a_new_key_and_ends_the_old_one_after_the_overlap() {
    let (catalog, tenant) = acme().await;
    let body = json!({ "name": "ci", "role": "writer", "no-delete": true });
    let old = catalog.post(&tenant.key, KEYS, &body).await.ok(200);
    let before_ms = Clock::System.now_ms();
    let new = catalog.post(&tenant.key, &format!("{KEYS}/ci/rotate"), &json!({ "overlap-s": 60 })).await.ok(200);
    assert_eq!([&new["name"], &new["role"], &new["no-delete"]], [&old["name"], &old["role"], &old["no-delete"]]);
    assert_ne!((&new["id"], &new["api_key"]), (&old["id"], &old["api_key"]));
    for key in [&old, &new] {
        catalog.get(text(&key["api_key"]), "/v1/namespaces").await.ok(200);
    }
    let old_path = format!("{KEYS}/{}", text(&old["id"]));
    let ends_ms = catalog.get(&tenant.key, &old_path).await.ok(200)["expires-ms"].as_i64().unwrap();
    assert!((60_000..120_000).contains(&(ends_ms - before_ms)), "{ends_ms}");
    let events = catalog.get(&tenant.key, &KEYS.replace("keys", "events?operation=rotate-key")).await.ok(200);
    assert_eq!(events["events"][0]["details"], json!({ "new-key-id": new["id"], "old-expires-ms": ends_ms }));
    let new_path = format!("{KEYS}/{}", text(&new["id"]));
    catalog.post(&tenant.key, &format!("{new_path}/rotate"), &json!({ "overlap-s": 0 })).await.ok(200);
    let message = catalog.get(text(&new["api_key"]), "/v1/namespaces").await.error(401, "NotAuthorizedException");
    assert!(message.contains("expired"), "without an overlap it ends at once: {message}");
    let long = json!({ "overlap-s": 99_999_999_999_u64 });
    catalog.post(&tenant.key, &format!("{old_path}/rotate"), &long).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn expired_key_becomes_usable_again_only_under_a_free_name() {
    let (catalog, tenant) = acme().await;
    let old = catalog.post(&tenant.key, KEYS, &json!({ "name": "ci", "role": "writer" })).await.ok(200);
    catalog.post(&tenant.key, &format!("{KEYS}/ci/rotate"), &json!({ "overlap-s": 0 })).await.ok(200);
    let path = format!("{KEYS}/{}", text(&old["id"]));
    let message =
        catalog.patch(&tenant.key, &path, &json!({ "expires-ms": null })).await.error(409, "AlreadyExistsException");
    assert!(message.contains("has a key 'ci' already"), "{message}");
    catalog.get(text(&old["api_key"]), "/v1/namespaces").await.error(401, "NotAuthorizedException");
    catalog.patch(&tenant.key, &path, &json!({ "name": "old", "expires-ms": null })).await.ok(200);
    catalog.get(text(&old["api_key"]), "/v1/namespaces").await.ok(200);
}

#[tokio::test]
async fn second_rotation_of_a_key_is_refused() {
    let (catalog, tenant) = acme().await;
    let old = catalog.post(&tenant.key, KEYS, &json!({ "name": "ci", "role": "writer" })).await.ok(200);
    let rotate = format!("{KEYS}/{}/rotate", text(&old["id"]));
    let new = catalog.post(&tenant.key, &rotate, &json!({ "overlap-s": 60 })).await.ok(200);
    let message = catalog.post(&tenant.key, &rotate, &json!({ "overlap-s": 60 })).await.error(409, "ConflictException");
    assert!(message.contains("was rotated already"), "{message}");
    let next = format!("{KEYS}/{}/rotate", text(&new["id"]));
    catalog.post(&tenant.key, &next, &json!({})).await.ok(200);
}

#[tokio::test]
async fn admin_may_revoke_a_key_over_the_daily_limit_and_without_the_catalog() {
    for tier in ["tiny", "free"] {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", tier).await;
        let leaked = catalog.post(&tenant.key, KEYS, &json!({ "name": "leaked", "role": "writer" })).await.ok(200);
        while catalog.get(text(&leaked["api_key"]), "/v1/namespaces").await.status == 200 {}
        catalog.delete(&tenant.key, &format!("{KEYS}/leaked")).await.ok(204);
        catalog.get(text(&leaked["api_key"]), "/v1/namespaces").await.error(401, "NotAuthorizedException");
        // Requests that read a lot still count against the limit.
        let contents = catalog.get(&tenant.key, "/management/v1/organisations/acme/warehouses/main/namespaces").await;
        assert_eq!(contents.status, if tier == "tiny" { 429 } else { 403 });
    }
}
