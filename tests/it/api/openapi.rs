//! `GET /openapi.json`: compares the document with the router and the specification.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use crate::project::root;
use crate::support::{Answer, Catalog};

/// The operations of the Iceberg REST specification (its main branch, August 2026), with the reason if one is not served.
const SPECIFICATION: [(&str, Option<&str>); 36] = [
    ("GET /v1/config", None),
    ("POST /v1/oauth/tokens", None),
    ("GET /v1/{prefix}/namespaces", None),
    ("POST /v1/{prefix}/namespaces", None),
    ("GET /v1/{prefix}/namespaces/{namespace}", None),
    ("HEAD /v1/{prefix}/namespaces/{namespace}", None),
    ("DELETE /v1/{prefix}/namespaces/{namespace}", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/properties", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/tables", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/functions", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/functions/{function}", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan", Some("clients plan scans themselves")),
    ("GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}", Some("there are no plans")),
    ("DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}", Some("there are no plans")),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks", Some("there are no plans")),
    ("POST /v1/{prefix}/namespaces/{namespace}/register", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/tables/{table}", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}", None),
    ("DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}", None),
    ("HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/sign", None),
    ("POST /v1/{prefix}/tables/rename", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics", None),
    ("POST /v1/{prefix}/transactions/commit", None),
    // A proposal, <https://github.com/apache/iceberg/pull/12584>.
    ("POST /v1/{prefix}/events", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/views", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/views", None),
    ("GET /v1/{prefix}/namespaces/{namespace}/views/{view}", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/views/{view}", None),
    ("DELETE /v1/{prefix}/namespaces/{namespace}/views/{view}", None),
    ("HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}", None),
    ("POST /v1/{prefix}/views/rename", None),
    ("POST /v1/{prefix}/namespaces/{namespace}/register-view", None),
];

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

async fn get(catalog: &Catalog, known: Option<&str>) -> Answer {
    let request = Request::get("/openapi.json").header("if-none-match", known.unwrap_or("\"other\""));
    catalog.send(request.body(Body::empty()).unwrap()).await
}

pub(super) async fn document(catalog: &Catalog) -> Value {
    get(catalog, None).await.ok(200)
}

/// Returns every operation of the document, as `VERB path`.
pub(super) fn operations(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, members) in document["paths"].as_object().unwrap() {
        let methods = members.as_object().unwrap().keys().filter(|key| *key != "parameters");
        found.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    found
}

/// Returns the paths of the router, without the forms that lack a prefix.
fn routed_paths() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("src/api/router.rs")).unwrap();
    let mut paths = BTreeSet::new();
    for route in text.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let bases: &[&str] = match route.trim_start() {
            with_base if with_base.starts_with("&at(") => &["/v1/{prefix}"],
            with_owner if with_owner.starts_with("&of(") => {
                &["/management/v1", "/management/v1/organisations/{organisation}"]
            }
            whole if whole.starts_with('"') => &[""],
            other => panic!("a route that is written otherwise: {other}"),
        };
        paths.extend(bases.iter().map(|base| format!("{base}{path}")));
    }
    assert!(paths.len() > 15, "{paths:?}");
    paths
}

