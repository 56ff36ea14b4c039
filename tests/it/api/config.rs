//! `GET /v1/config`

use axum::http::Method;
use serde_json::json;

use crate::support::Catalog;

#[tokio::test]
async fn config_names_the_default_warehouse_and_its_prefix() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let config = catalog.get(&tenant.key, "/v1/config").await.ok(200);
    assert_eq!(config["defaults"], json!({ "warehouse": "main" }));
    assert_eq!(config["overrides"], json!({ "prefix": "main" }));
}

#[tokio::test]
async fn another_warehouse_is_reached_by_its_prefix() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.warehouse(tenant.organisation, "second").await;
    let config = catalog.get(&tenant.key, "/v1/config?warehouse=second").await.ok(200);
    assert_eq!(config["overrides"]["prefix"], "second");
    catalog.post(&tenant.key, "/v1/second/namespaces", &json!({ "namespace": ["only-there"] })).await.ok(200);
    catalog.get(&tenant.key, "/v1/second/namespaces/only-there").await.ok(200);
    catalog.get(&tenant.key, "/v1/namespaces/only-there").await.error(404, "NoSuchNamespaceException");
    catalog.get(&tenant.key, "/v1/config?warehouse=none").await.error(404, "NoSuchWarehouseException");
    catalog.get(&tenant.key, "/v1/none/namespaces").await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn advertised_endpoints_are_exactly_those_served() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let config = catalog.get(&tenant.key, "/v1/config").await.ok(200);
    let advertised: Vec<_> = config["endpoints"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    for endpoint in &advertised {
        let (method, template) = endpoint.split_once(' ').unwrap();
        let path = template
            .replace("{prefix}", "main")
            .replace("{namespace}", "n")
            .replace("{table}", "t")
            .replace("{view}", "v")
            .replace("{function}", "f")
            .replace("{plan-id}", "p");
        let answer = catalog.bytes(&tenant.key, Method::try_from(method).unwrap(), &path, "{}").await;
        let unrouted = String::from_utf8_lossy(&answer.bytes).contains("No such route");
        assert!(answer.status != 405 && !unrouted && !answer.status.is_server_error(), "{endpoint}: {answer:?}");
    }
    for planning in
        ["POST {table}/plan", "GET {table}/plan/{plan-id}", "DELETE {table}/plan/{plan-id}", "POST {table}/tasks"]
    {
        let endpoint = planning.replace("{table}", "/v1/{prefix}/namespaces/{namespace}/tables/{table}");
        assert!(advertised.contains(&&*endpoint), "{endpoint}");
    }
}

#[tokio::test]
async fn every_form_of_the_base_uri_works() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    for path in
        ["/v1/config", "/v1/v1/config", "/catalog/v1/config", "/v1/v1/main/namespaces", "/catalog/v1/namespaces"]
    {
        catalog.get(&tenant.key, path).await.ok(200);
    }
}
