//! A good request for each route, about objects that exist.

use axum::http::Method;
use serde_json::{Value, json};

use super::callers::Callers;
use crate::support::{Catalog, create_table, create_view};

/// What a request has beside its path.
pub(super) enum Content {
    Nothing,
    Json(Value),
    Form(String),
}

/// What a request is about: objects of `acme`, new for each route and for each caller that changes them.
pub(super) struct Objects {
    /// It has the table `t` and the view `v`.
    pub(super) namespace: String,
    /// An empty one.
    empty: String,
    /// The id of a dropped table.
    dropped: String,
    /// The metadata of a table that was removed from the catalog.
    table_metadata: Value,
    /// The metadata of a view that was dropped.
    view_metadata: Value,
}

impl Objects {
    pub(super) async fn new(catalog: &Catalog, callers: &Callers, route: &str) -> Self {
        let key = &callers.admin;
        let number = catalog.get(key, "/v1/namespaces").await.ok(200)["namespaces"].as_array().unwrap().len();
        let (namespace, empty) = (format!("ns{number}"), format!("empty{number}"));
        for name in [&namespace, &empty] {
            catalog.post(key, "/v1/namespaces", &json!({ "namespace": [name] })).await.ok(200);
        }
        let base = format!("/v1/namespaces/{namespace}");
        catalog.post(key, &format!("{base}/tables"), &create_table("t")).await.ok(200);
        catalog.post(key, &format!("{base}/views"), &create_view("v", "select 1")).await.ok(200);
        let (mut table_metadata, mut view_metadata) = (Value::Null, Value::Null);
        if route.contains("/register") {
            catalog.post(key, &format!("{base}/tables"), &create_table("gone")).await.ok(200);
            let path = format!("{base}/tables/gone/unregister");
            table_metadata = catalog.post(key, &path, &json!({})).await.ok(200)["metadata-location"].clone();
            let gone = create_view("gone", "select 1");
            let created = catalog.post(key, &format!("{base}/views"), &gone).await.ok(200);
            view_metadata = created["metadata-location"].clone();
            catalog.delete(key, &format!("{base}/views/gone")).await.ok(204);
        }
        let mut dropped = String::new();
        if route.contains("{id}") {
            catalog.post(key, &format!("{base}/tables"), &create_table("dropped")).await.ok(200);
            catalog.delete(key, &format!("{base}/tables/dropped")).await.ok(204);
            let all = catalog.get(key, "/management/v1/warehouses/lake/dropped").await.ok(200);
            dropped = all["dropped"][0]["id"].as_str().unwrap().to_owned();
        }
        Self { namespace, empty, dropped, table_metadata, view_metadata }
    }
}

/// The path and the content of a request. Bodies that carry a credential have that of the caller.
///
/// A new route needs a line here if it has a body, or parameters in its query that name an object.
pub(super) fn request(method: &Method, template: &str, objects: &Objects, credential: &str) -> (String, Content) {
    let Objects { namespace, empty, dropped, table_metadata, view_metadata } = objects;
    let route = template.replacen("/{prefix}", "", 1);
    let namespace =
        if (method, &*route) == (&Method::DELETE, "/v1/namespaces/{namespace}") { empty } else { namespace };
    let path = template
        .replace("{prefix}", "lake")
        .replace("{warehouse}", "lake")
        .replace("{organisation}", "acme")
        .replace("{namespace}", namespace)
        .replace("{table}", "t")
        .replace("{view}", "v")
        .replace("{function}", "f")
        .replace("{id}", dropped);
    assert!(!path.contains('{'), "a parameter without a value: {path}");
    if *method != Method::POST {
        let query = if route == "/v1/config" { "?warehouse=lake" } else { "" };
        return (path + query, Content::Nothing);
    }
    let ident = |name: &str| json!({ "namespace": [namespace], "name": name });
    let rename = |from: &str, to: &str| json!({ "source": ident(from), "destination": ident(to) });
    let set = json!([{ "action": "set-properties", "updates": { "a": "b" } }]);
    let body = match &*route {
        "/v1/oauth/tokens" => {
            let form = format!("grant_type=client_credentials&client_id={credential}");
            return (path, Content::Form(form));
        }
        "/v1/namespaces" => json!({ "namespace": [format!("{namespace}-new")] }),
        "/v1/namespaces/{namespace}/properties" => json!({ "updates": { "a": "b" } }),
        "/v1/namespaces/{namespace}/tables" => create_table("new"),
        "/v1/namespaces/{namespace}/tables/{table}" => json!({ "requirements": [], "updates": set }),
        "/v1/namespaces/{namespace}/tables/{table}/metrics" => {
            json!({ "report-type": "commit-report", "table-name": "t", "snapshot-id": 1, "sequence-number": 1,
                "operation": "append", "metrics": {} })
        }
        "/v1/namespaces/{namespace}/tables/{table}/sign" => {
            json!({ "region": "a", "uri": "https://s3.example.com/b/t/a", "method": "GET", "headers": {} })
        }
        "/v1/namespaces/{namespace}/tables/{table}/unregister" => json!({}),
        "/v1/namespaces/{namespace}/register" => json!({ "name": "back", "metadata-location": table_metadata }),
        "/v1/tables/rename" => rename("t", "renamed"),
        "/v1/transactions/commit" => {
            json!({ "table-changes": [{ "identifier": ident("t"), "requirements": [], "updates": set }] })
        }
        "/v1/namespaces/{namespace}/views" => create_view("new", "select 1"),
        "/v1/namespaces/{namespace}/views/{view}" => json!({ "requirements": [], "updates": set }),
        "/v1/namespaces/{namespace}/register-view" => json!({ "name": "back", "metadata-location": view_metadata }),
        "/v1/views/rename" => rename("v", "renamed"),
        "/management/v1/warehouses/{warehouse}/dropped/{id}/restore" => json!({}),
        other => panic!("a body for POST {other} is missing in requests.rs"),
    };
    (path, Content::Json(body))
}
