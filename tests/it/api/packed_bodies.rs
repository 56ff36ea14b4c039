//! Tests of compressed bodies: gzip is read up to the same limit, and other encodings are refused.

use std::io::Write as _;

use axum::body::Body;
use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tidewater::base::clock::fresh_ordered_uuid;

use crate::support::{Answer, Catalog};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn post(catalog: &Catalog, key: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = Request::post(path).header("authorization", format!("Bearer {key}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    catalog.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn body_in_gzip_is_read_with_and_without_an_idempotency_key() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let body = |name: &str| gzip(json!({ "namespace": [name] }).to_string().as_bytes());
    let packed = [("content-encoding", "gzip")];
    post(&catalog, &tenant.key, "/v1/namespaces", &packed, body("plain")).await.ok(200);
    let key = fresh_ordered_uuid().to_string();
    let keyed = [packed[0], ("idempotency-key", key.as_str())];
    let first = post(&catalog, &tenant.key, "/v1/namespaces", &keyed, body("keyed")).await.ok(200);
    let again = post(&catalog, &tenant.key, "/v1/namespaces", &keyed, body("keyed")).await.ok(200);
    assert_eq!(first, again);
    catalog.get(&tenant.key, "/v1/namespaces/keyed").await.ok(200);
}

#[tokio::test]
async fn body_over_the_limit_after_decompression_is_refused() {
    let limit = 100_000;
    let catalog = Catalog::with(|config| config.api.max_body_bytes = limit).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let packed = [("content-encoding", "gzip")];
    let padded = |bytes: usize| {
        let mut body = json!({ "namespace": ["ns"] }).to_string().into_bytes();
        body.resize(bytes, b' ');
        gzip(&body)
    };
    let bomb = padded(50 << 20);
    assert!(bomb.len() < limit, "{}", bomb.len());
    post(&catalog, &tenant.key, "/v1/namespaces", &packed, bomb).await.error(413, "PayloadTooLargeException");
    post(&catalog, &tenant.key, "/v1/namespaces", &packed, padded(limit + 1))
        .await
        .error(413, "PayloadTooLargeException");
    post(&catalog, &tenant.key, "/v1/namespaces", &packed, padded(limit)).await.ok(200);
}

#[tokio::test]
async fn body_with_another_encoding_or_invalid_gzip_is_refused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let body = gzip(json!({ "namespace": ["ns"] }).to_string().as_bytes());
    for coding in ["br", "zstd", "deflate", "gzip, gzip", "compress"] {
        let headers = [("content-encoding", coding)];
        let answer = post(&catalog, &tenant.key, "/v1/namespaces", &headers, body.clone()).await;
        answer.error(415, "UnsupportedMediaTypeException");
        assert_eq!(answer.header("accept-encoding"), "gzip");
    }
    for broken in [b"{}".to_vec(), body[..body.len() - 9].to_vec(), Vec::new()] {
        let packed = [("content-encoding", "gzip")];
        post(&catalog, &tenant.key, "/v1/namespaces", &packed, broken).await.error(400, "BadRequestException");
    }
    catalog.get(&tenant.key, "/v1/namespaces/ns").await.error(404, "NoSuchNamespaceException");
}
