//! Tests of malformed requests: each gets a clear error in the specification's shape.

use axum::body::Body;
use axum::http::{Method, Request};
use proptest::prelude::*;
use serde_json::json;
use tidewater::base::clock::Clock;
use tidewater_core::access::Role;

use crate::support::{Catalog, create_table, create_view};
use tidewater::store::Change;

const TABLE: &str = "/v1/namespaces/ns/tables/t";
const VIEW: &str = "/v1/namespaces/ns/views/v";

#[tokio::test]
async fn malformed_body_gets_400_with_the_reason() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let deep = format!("{{\"requirements\":[],\"updates\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("/v1/namespaces", b"".to_vec()),
        ("/v1/namespaces", b"{".to_vec()),
        ("/v1/namespaces", b"\xff\xfe".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":[\"caf\xe9\"]}".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":\"text\"}".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":[]}".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":[\"\"]}".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":[\"a\\u0000b\"]}".to_vec()),
        ("/v1/namespaces", b"{\"namespace\":[\"a\\u001fb\"]}".to_vec()),
        ("/v1/namespaces", json!({ "namespace": ["x".repeat(10_000)] }).to_string().into_bytes()),
        ("/v1/namespaces", json!({ "namespace": vec!["x"; 1_000] }).to_string().into_bytes()),
        ("/v1/namespaces", b"{\"namespace\":[\"n\"],\"properties\":{\"a\":1}}".to_vec()),
        ("/v1/namespaces/ns/properties", b"[]".to_vec()),
        ("/v1/namespaces/ns/tables", b"{\"name\":\"u\"}".to_vec()),
        ("/v1/namespaces/ns/tables", b"{\"name\":\"u\",\"schema\":{\"type\":\"struct\",\"fields\":7}}".to_vec()),
        ("/v1/namespaces/ns/tables", b"{\"name\":7,\"schema\":{\"type\":\"struct\",\"fields\":[]}}".to_vec()),
        ("/v1/namespaces/ns/tables", create_table(&"x".repeat(10_000)).to_string().into_bytes()),
        ("/v1/tables/rename", b"{\"source\":{\"namespace\":[\"ns\"],\"name\":\"t\"}}".to_vec()),
        (TABLE, b"null".to_vec()),
        (TABLE, b"{\"requirements\":[],\"updates\":[{\"action\":\"burn\"}]}".to_vec()),
        (TABLE, b"{\"requirements\":[{\"type\":\"assert-luck\"}],\"updates\":[]}".to_vec()),
        (TABLE, b"{\"requirements\":[],\"updates\":[{}]}".to_vec()),
        (
            TABLE,
            b"{\"requirements\":[],\"updates\":[{\"action\":\"set-current-schema\",\"schema-id\":\"one\"}]}".to_vec(),
        ),
        (TABLE, b"{\"requirements\":[],\"updates\":[{\"action\":\"set-current-schema\",\"schema-id\":99}]}".to_vec()),
        (TABLE, b"{\"requirements\":[],\"updates\":[{\"action\":\"add-snapshot\",\"snapshot\":{}}]}".to_vec()),
        (TABLE, deep.clone().into_bytes()),
        ("/v1/namespaces/ns/views", b"".to_vec()),
        ("/v1/namespaces/ns/views", b"{\"name\":\"caf\xe9\"}".to_vec()),
        ("/v1/namespaces/ns/views", b"{\"name\":\"v\"}".to_vec()),
        ("/v1/namespaces/ns/views", create_view("", "select 1").to_string().into_bytes()),
        ("/v1/namespaces/ns/views", create_view("a\u{1f}b", "select 1").to_string().into_bytes()),
        ("/v1/namespaces/ns/register-view", b"{\"name\":\"v\"}".to_vec()),
        ("/v1/namespaces/ns/register-view", b"{\"name\":\"v\",\"metadata-location\":7}".to_vec()),
        ("/v1/views/rename", b"{}".to_vec()),
        (VIEW, b"[]".to_vec()),
        (VIEW, b"{\"updates\":[{\"action\":\"add-spec\"}]}".to_vec()),
        (VIEW, b"{\"updates\":[{\"action\":\"add-view-version\",\"view-version\":{}}]}".to_vec()),
        (VIEW, b"{\"updates\":[],\"requirements\":[{\"type\":\"assert-table-uuid\",\"uuid\":\"x\"}]}".to_vec()),
        (VIEW, deep.into_bytes()),
    ];
    for (path, body) in bodies {
        let shown = String::from_utf8_lossy(&body).chars().take(100).collect::<String>();
        let answer = catalog.bytes(&tenant.key, Method::POST, path, body).await;
        let message = answer.error(400, "BadRequestException");
        assert!(message.len() < 1_000, "{shown}: {message}");
    }
}

