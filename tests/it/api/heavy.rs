//! Tests of large requests and documents: their limits, and requests of others in the meantime.

use std::io::Write;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tidewater::base::clock::fresh_ordered_uuid;

use crate::support::{Catalog, Tenant, create_table};

const TABLE: &str = "/v1/namespaces/ns/tables/t";
const TABLES: &str = "/v1/namespaces/ns/tables";
const REGISTER: &str = "/v1/namespaces/ns/register";
const PROPERTIES: &str = "/v1/namespaces/ns/properties";
const TRANSACTION: &str = "/v1/transactions/commit";

fn commit(updates: &Value) -> Value {
    json!({ "requirements": [], "updates": updates })
}

/// Returns updates that each set another property.
fn set_properties(count: usize) -> Value {
    let update = |number| json!({ "action": "set-properties", "updates": { format!("k{number}"): "v" } });
    Value::Array((0..count).map(update).collect())
}

async fn with(change: impl FnOnce(&mut tidewater::config::Config)) -> (Catalog, Tenant) {
    let catalog = Catalog::with(change).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    (catalog, tenant)
}

#[tokio::test]
async fn request_over_a_limit_gets_400_with_the_setting_that_raises_it() {
    let (catalog, tenant) = with(|config| {
        config.limits.updates = 3;
        config.limits.requirements = 1;
        config.limits.properties = 3;
        config.limits.property_key_bytes = 10;
        config.limits.property_value_bytes = 10;
        config.limits.namespace_properties_bytes = 20;
        config.limits.columns = 3;
        config.limits.transaction_parts = 1;
        config.limits.name_bytes = 10;
    })
    .await;
    let long = "x".repeat(11);
    let is_create = json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null });
    let field = |name: &str| json!({ "id": 1, "name": name, "required": false, "type": "long" });
    let table = |fields: &[Value]| json!({ "name": "u", "schema": { "type": "struct", "fields": fields } });
    let part = json!({ "identifier": { "namespace": ["ns"], "name": "t" }, "requirements": [], "updates": [] });
    for (path, body, setting) in [
        (TABLE, commit(&set_properties(4)), "limits.updates"),
        (TABLE, json!({ "requirements": [is_create, is_create], "updates": [] }), "limits.requirements"),
        (
            TABLE,
            json!({ "requirements": [{ "type": "assert-ref-snapshot-id", "ref": long }], "updates": [] }),
            "limits.name_bytes",
        ),
        (TABLES, table(&[field("a"), field("b"), field("c"), field("d")]), "limits.columns"),
        (TABLES, table(&[field(&long)]), "limits.name_bytes"),
        (TRANSACTION, json!({ "table-changes": [part, part] }), "limits.transaction_parts"),
        (PROPERTIES, json!({ "removals": ["a", "b", "c", "d"] }), "limits.properties"),
        (PROPERTIES, json!({ "updates": { "a": long } }), "limits.property_value_bytes"),
        (PROPERTIES, json!({ "updates": { &*long: "a" } }), "limits.property_key_bytes"),
        (
            PROPERTIES,
            json!({ "updates": { "a": "123456789", "b": "123456789", "c": "1" } }),
            "limits.namespace_properties_bytes",
        ),
        (
            "/v1/namespaces",
            json!({ "namespace": ["m"], "properties": { "a": "", "b": "", "c": "", "d": "" } }),
            "limits.properties",
        ),
    ] {
        let message = catalog.post(&tenant.key, path, &body).await.error(400, "BadRequestException");
        assert!(message.contains(&format!("'{setting}'")) && message.contains(" allowed"), "{setting}: {message}");
    }
    catalog.post(&tenant.key, TABLE, &commit(&set_properties(3))).await.ok(200);
    catalog.post(&tenant.key, PROPERTIES, &json!({ "updates": { "a": "1", "b": "2" } })).await.ok(200);
    catalog.post(&tenant.key, PROPERTIES, &json!({ "updates": { "c": "3" } })).await.ok(200);
    let grown = catalog.post(&tenant.key, PROPERTIES, &json!({ "updates": { "d": "4" } })).await;
    assert!(
        grown.error(400, "BadRequestException").contains("'limits.properties'"),
        "the limit is on all properties of the namespace"
    );
}

