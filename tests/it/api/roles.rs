//! What each role may do, route by route.

use axum::http::Method;
use serde_json::json;
use tidewater_core::access::Role;

use crate::support::{Catalog, create_table, create_view};

#[tokio::test]
async fn a_reader_looks_and_changes_nothing() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    for path in [
        "/v1/config",
        "/v1/namespaces",
        "/v1/namespaces/ns",
        "/v1/namespaces/ns/tables",
        "/v1/namespaces/ns/tables/t",
        "/v1/namespaces/ns/tables/t/credentials",
        "/v1/namespaces/ns/functions",
        "/v1/namespaces/ns/views",
        "/v1/namespaces/ns/views/v",
    ] {
        catalog.get(&reader, path).await.ok(200);
    }
    let changes = [
        (Method::POST, "/v1/namespaces", json!({ "namespace": ["x"] })),
        (Method::POST, "/v1/namespaces/ns/properties", json!({ "updates": { "a": "b" } })),
        (Method::DELETE, "/v1/namespaces/ns", json!(null)),
        (Method::POST, "/v1/namespaces/ns/tables", create_table("u")),
        (Method::POST, "/v1/namespaces/ns/tables/t", json!({ "requirements": [], "updates": [] })),
        (Method::POST, "/v1/namespaces/ns/register", json!({ "name": "x", "metadata-location": "file:///x" })),
        (Method::POST, "/v1/namespaces/ns/tables/t/unregister", json!(null)),
        (Method::DELETE, "/v1/namespaces/ns/tables/t", json!(null)),
        (
            Method::POST,
            "/v1/tables/rename",
            json!({ "source": { "namespace": ["ns"], "name": "t" },
            "destination": { "namespace": ["ns"], "name": "u" } }),
        ),
        (
            Method::POST,
            "/v1/transactions/commit",
            json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": "u" },
                "requirements": [], "updates": [] }] }),
        ),
        (Method::POST, "/v1/namespaces/ns/views", create_view("w", "select 1")),
        (Method::POST, "/v1/namespaces/ns/views/v", json!({ "requirements": [], "updates": [] })),
        (Method::POST, "/v1/namespaces/ns/register-view", json!({ "name": "x", "metadata-location": "file:///x" })),
        (
            Method::POST,
            "/v1/views/rename",
            json!({ "source": { "namespace": ["ns"], "name": "v" },
            "destination": { "namespace": ["ns"], "name": "u" } }),
        ),
        (Method::DELETE, "/v1/namespaces/ns/views/v", json!(null)),
    ];
    let writer = catalog.key(tenant.organisation, Role::Writer, None).await;
    for (method, path, body) in changes {
        for prefix in ["/v1", "/v1/main"] {
            let path = path.replacen("/v1", prefix, 1);
            let refused = catalog.bytes(&reader, method.clone(), &path, body.to_string()).await;
            assert!(refused.error(403, "ForbiddenException").contains("role is 'reader'"), "{method} {path}");
        }
        let allowed = catalog.bytes(&writer, method.clone(), path, body.to_string()).await;
        assert_ne!(allowed.status, 403, "{method} {path}");
    }
}