#[tokio::test]
async fn body_that_is_not_utf8_gets_400_even_if_unused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    for (path, body) in [
        ("/v1/namespaces", &b"{\"namespace\":[\"n\"],\"note\":\"caf\xe9\"}"[..]),
        ("/v1/namespaces/ns/properties", b"{\"updates\":{\"a\":\"b\"},\"note\":\"caf\xe9\"}"),
        ("/v1/namespaces/ns/tables/t/metrics", b"{\"report-type\":\"scan-report\",\"note\":\"caf\xe9\"}"),
        (TABLE, b"{\"requirements\":[],\"updates\":[],\"note\":\"caf\xe9\"}"),
    ] {
        let message = catalog.bytes(&tenant.key, Method::POST, path, body).await.error(400, "BadRequestException");
        assert!(message.contains("not UTF-8"), "{path}: {message}");
    }
    catalog.get(&tenant.key, "/v1/namespaces/n").await.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn malformed_or_too_long_path_gets_400() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    for path in [
        "/v1/namespaces/%FF".to_owned(),
        "/v1/namespaces/a%1F".to_owned(),
        "/v1/namespaces/a%00".to_owned(),
        format!("/v1/namespaces/{}", "x".repeat(5_000)),
        "/v1/namespaces/ns/tables/%C3%28".to_owned(),
        "/v1/namespaces/ns/views/%C3%28".to_owned(),
    ] {
        catalog.get(&key, &path).await.error(400, "BadRequestException");
    }
    catalog.get(&key, "/v1/unknown/route/here").await.error(404, "NotFoundException");
    catalog.bytes(&key, Method::PUT, "/v1/namespaces", "{}").await.error(405, "MethodNotAllowedException");
}

#[tokio::test]
async fn body_over_the_limit_is_refused_with_and_without_a_length() {
    let catalog = Catalog::with(|config| config.api.max_body_bytes = 1_000).await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let large = "x".repeat(1_001);
    let answer = catalog.bytes(&key, Method::POST, "/v1/namespaces", large.clone()).await;
    answer.error(413, "PayloadTooLargeException");
    let request = Request::post("/v1/namespaces").header("authorization", format!("Bearer {key}"));
    let request = request.header("content-length", "1001").body(Body::from(large)).unwrap();
    catalog.send(request).await.error(413, "PayloadTooLargeException");
}