#[tokio::test]
async fn removal_of_50_000_snapshots_one_by_one_passes() {
    let (catalog, tenant) = with(|_| ()).await;
    let removal = |id: usize| json!({ "action": "remove-snapshots", "snapshot-ids": [id] });
    let updates = Value::Array((1..=50_000).map(removal).collect());
    catalog.post(&tenant.key, TABLE, &commit(&updates)).await.ok(200);
}

#[tokio::test]
async fn namespace_properties_are_removed_in_one_pass() {
    let (catalog, tenant) = with(|config| config.limits.properties = 100_000).await;
    let removals: Vec<String> = (0..60_000).map(|number| format!("missing{number}")).collect();
    let answer = catalog.post(&tenant.key, PROPERTIES, &json!({ "removals": removals })).await.ok(200);
    assert_eq!(answer["missing"].as_array().unwrap().len(), 60_000);
}

/// The file is sparse, so that it has a large size without using the disk.
#[tokio::test]
async fn register_of_a_file_over_the_limit_gets_400_and_reads_nothing() {
    let (catalog, tenant) = with(|_| ()).await;
    let at = catalog.folder.path().join(format!("{}/main/huge.metadata.json", tenant.organisation));
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::fs::File::create(&at).unwrap().set_len(8 << 30).unwrap();
    let body = json!({ "name": "huge", "metadata-location": format!("file://{}", at.display()) });
    let message = catalog.post(&tenant.key, REGISTER, &body).await.error(400, "BadRequestException");
    assert!(message.contains("has 8589934592 bytes, of 268435456 allowed"), "{message}");
    assert!(message.contains("'limits.document_bytes'"), "{message}");
}

#[tokio::test]
async fn register_of_a_packed_file_that_unpacks_beyond_the_limit_gets_400() {
    let (catalog, tenant) = with(|config| config.limits.document_bytes = 1 << 20).await;
    let folder = catalog.folder.path().join(format!("{}/main", tenant.organisation));
    std::fs::create_dir_all(&folder).unwrap();
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = packed(&vec![b' '; 64 << 20]);
    // The gzip trailer has only the size of the last member.
    let disguised = [bomb.clone(), packed(b"{}")].concat();
    for (name, bytes) in [("bomb", bomb), ("disguised", disguised)] {
        assert!(bytes.len() < 1 << 20);
        let at = folder.join(format!("{name}.gz.metadata.json"));
        std::fs::write(&at, bytes).unwrap();
        let body = json!({ "name": name, "metadata-location": format!("file://{}", at.display()) });
        let message = catalog.post(&tenant.key, REGISTER, &body).await.error(400, "BadRequestException");
        assert!(message.contains("unpacks to more than 1048576 bytes"), "{name}: {message}");
    }
}

#[tokio::test]
async fn commit_that_would_make_the_document_too_large_gets_400_and_changes_nothing() {
    let (catalog, tenant) = with(|config| config.limits.document_bytes = 100_000).await;
    let before = catalog.get(&tenant.key, TABLE).await.ok(200);
    let body = commit(&json!([{ "action": "set-properties", "updates": { "a": "x".repeat(200_000) } }]));
    let message = catalog.post(&tenant.key, TABLE, &body).await.error(400, "BadRequestException");
    assert!(message.contains("of 100000 allowed") && message.contains("'limits.document_bytes'"), "{message}");
    assert_eq!(catalog.get(&tenant.key, TABLE).await.ok(200), before);
}

#[tokio::test]
async fn small_requests_are_served_during_a_large_request_of_another_organisation() {
    let (catalog, tenant) = with(|_| ()).await;
    let other = catalog.tenant("other", "enterprise").await;
    catalog.with_table(&other).await;
    catalog.get(&other.key, TABLE).await.ok(200);
    let body = commit(&set_properties(20_000));
    let mut heavy = Box::pin(catalog.post(&tenant.key, TABLE, &body));
    let (begun, mut last, mut longest, mut served) = (Instant::now(), Instant::now(), Duration::ZERO, 0);
    // All requests share one thread, so work on that thread would delay all of them.
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut heavy => break answer,
            small = catalog.get(&other.key, TABLE) => small.ok(200),
        };
        tokio::task::yield_now().await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        served += 1;
    };
    let took = begun.elapsed();
    answer.ok(200);
    assert!(longest * 4 < took, "of {took:?}, others waited for {longest:?} at once ({served} were served)");
}

