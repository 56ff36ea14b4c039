//! `/management/v1/organisations`

use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::Catalog;

const ORGANISATIONS: &str = "/management/v1/organisations";
const ACME: &str = "/management/v1/organisations/acme";

#[tokio::test]
async fn operator_creates_shows_and_lists_organisations() {
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    let made = catalog.post(&key, ORGANISATIONS, &json!({ "name": "acme", "tier": "premium" })).await.ok(200);
    assert_eq!([&made["name"], &made["tier"], &made["suspended"]], [&json!("acme"), &json!("premium"), &json!(false)]);
    assert!(made["id"].is_string() && made["created-ms"].is_i64(), "{made}");
    let smallest = catalog.machine(Method::POST, ORGANISATIONS, &json!({ "name": "beta" })).await.ok(200);
    assert_eq!(smallest["tier"], "tiny", "the smallest tier that includes the catalog");
    let shown = catalog.get(&key, ACME).await.ok(200);
    assert_eq!((&shown["id"], &shown["warehouses"], &shown["keys"]), (&made["id"], &json!([]), &json!(0)));
    let by_id = format!("{ORGANISATIONS}/{}", made["id"].as_str().unwrap());
    assert_eq!(catalog.get(&key, &by_id).await.ok(200)["name"], "acme");
    let taken = catalog.post(&key, ORGANISATIONS, &json!({ "name": "acme" })).await;
    assert_eq!(taken.error(409, "AlreadyExistsException"), "Organisation 'acme' exists already");
    catalog.get(&key, &format!("{ORGANISATIONS}/nobody")).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn organisations_are_listed_in_pages() {
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    for name in ["c", "a", "b"] {
        catalog.post(&key, ORGANISATIONS, &json!({ "name": name })).await.ok(200);
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = catalog.get(&key, &format!("{ORGANISATIONS}?page-size=2&page-token={token}")).await.ok(200);
        let found = page["organisations"].as_array().unwrap();
        names.extend(found.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        match page["next-page-token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    catalog.get(&key, &format!("{ORGANISATIONS}?page-size=0")).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn bad_organisations_are_refused() {
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    for body in [
        json!({ "name": "" }),
        json!({ "name": "a b" }),
        json!({ "name": "0198c2a4-5e1f-7a60-9d1b-2f6f0c1d2e3a" }),
        json!({ "name": "a", "tier": "golden" }),
        json!({ "name": "a", "teir": "premium" }),
        json!({ "name": 7 }),
        json!([]),
    ] {
        catalog.post(&key, ORGANISATIONS, &body).await.error(400, "BadRequestException");
    }
    let unknown = catalog.post(&key, ORGANISATIONS, &json!({ "name": "a", "teir": "premium" })).await;
    assert!(unknown.error(400, "BadRequestException").contains("`teir`"));
}

#[tokio::test]
async fn admin_may_show_but_not_change_its_organisation() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.tenant("other", "enterprise").await;
    assert_eq!(catalog.get(&tenant.key, ACME).await.ok(200)["warehouses"], json!(["main"]));
    let denied = [
        catalog.get(&tenant.key, ORGANISATIONS).await,
        catalog.post(&tenant.key, ORGANISATIONS, &json!({ "name": "a" })).await,
        catalog.patch(&tenant.key, ACME, &json!({ "tier": "premium" })).await,
        catalog.delete(&tenant.key, ACME).await,
        catalog.post(&tenant.key, &format!("{ACME}/restore"), &json!({})).await,
    ];
    for answer in denied {
        assert!(answer.error(403, "ForbiddenException").contains("Only an operator"));
    }
    let (other, none) = (format!("{ORGANISATIONS}/other"), format!("{ORGANISATIONS}/none"));
    let told = catalog.get(&tenant.key, &other).await.error(404, "NotFoundException");
    assert_eq!(told.replace("other", "none"), catalog.get(&tenant.key, &none).await.error(404, "NotFoundException"));
    for role in [Role::Reader, Role::Writer] {
        let key = catalog.key(tenant.organisation, role, None).await;
        catalog.get(&key, ACME).await.error(403, "ForbiddenException");
        catalog.get(&key, &other).await.error(403, "ForbiddenException");
    }
}

#[tokio::test]
async fn rename_and_tier_change_take_effect_at_once_and_leave_events() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let key = catalog.operator().await;
    let free = json!({ "tier": "free" });
    assert_eq!(catalog.patch(&key, ACME, &free).await.ok(200)["tier"], "free");
    let message = catalog.get(&tenant.key, "/v1/namespaces").await.error(403, "ForbiddenException");
    assert!(message.contains("not included in the tier 'free'"), "{message}");
    let renamed = catalog.patch(&key, ACME, &json!({ "name": "apex", "tier": "premium" })).await.ok(200);
    assert_eq!((&renamed["name"], &renamed["tier"]), (&json!("apex"), &json!("premium")));
    catalog.get(&key, ACME).await.error(404, "NotFoundException");
    let apex = format!("{ORGANISATIONS}/apex");
    catalog.patch(&key, &apex, &json!({ "name": "apex" })).await.ok(200);
    catalog.patch(&key, &apex, &json!({ "colour": 1 })).await.error(400, "BadRequestException");
    let events = catalog.get(&tenant.key, &format!("{apex}/events?actor=ops")).await.ok(200);
    let told: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["operation"]).collect();
    assert_eq!(told, ["set-tier", "rename-organisation", "set-tier"], "an unchanged value leaves no event: {events}");
    let last = &events["events"][0];
    assert_eq!((&last["actor"], &last["actor-type"]), (&json!("ops"), &json!("operator")));
    catalog.post(&key, ORGANISATIONS, &json!({ "name": "beta" })).await.ok(200);
    let taken = catalog.patch(&key, &format!("{ORGANISATIONS}/beta"), &json!({ "name": "apex" })).await;
    taken.error(409, "AlreadyExistsException");
}

#[tokio::test]
async fn suspended_organisation_is_refused_until_it_is_resumed() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let token = token(&catalog, &tenant.key).await;
    catalog.get(&token, "/v1/namespaces").await.ok(200);
    let suspended = catalog.patch(&operator, ACME, &json!({ "suspended": true })).await.ok(200);
    assert_eq!(suspended["suspended"], true);
    for credential in [&tenant.key, &token] {
        let message = catalog.get(credential, "/v1/namespaces").await.error(403, "ForbiddenException");
        assert!(message.contains("organisation 'acme' is suspended"), "{message}");
        catalog.get(credential, ACME).await.error(403, "ForbiddenException");
    }
    catalog.patch(&operator, ACME, &json!({ "suspended": true })).await.ok(200);
    catalog.patch(&operator, ACME, &json!({ "suspended": false })).await.ok(200);
    for credential in [&tenant.key, &token] {
        catalog.get(credential, "/v1/namespaces").await.ok(200);
    }
}

