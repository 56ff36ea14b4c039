//! `/management/v1/operators`

use axum::http::Method;
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