#[tokio::test]
async fn request_without_a_valid_credential_gets_401() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let expired = catalog.key(tenant.organisation, Role::Admin, Some(Clock::System.now_ms() - 1_000)).await;
    let unknown = tidewater::auth::key::key_text(&[7; 32]).expose().clone();
    let mut credentials: Vec<Option<Vec<u8>>> = vec![None, Some(b"Bearer caf\xe9".to_vec()), Some(vec![b'x'; 100_000])];
    credentials.extend(
        ["", "Bearer", "Bearer None", "Bearer flx_", "Basic eDp5", "Bearer a.b.c", "bearer x y"]
            .map(|text| Some(text.into())),
    );
    credentials
        .extend([expired, unknown, format!("{}x", tenant.key)].map(|key| Some(format!("Bearer {key}").into_bytes())));
    credentials.push(Some(b"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.".to_vec()));
    for credential in credentials {
        let mut request = Request::get("/v1/namespaces");
        if let Some(credential) = &credential {
            request = request.header("authorization", credential.as_slice());
        }
        let answer = catalog.send(request.body(Body::empty()).unwrap()).await;
        answer.error(401, "NotAuthorizedException");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn revoked_key_is_refused_after_its_cache_time() {
    let catalog = Catalog::with(|config| config.auth.cache_s = 0).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.get(&tenant.key, "/v1/namespaces").await.ok(200);
    let store = catalog.app.store();
    let id = store.key_list(tenant.organisation).await.unwrap()[0].id;
    store.key_revoke(tenant.organisation, id, &Change::by_catalog(Clock::System.now_ms())).await.unwrap();
    let refused = catalog.get(&tenant.key, "/v1/namespaces").await;
    assert!(refused.error(401, "NotAuthorizedException").contains("revoked"));
}

/// Generates a commit or creation with one value replaced by another of any type, and its path.
fn mutated() -> impl Strategy<Value = (&'static str, serde_json::Value)> {
    let of_tables = [
        json!({ "requirements": [{ "type": "assert-current-schema-id", "current-schema-id": 0 }],
            "updates": [{ "action": "add-snapshot", "snapshot": { "snapshot-id": 1, "sequence-number": 1,
                "timestamp-ms": 1, "manifest-list": "x", "summary": { "operation": "append" } } },
                { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1 }] }),
        json!({ "requirements": [], "updates": [
            { "action": "add-spec", "spec": { "spec-id": 0, "fields": [
                { "source-id": 1, "field-id": 1000, "name": "p", "transform": "bucket[4]" }] } },
            { "action": "set-default-spec", "spec-id": -1 },
            { "action": "add-sort-order", "sort-order": { "order-id": 1, "fields": [
                { "source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first" }] } },
            { "action": "set-properties", "updates": { "a": "b" } }] }),
    ];
    let of_views = [
        json!({ "requirements": [], "updates": [
            { "action": "add-schema", "schema": create_table("t")["schema"] },
            { "action": "add-view-version", "view-version": create_view("v", "select 2")["view-version"] },
            { "action": "set-current-view-version", "view-version-id": -1 }] }),
        json!({ "requirements": [], "updates": [
            { "action": "set-properties", "updates": { "version.history.num-entries": "2" } },
            { "action": "remove-properties", "removals": ["a"] }] }),
    ];
    let mut requests = vec![
        ("/v1/namespaces/ns/tables", create_table("fuzzed")),
        ("/v1/namespaces/ns/views", create_view("fuzzed", "select 1")),
    ];
    requests.extend(of_tables.map(|commit| (TABLE, commit)));
    requests.extend(of_views.map(|commit| (VIEW, commit)));
    let values = prop::sample::select(vec![
        json!(null),
        json!(-1),
        json!(i64::MAX),
        json!(1e300),
        json!("x"),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!(["x"]),
        json!({ "type": "struct", "fields": [{}] }),
    ]);
    let requests = prop::sample::select(requests);
    (requests, values, any::<prop::sample::Index>()).prop_map(|((path, mut request), value, at)| {
        let mut paths = Vec::new();
        pointers(&request, &mut String::new(), &mut paths);
        if let Some(target) = request.pointer_mut(&paths[at.index(paths.len())]) {
            *target = value;
        }
        (path, request)
    })
}

fn pointers(value: &serde_json::Value, at: &mut String, found: &mut Vec<String>) {
    found.push(at.clone());
    let length = at.len();
    let mut below = |key: String, value: &serde_json::Value| {
        at.push('/');
        at.push_str(&key);
        pointers(value, at, found);
        at.truncate(length);
    };
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| below(key.clone(), value)),
        serde_json::Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| below(n.to_string(), value)),
        _ => {}
    }
}

#[test]
fn mutated_request_never_gets_a_5xx() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (catalog, tenant) = runtime.block_on(async {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&tenant).await;
        catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
        (catalog, tenant)
    });
    proptest!(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }, |((path, request) in mutated())| {
        let answer = runtime.block_on(catalog.post(&tenant.key, path, &request));
        prop_assert!(answer.status.as_u16() < 500, "{request}: {answer:?}");
        runtime.block_on(catalog.get(&tenant.key, TABLE)).ok(200);
        runtime.block_on(catalog.get(&tenant.key, VIEW)).ok(200);
    });
}
