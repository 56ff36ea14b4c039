//! Tests that organisations cannot see or reach each other's objects.

use axum::http::Method;
use serde_json::json;

use crate::support::{Catalog, create_table, create_view};

#[tokio::test]
async fn objects_of_another_organisation_look_missing() {
    let catalog = Catalog::new().await;
    let (ann, bob) = (catalog.tenant("ann", "enterprise").await, catalog.tenant("bob", "enterprise").await);
    catalog.warehouse(ann.organisation, "anns").await;
    let created = catalog.with_table(&ann).await;
    let view = catalog.post(&ann.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    catalog.post(&bob.key, "/v1/namespaces", &json!({ "namespace": ["own"] })).await.ok(200);

    let before = catalog.get(&bob.key, "/v1/namespaces/never").await;
    let foreign = catalog.get(&bob.key, "/v1/namespaces/ns").await;
    assert_eq!(
        before.error(404, "NoSuchNamespaceException").replace("never", "ns"),
        foreign.error(404, "NoSuchNamespaceException")
    );
    let rename = |name: &str| json!({ "source": { "namespace": ["ns"], "name": name }, "destination": { "namespace": ["own"], "name": name } });
    for (method, path, body) in [
        (Method::GET, "/v1/namespaces/ns/tables", json!(null)),
        (Method::GET, "/v1/namespaces/ns/tables/t", json!(null)),
        (Method::GET, "/v1/anns/namespaces", json!(null)),
        (Method::GET, "/v1/config?warehouse=anns", json!(null)),
        (Method::DELETE, "/v1/namespaces/ns", json!(null)),
        (Method::DELETE, "/v1/namespaces/ns/tables/t", json!(null)),
        (Method::POST, "/v1/namespaces/ns/properties", json!({ "updates": { "a": "b" } })),
        (Method::POST, "/v1/namespaces/ns/tables", create_table("x")),
        (Method::POST, "/v1/namespaces/ns/tables/t", json!({ "requirements": [], "updates": [] })),
        (Method::POST, "/v1/namespaces/ns/tables/t/metrics", json!({})),
        (Method::GET, "/v1/namespaces/ns/tables/t/credentials", json!(null)),
        (Method::POST, "/v1/namespaces/ns/tables/t/plan", json!({})),
        (Method::POST, "/v1/namespaces/ns/tables/t/tasks", json!({ "plan-task": "x" })),
        (Method::POST, "/v1/namespaces/ns/tables/t/unregister", json!(null)),
        (Method::POST, "/v1/namespaces/ns/register", json!({ "name": "w", "metadata-location": "file:///w" })),
        (Method::GET, "/v1/namespaces/ns/functions", json!(null)),
        (Method::POST, "/v1/tables/rename", rename("t")),
        (
            Method::POST,
            "/v1/transactions/commit",
            json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": "t" },
                "requirements": [], "updates": [] }] }),
        ),
        (Method::GET, "/v1/namespaces/ns/views", json!(null)),
        (Method::GET, "/v1/namespaces/ns/views/v", json!(null)),
        (Method::HEAD, "/v1/namespaces/ns/views/v", json!(null)),
        (Method::DELETE, "/v1/namespaces/ns/views/v", json!(null)),
        (Method::POST, "/v1/namespaces/ns/views", create_view("w", "select 1")),
        (Method::POST, "/v1/namespaces/ns/views/v", json!({ "requirements": [], "updates": [] })),
        (Method::POST, "/v1/namespaces/ns/register-view", json!({ "name": "w", "metadata-location": "file:///w" })),
        (Method::POST, "/v1/views/rename", rename("v")),
    ] {
        let answer = catalog.bytes(&bob.key, method.clone(), path, body.to_string()).await;
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
    }
    assert_eq!(catalog.get(&bob.key, "/v1/namespaces").await.ok(200)["namespaces"], json!([["own"]]));
    assert_eq!(catalog.get(&ann.key, "/v1/namespaces/ns/tables/t").await.ok(200), created);
    assert_eq!(catalog.get(&ann.key, "/v1/namespaces/ns/views/v").await.ok(200), view);
}

#[tokio::test]
async fn table_location_in_another_organisations_warehouse_is_refused() {
    let catalog = Catalog::new().await;
    let (ann, bob) = (catalog.tenant("ann", "enterprise").await, catalog.tenant("bob", "enterprise").await);
    let location = catalog.with_table(&ann).await["metadata"]["location"].clone();
    catalog.post(&bob.key, "/v1/namespaces", &json!({ "namespace": ["own"] })).await.ok(200);
    let mut request = create_table("stolen");
    request["location"] = location.clone();
    for stage in [false, true] {
        request["stage-create"] = json!(stage);
        let refused = catalog.post(&bob.key, "/v1/namespaces/own/tables", &request).await;
        refused.error(400, "BadRequestException");
    }
    let namespace = json!({ "namespace": ["theirs"], "properties": { "location": location } });
    catalog.post(&bob.key, "/v1/namespaces", &namespace).await.error(400, "BadRequestException");
}
