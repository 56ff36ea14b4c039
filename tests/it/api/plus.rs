//! A `+` in the path of a namespace, table or view

use axum::http::Method;
use serde_json::json;

use crate::support::{Catalog, Tenant, create_table, create_view};

const OLD_JAVA: (&str, &str) = ("X-Client-Version", "Apache Iceberg 1.11.0 (commit 1234567)");

async fn with_namespaces(names: &[&str]) -> (Catalog, Tenant) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    for name in names {
        catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": [name] })).await.ok(200);
    }
    (catalog, tenant)
}

#[tokio::test]
async fn plus_means_the_namespace_that_exists() {
    for name in ["a b", "a+b"] {
        let (catalog, tenant) = with_namespaces(&[name]).await;
        let found = catalog.get(&tenant.key, "/v1/namespaces/a+b").await.ok(200);
        assert_eq!(found["namespace"], json!([name]));
        let created = catalog.post(&tenant.key, "/v1/namespaces/a+b/tables", &create_table("t+u v")).await.ok(200);
        assert!(created["metadata"]["table-uuid"].is_string());
        for table in ["t+u%20v", "t%2Bu%20v", "t%2Bu+v"] {
            catalog.get(&tenant.key, &format!("/v1/namespaces/a+b/tables/{table}")).await.ok(200);
        }
        catalog.delete(&tenant.key, "/v1/namespaces/a+b/tables/t+u%20v").await.ok(204);
        catalog.delete(&tenant.key, "/v1/namespaces/a+b").await.ok(204);
    }
}

#[tokio::test]
async fn ambiguous_plus_reads_the_literal_name_and_refuses_changes() {
    let (catalog, tenant) = with_namespaces(&["ns", "a b", "a+b"]).await;
    let found = catalog.get(&tenant.key, "/v1/namespaces/a+b").await.ok(200);
    assert_eq!(found["namespace"], json!(["a+b"]));
    let refused = catalog.delete(&tenant.key, "/v1/namespaces/a+b").await;
    assert!(refused.error(400, "BadRequestException").contains("write a plus as %2B and a space as %20"));

    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t u")).await.ok(200);
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("t+u", "select 1")).await.ok(200);
    catalog.get(&tenant.key, "/v1/namespaces/ns/views/t+u").await.ok(200);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t+u").await.error(400, "BadRequestException");
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t%20u").await.ok(204);
}

#[tokio::test]
async fn plus_of_an_old_java_client_is_a_space() {
    let (catalog, tenant) = with_namespaces(&["a b", "a+b"]).await;
    let found = catalog.with_headers(&tenant.key, Method::GET, "/v1/namespaces/a+b", &[OLD_JAVA]).await.ok(200);
    assert_eq!(found["namespace"], json!(["a b"]));
    catalog.with_headers(&tenant.key, Method::DELETE, "/v1/namespaces/a+b", &[OLD_JAVA]).await.ok(204);
    catalog.get(&tenant.key, "/v1/namespaces/a%2Bb").await.ok(200);
}

#[tokio::test]
async fn plus_in_the_name_of_a_missing_table_is_literal() {
    let (catalog, tenant) = with_namespaces(&["ns"]).await;
    let missing = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/a+b").await;
    assert_eq!(missing.error(404, "NoSuchTableException"), "Table does not exist: ns.a+b");
}
