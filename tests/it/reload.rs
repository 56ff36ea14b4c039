//! Tests of a reload: settings that change while a server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tidewater::config::Config;
use tidewater_core::limits::Tier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Catalog, Tenant};

/// The limit for every wait in these tests: far more than any of them needs.
const AT_MOST: Duration = Duration::from_secs(20);

impl Catalog {
    /// Replaces settings as a reload does. Returns the names of those that need a restart.
    fn reload(&self, change: impl FnOnce(&mut Config)) -> Vec<String> {
        let running = self.app.running();
        let mut config = running.config();
        change(&mut config);
        running.reload(config).needs_restart.into_iter().map(|change| change.setting).collect()
    }
}

async fn create_namespace(catalog: &Catalog, tenant: &Tenant, name: &str, properties: usize) -> u16 {
    let properties: serde_json::Map<_, _> = (0..properties).map(|n| (format!("p{n}"), json!("v"))).collect();
    let body = json!({ "namespace": [name], "properties": properties });
    catalog.post(&tenant.key, "/v1/namespaces", &body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_after_a_reload_have_the_new_settings() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    assert_eq!(create_namespace(&catalog, &tenant, "before", 3).await, 200);
    let needs_restart = catalog.reload(|config| {
        config.limits.properties = 2;
        config.api.max_body_bytes = 500;
        config.api.cors_origins = vec!["https://app.example.com".to_owned()];
        config.api.idempotency_key_lifetime_s = 120;
        config.tiers.insert("enterprise".to_owned(), Tier { requests_per_day: Some(7), ..Tier::default() });
    });
    assert_eq!(needs_restart, [] as [&str; 0]);
    assert_eq!(create_namespace(&catalog, &tenant, "after", 3).await, 400);
    assert_eq!(create_namespace(&catalog, &tenant, "after", 200).await, 413);
    let asked =
        catalog.with_headers(&tenant.key, Method::GET, "/v1/config", &[("origin", "https://app.example.com")]).await;
    assert_eq!(asked.header("access-control-allow-origin"), "https://app.example.com");
    assert_eq!(asked.header("ratelimit-policy"), "\"day\";q=7;w=86400");
    assert_eq!(asked.ok(200)["idempotency-key-lifetime"], "PT2M");
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_that_cannot_change_is_named_and_stays() {
    let catalog = Catalog::new().await;
    let before = catalog.app.running().config();
    let needs_restart = catalog.reload(|config| {
        config.listen = "127.0.0.1:1".parse().unwrap();
        config.heavy.workers = 3;
        config.storage.hedge_after_ms = 1;
        config.drop.retention_s = 5;
    });
    assert_eq!(needs_restart, ["heavy.workers", "listen", "storage.hedge_after_ms"]);
    let now = catalog.app.running().config();
    assert_eq!((now.drop.retention_s, &now.listen, now.heavy), (5, &before.listen, before.heavy));
    // Reported again until the restart.
    assert_eq!(catalog.reload(|config| config.heavy.workers = 3), ["heavy.workers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_during_a_reload_sees_either_old_or_new_settings() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    // Two sets of settings: one property and a key lifetime of one minute, or ten properties and two minutes.
    let set = |config: &mut Config, many: bool| {
        config.api.default_page_size = if many { 10 } else { 1 };
        config.api.idempotency_key_lifetime_s = if many { 120 } else { 60 };
        config.api.cors_origins = vec![if many { "https://many.example" } else { "https://few.example" }.to_owned()];
    };
    catalog.reload(|config| set(config, false));
    let catalog = Arc::new(catalog);
    let over = Arc::new(AtomicBool::new(false));
    let (reloading, stop) = (Arc::clone(&catalog), Arc::clone(&over));
    let reloads = tokio::task::spawn_blocking(move || {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            reloading.reload(|config| set(config, count % 2 == 1));
        }
        count
    });
    for _ in 0..300 {
        let headers = [("origin", "https://many.example")];
        let answer = catalog.with_headers(&tenant.key, Method::GET, "/v1/config", &headers).await;
        let many = answer.headers.contains_key("access-control-allow-origin");
        let lifetime = if many { "PT2M" } else { "PT1M" };
        assert_eq!(answer.ok(200)["idempotency-key-lifetime"], lifetime);
    }
    over.store(true, Ordering::Relaxed);
    assert!(reloads.await.unwrap() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_is_known_after_a_reload() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let ask = async || {
        let request = Request::post("/v1/namespaces")
            .header("authorization", format!("Bearer {}", tenant.key))
            .header("content-type", "application/json")
            .header("idempotency-key", "01920000-0000-7000-8000-000000000001");
        catalog.send(request.body(Body::from(json!({ "namespace": ["once"] }).to_string())).unwrap()).await
    };
    ask().await.ok(200);
    catalog.reload(|config| config.api.idempotency_key_lifetime_s = 60);
    ask().await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connection_uses_reloaded_settings_and_connection_limits() {
    let catalog = Catalog::with(|config| {
        config.connections.max_per_address = 100;
        // A connection checks its timeouts at least this often.
        config.connections.head_timeout_s = 5;
    })
    .await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let running = Arc::clone(catalog.app.running());
    let address = catalog.app.local_addr().unwrap();
    let (stop, told) = tokio::sync::oneshot::channel::<()>();
    let Catalog { app, folder: _folder } = catalog;
    let ended = tokio::spawn(app.run_until(async move { drop(told.await) }));

    let mut open = TcpStream::connect(address).await.unwrap();
    let mut ask = async || {
        let head = format!("GET /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", tenant.key);
        open.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.ends_with('}') {
            let mut piece = [0; 4096];
            let read = timeout(AT_MOST, open.read(&mut piece)).await.unwrap().unwrap();
            assert!(read > 0, "{text}");
            text += std::str::from_utf8(&piece[..read]).unwrap();
        }
        text
    };
    assert!(ask().await.contains("PT30M"));
    let mut config = running.config();
    config.api.idempotency_key_lifetime_s = 60;
    config.connections.max = 2;
    config.connections.max_per_address = 1;
    running.reload(config);
    assert!(ask().await.contains("PT1M"), "on the open connection");

    let mut second = TcpStream::connect(address).await.unwrap();
    let mut refusal = Vec::new();
    timeout(AT_MOST, second.read_to_end(&mut refusal)).await.unwrap().unwrap();
    assert!(refusal.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&refusal));

    let mut config = running.config();
    config.connections.idle_timeout_s = 1;
    running.reload(config);
    assert!(ask().await.contains("PT1M"));
    let mut rest = Vec::new();
    timeout(AT_MOST, open.read_to_end(&mut rest)).await.unwrap().unwrap();
    stop.send(()).unwrap();
    timeout(AT_MOST, ended).await.unwrap().unwrap().unwrap();
}
