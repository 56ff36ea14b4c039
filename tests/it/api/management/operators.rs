//! `/management/v1/operators`

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::Catalog;

const OPERATORS: &str = "/management/v1/operators";

#[tokio::test]
async fn local_user_creates_the_first_operator_which_creates_the_next() {
    let catalog = Catalog::new().await;
    let first = catalog.machine(Method::POST, OPERATORS, &json!({ "name": "first" })).await.ok(200);
    assert_eq!((&first["name"], &first["role"]), (&json!("first"), &json!("operator")));
    let key = first["api_key"].as_str().unwrap();
    assert!(key.starts_with("flx_") && first["id"].is_string(), "{first}");
    catalog.post(key, OPERATORS, &json!({ "name": "second" })).await.ok(200);
    let listed = catalog.get(key, OPERATORS).await.ok(200);
    let names: Vec<_> = listed["operators"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(listed.to_string().find("flx_").is_none(), "{listed}");
}

#[tokio::test]
async fn operator_name_is_unique_until_its_revocation() {
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    let message = catalog.post(&key, OPERATORS, &json!({ "name": "ops" })).await.error(409, "AlreadyExistsException");
    assert!(message.contains("There is an operator 'ops' already"), "{message}");
    catalog.machine(Method::DELETE, &format!("{OPERATORS}/ops"), &Value::Null).await.ok(204);
    catalog.machine(Method::DELETE, &format!("{OPERATORS}/ops"), &Value::Null).await.ok(204);
    let again = catalog.machine(Method::POST, OPERATORS, &json!({ "name": "ops" })).await.ok(200);
    let message = catalog.get(&key, OPERATORS).await.error(401, "NotAuthorizedException");
    assert!(message.contains("revoked"), "the key of the first is refused at once: {message}");
    catalog.get(again["api_key"].as_str().unwrap(), OPERATORS).await.ok(200);
    let gone = format!("{OPERATORS}/nobody");
    catalog.machine(Method::DELETE, &gone, &Value::Null).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn operator_gets_403_with_the_reason_for_tables() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let key = catalog.operator().await;
    for path in [
        "/v1/config",
        "/v1/namespaces",
        "/v1/main/namespaces/ns/tables/t",
        "/v1/namespaces/ns/tables/t",
        "/management/v1/warehouses/main/dropped",
    ] {
        let message = catalog.get(&key, path).await.error(403, "ForbiddenException");
        assert!(message.contains("belongs to an operator"), "{path}: {message}");
    }
    catalog.post(&key, "/v1/namespaces", &json!({ "namespace": ["a"] })).await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn keys_of_organisations_manage_no_operators() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let writer = catalog.key(tenant.organisation, Role::Writer, None).await;
    for key in [&tenant.key, &writer] {
        catalog.get(key, OPERATORS).await.error(403, "ForbiddenException");
        catalog.post(key, OPERATORS, &json!({ "name": "mine" })).await.error(403, "ForbiddenException");
        catalog.delete(key, &format!("{OPERATORS}/ops")).await.error(403, "ForbiddenException");
    }
    catalog.get("nonsense", OPERATORS).await.error(401, "NotAuthorizedException");
}

#[tokio::test]
async fn unknown_field_is_refused_by_name() {
    let catalog = Catalog::new().await;
    let key = catalog.operator().await;
    let refused = catalog.post(&key, OPERATORS, &json!({ "name": "a", "colour": "red" })).await;
    assert!(refused.error(400, "BadRequestException").contains("colour"));
    let refused = catalog.post(&key, OPERATORS, &json!({})).await;
    assert!(refused.error(400, "BadRequestException").contains("name"));
    for name in ["", " a", "a\nb", &"x".repeat(65)] {
        catalog.post(&key, OPERATORS, &json!({ "name": name })).await.error(400, "BadRequestException");
    }
    let large = json!({ "name": "x".repeat(70_000) });
    catalog.post(&key, OPERATORS, &large).await.error(413, "PayloadTooLargeException");
}

/// Returns a token of the operator with a key.
async fn token_of(catalog: &Catalog, key: &str) -> String {
    let body = format!("grant_type=client_credentials&scope=operator&client_secret={key}");
    let request = Request::post("/v1/oauth/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    let answer = catalog.send(request).await.ok(200);
    assert_eq!(answer["scope"], "operator");
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn operators_token_reads_and_changes_organisations_and_nothing_else() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let token = token_of(&catalog, &catalog.operator().await).await;
    let organisations = "/management/v1/organisations";
    for path in ["/management/v1/status", organisations, "/management/v1/slow-requests", "/metrics"] {
        assert_eq!(catalog.get(&token, path).await.status, 200, "{path}");
    }
    catalog.post(&token, organisations, &json!({ "name": "new" })).await.ok(200);
    let new = format!("{organisations}/new");
    catalog.patch(&token, &new, &json!({ "suspended": true })).await.ok(200);
    catalog.delete(&token, &new).await.ok(200);
    catalog.post(&token, &format!("{new}/restore"), &json!({})).await.ok(200);
    for path in [
        OPERATORS.to_owned(),
        "/management/v1/reload".to_owned(),
        "/management/v1/signing-keys".to_owned(),
        "/management/v1/subscriptions".to_owned(),
        format!("{organisations}/acme/keys"),
        format!("{organisations}/acme/warehouses"),
    ] {
        let message = catalog.post(&token, &path, &json!({ "name": "x" })).await.error(403, "ForbiddenException");
        assert!(message.contains("An operator's token"), "{path}: {message}");
    }
    catalog.delete(&token, &format!("{OPERATORS}/ops")).await.error(403, "ForbiddenException");
    for path in [
        "/v1/config",
        "/v1/main/namespaces/ns/tables/t",
        "/management/v1/warehouses/main/dropped",
        "/management/v1/organisations/acme/warehouses/main/tables",
    ] {
        catalog.get(&token, path).await.error(403, "ForbiddenException");
    }
    catalog.machine(Method::DELETE, &format!("{OPERATORS}/ops"), &Value::Null).await.ok(204);
    let message = catalog.get(&token, organisations).await.error(401, "NotAuthorizedException");
    assert!(message.contains("revoked"), "{message}");
}