#[tokio::test]
async fn long_text_of_a_client_is_shortened_in_messages_and_store() {
    let (catalog, tenant) = with(|config| config.limits.name_bytes = 16 << 20).await;
    let name = "r".repeat(8 << 20);
    let body = json!({ "requirements": [{ "type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": 1 }],
        "updates": [] });
    let key = fresh_ordered_uuid().to_string();
    for _ in 0..2 {
        let request = Request::builder()
            .method(Method::POST)
            .uri(TABLE)
            .header("authorization", format!("Bearer {}", tenant.key))
            .header("idempotency-key", &key);
        let answer = catalog.send(request.body(Body::from(body.to_string())).unwrap()).await;
        let message = answer.error(409, "CommitFailedException");
        assert!(answer.bytes.len() < 8_192, "{}", answer.bytes.len());
        assert!(message.starts_with("Requirement failed: branch or tag rrr"), "{message}");
        assert!(message.ends_with("rrr is missing, expected 1"), "{message}");
    }
}

/// Builds a request with a body in chunks, without a length.
fn in_pieces(tenant: &Tenant, path: &str, text: &str) -> Request<Body> {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        text.as_bytes().chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer {}", tenant.key))
        .body(Body::from_stream(futures_util::stream::iter(pieces)))
        .unwrap()
}

#[tokio::test]
async fn body_without_a_length_is_read_up_to_the_limit() {
    let (catalog, tenant) = with(|config| config.api.max_body_bytes = 300_000).await;
    for (bytes, status) in [(10, 200), (200_000, 200), (299_000, 200), (310_000, 413)] {
        let body = commit(&json!([{ "action": "set-properties", "updates": { "a": "x".repeat(bytes) } }]));
        let answer = catalog.send(in_pieces(&tenant, TABLE, &body.to_string())).await;
        assert_eq!(answer.status, status, "{bytes}");
    }
}

#[tokio::test]
async fn unauthenticated_body_over_the_small_limit_is_refused() {
    let catalog = Catalog::new().await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/oauth/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("a=".to_owned() + &"x".repeat(100_000)));
    assert_eq!(catalog.send(request.unwrap()).await.status, 413);
}

/// One lookup finds all tables of a transaction, on a blocking thread.
#[tokio::test]
async fn transaction_over_missing_tables_names_the_first() {
    let (catalog, tenant) = with(|_| ()).await;
    let part = |number| {
        json!({ "identifier": { "namespace": ["ns"], "name": format!("missing{number:04}") },
            "requirements": [], "updates": [] })
    };
    let parts: Vec<Value> = (0..1_000).map(part).collect();
    let refused = catalog.post(&tenant.key, TRANSACTION, &json!({ "table-changes": parts })).await;
    assert_eq!(refused.error(404, "NoSuchTableException"), "Table does not exist: ns.missing0000");
}

#[tokio::test]
async fn many_large_requests_of_one_organisation_all_finish() {
    let (catalog, tenant) = with(|config| config.heavy.memory_bytes = 4 << 20).await;
    for number in 0..4 {
        catalog.post(&tenant.key, TABLES, &create_table(&format!("u{number}"))).await.ok(200);
    }
    let body = commit(&json!([{ "action": "set-properties", "updates": { "a": "x".repeat(500_000) } }]));
    let commits = (0..40).map(|number| {
        let path = format!("{TABLES}/u{}", number % 4);
        let (catalog, tenant, body) = (&catalog, &tenant, &body);
        async move { catalog.post(&tenant.key, &path, body).await.ok(200) }
    });
    let all = futures_util::future::join_all(commits);
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("no request waits for ever");
}