/// Returns the path with a value for each parameter.
fn filled(template: &str) -> String {
    let segments = template.split('/').map(|segment| match segment {
        "{prefix}" => "main",
        parameter if parameter.starts_with('{') => "x",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn document_has_exactly_the_operations_of_the_router() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let documented = operations(&document(&catalog).await);
    let documented_paths = documented.iter().map(|one| one.split_once(' ').unwrap().1.to_owned());
    let paths: BTreeSet<String> = routed_paths().into_iter().chain(documented_paths).collect();
    for path in &paths {
        for method in METHODS {
            let operation = format!("{method} {path}");
            // HTTP: every route with GET also answers HEAD.
            if method == Method::HEAD && documented.contains(&format!("GET {path}")) && !documented.contains(&operation)
            {
                continue;
            }
            let answer = catalog.bytes(&tenant.key, method.clone(), &filled(path), "{}").await;
            let unrouted = String::from_utf8_lossy(&answer.bytes).contains("No such route");
            let served = answer.status != 405 && !unrouted;
            assert_eq!(served, documented.contains(&operation), "{operation}: is it served, and in src/api/openapi?");
        }
    }
}

#[tokio::test]
async fn every_operation_of_the_specification_is_served_or_listed_as_left_out() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let documented = operations(&document(&catalog).await);
    let config = catalog.get(&tenant.key, "/v1/config").await.ok(200);
    let advertised: BTreeSet<&str> =
        config["endpoints"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    for (operation, left_out) in SPECIFICATION {
        assert_eq!(documented.contains(operation), left_out.is_none(), "{operation}: {left_out:?}");
        // Clients need the token endpoint before they can read the configuration, so it is not advertised.
        let expected = left_out.is_none() && !operation.ends_with("/oauth/tokens");
        assert_eq!(advertised.contains(operation), expected, "{operation}");
    }
    for operation in advertised {
        assert!(documented.contains(operation), "{operation} is advertised and not documented");
    }
}

#[tokio::test]
async fn operation_ids_are_unique_and_references_have_targets() {
    let document = document(&Catalog::new().await).await;
    assert_eq!(
        (&document["openapi"], &document["info"]["version"]),
        (&"3.1.0".into(), &env!("CARGO_PKG_VERSION").into())
    );
    let mut ids = BTreeSet::new();
    let mut next = vec![&document];
    while let Some(value) = next.pop() {
        if let Some(id) = value.get("operationId") {
            assert!(ids.insert(id.to_string()), "{id} stands twice");
        }
        if let Some(reference) = value.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        match value {
            Value::Object(members) => next.extend(members.values()),
            Value::Array(elements) => next.extend(elements),
            _ => {}
        }
    }
    assert_eq!(ids.len(), operations(&document).len());
}

#[tokio::test]
async fn every_operation_with_sign_in_documents_its_errors() {
    let document = document(&Catalog::new().await).await;
    for status in ["400", "401", "403", "404", "413", "429", "500", "503"] {
        let responses = &document["paths"]["/v1/{prefix}/namespaces"]["post"]["responses"];
        assert!(responses.get(status).is_some(), "{status}: {responses}");
    }
    let health = document["paths"]["/health"]["get"]["responses"].as_object().unwrap();
    assert_eq!(health.keys().collect::<Vec<_>>(), ["200"]);
    let ready = document["paths"]["/ready"]["get"]["responses"].as_object().unwrap();
    assert_eq!(ready.keys().collect::<Vec<_>>(), ["200", "503"]);
}

#[tokio::test]
async fn operations_with_an_idempotency_key_document_it_and_its_errors() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let document = document(&catalog).await;
    let key = serde_json::json!({ "$ref": "#/components/parameters/IdempotencyKey" });
    let mut takers = 0;
    for operation in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &document["paths"][path][method.to_lowercase()];
        let documented = described["parameters"].as_array().is_some_and(|parameters| parameters.contains(&key));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let wrong = [("idempotency-key", "not a key")];
        let answer = catalog.with_headers(&tenant.key, method, &filled(path), &wrong).await;
        let read = String::from_utf8_lossy(&answer.bytes).contains("Invalid Idempotency-Key");
        assert_eq!(documented, read, "{operation}: {answer:?}");
        if documented {
            takers += 1;
            let responses = &described["responses"];
            assert!(
                ["410", "413", "422"].iter().all(|status| responses[status].is_object()),
                "{operation}: {responses}"
            );
        }
    }
    assert!(takers > 15, "{takers}");
}

#[tokio::test]
async fn counted_operations_document_the_daily_limit() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    let document = document(&catalog).await;
    while catalog.get(&tenant.key, "/v1/config").await.status != 429 {}
    for operation in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let responses = &document["paths"][path][method.to_lowercase()]["responses"];
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = catalog.bytes(&tenant.key, method, &filled(path), "{}").await;
        let counts = responses["429"]["$ref"] == "#/components/responses/TooManyRequests";
        assert_eq!(counts, answer.status == 429, "{operation}: {answer:?}");
        // Counted operations have limit headers in their successful responses.
        for (status, response) in responses.as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2')) {
            let left = response["headers"]["RateLimit"].is_object();
            assert_eq!(left, answer.status == 429, "{operation} {status}: {response}");
        }
    }
}

#[tokio::test]
async fn request_with_the_documents_etag_gets_304() {
    let catalog = Catalog::new().await;
    let first = get(&catalog, None).await;
    assert_eq!(first.header("content-type"), "application/json");
    let again = get(&catalog, Some(first.header("etag"))).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
}
