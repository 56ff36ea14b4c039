//! `GET /health` and `GET /ready`, and the headers of every response.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::Catalog;

#[tokio::test]
async fn health_needs_no_key() {
    let catalog = Catalog::new().await;
    let answer = catalog.send(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.ok(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn ready_needs_no_key_and_is_not_cached_by_clients() {
    let catalog = Catalog::new().await;
    let answer = catalog.send(Request::get("/ready").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.ok(200), json!({ "status": "ready" }));
}

#[tokio::test]
async fn response_has_the_clients_request_id_if_valid_or_a_new_one() {
    let catalog = Catalog::new().await;
    let with = |id: &'static str| Request::get("/nowhere").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(catalog.send(with("abc-1")).await.header("x-request-id"), "abc-1");
    let (one, two) = (catalog.send(with("two words")).await, catalog.send(with("two words")).await);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert!(one.header("x-request-id").len() > 32);
    one.error(404, "NotFoundException");
}