#[tokio::test]
async fn deleted_organisation_is_refused_at_once_and_restored_within_its_grace_time() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let deleted = catalog.delete(&operator, &format!("{ACME}?grace-s=3600")).await.ok(200);
    let again = catalog.delete(&operator, ACME).await.ok(200);
    assert_eq!(again, deleted, "a second request changes nothing");
    let again = catalog.delete(&operator, &format!("{ACME}?grace-s=7200")).await.ok(200);
    assert_eq!(again, deleted, "nor does one that names a grace time");
    let message = catalog.get(&tenant.key, "/v1/namespaces").await.error(403, "ForbiddenException");
    assert!(message.contains("organisation 'acme' is deleted"), "{message}");
    assert_eq!(catalog.get(&operator, ACME).await.ok(200)["delete-after-ms"], deleted["delete-after-ms"]);
    let restored = catalog.machine(Method::POST, &format!("{ACME}/restore"), &Value::Null).await.ok(200);
    assert_eq!(restored["delete-after-ms"], Value::Null);
    catalog.get(&tenant.key, "/v1/namespaces").await.ok(200);
    catalog.delete(&operator, &format!("{ACME}?grace-s=-1")).await.error(400, "BadRequestException");
    catalog.delete(&operator, &format!("{ACME}?grace-s=999999999999")).await.error(400, "BadRequestException");
    catalog.delete(&operator, &format!("{ACME}?grace-s=0")).await.ok(200);
    let late = catalog.post(&operator, &format!("{ACME}/restore"), &json!({})).await;
    late.error(409, "ConflictException");
}

/// Returns a token for a key.
async fn token(catalog: &Catalog, key: &str) -> String {
    let request = Request::post("/v1/oauth/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type=client_credentials&client_secret={key}").into())
        .unwrap();
    catalog.send(request).await.ok(200)["access_token"].as_str().unwrap().to_owned()
}
