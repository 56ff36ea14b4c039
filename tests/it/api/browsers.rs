//! Tests of browsers: the page at the root, and calls from pages of other origins.

use axum::body::Body;
use axum::http::{Method, Request};

use crate::support::{Answer, Catalog};

const APP: &str = "https://app.example.com";

async fn send(catalog: &Catalog, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    catalog.send(request.body(Body::empty()).unwrap()).await
}

fn preflight(origin: &str) -> [(&str, &str); 3] {
    [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key"),
    ]
}

#[tokio::test]
async fn page_of_an_allowed_origin_may_call_and_asks_without_a_key() {
    let catalog = Catalog::with(|config| config.api.cors_origins = vec![APP.to_owned()]).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    for path in ["/v1/namespaces", "/v1/namespaces/ns/tables/t", "/v1/oauth/tokens"] {
        let asked = send(&catalog, Method::OPTIONS, path, &preflight(APP)).await;
        assert_eq!(asked.status, 200, "{path}");
        assert_eq!(asked.header("access-control-allow-origin"), APP);
        assert!(asked.header("access-control-allow-methods").contains("DELETE"));
        assert!(asked.header("access-control-allow-headers").contains("idempotency-key"));
        assert!(asked.headers.get("access-control-allow-credentials").is_none());
        let foreign = send(&catalog, Method::OPTIONS, path, &preflight("https://evil.example")).await;
        assert!(foreign.headers.get("access-control-allow-origin").is_none());
    }
    let key = format!("Bearer {}", tenant.key);
    let from = |origin| [("origin", origin), ("authorization", key.as_str())];
    let loaded = send(&catalog, Method::GET, "/v1/namespaces/ns/tables/t", &from(APP)).await;
    assert_eq!((loaded.status.as_u16(), loaded.header("access-control-allow-origin")), (200, APP));
    assert!(loaded.header("access-control-expose-headers").contains("etag"));
    assert!(loaded.header("vary").contains("origin"));
    let foreign = send(&catalog, Method::GET, "/v1/namespaces/ns/tables/t", &from("https://evil.example")).await;
    assert!(foreign.headers.get("access-control-allow-origin").is_none());
    // Pages can read error responses, too.
    let refused = send(&catalog, Method::GET, "/v1/namespaces/ns/tables/t", &[("origin", APP)]).await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (401, APP));
}

#[tokio::test]
async fn page_of_another_origin_may_not_call_by_default() {
    let catalog = Catalog::new().await;
    let asked = send(&catalog, Method::OPTIONS, "/v1/namespaces", &preflight(APP)).await;
    assert_eq!(asked.status, 405);
    assert!(asked.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{:?}", asked.headers);
}

#[tokio::test]
async fn every_origin_may_call_if_the_setting_allows_it() {
    let catalog = Catalog::with(|config| config.api.cors_origins = vec!["*".to_owned()]).await;
    let asked = send(&catalog, Method::OPTIONS, "/v1/namespaces", &preflight("https://any.example")).await;
    assert_eq!((asked.status.as_u16(), asked.header("access-control-allow-origin")), (200, "*"));
}

#[tokio::test]
async fn root_without_the_console_shows_browsers_a_page_and_other_clients_an_error() {
    let catalog = Catalog::with(|config| config.console.enabled = false).await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("host", "lake.example:8181")];
    let page = send(&catalog, Method::GET, "/", &browser).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("vary"), "accept");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; "));
    let headers = ["x-content-type-options", "x-frame-options", "referrer-policy"].map(|name| page.header(name));
    assert_eq!(headers, ["nosniff", "DENY", "no-referrer"]);
    let text = String::from_utf8(page.bytes).unwrap();
    assert!(
        text.contains("Apache Iceberg") && text.contains("http://lake.example:8181") && text.contains("openapi.json")
    );
    assert!(!text.contains("{address}") && !text.contains("{script}"), "every placeholder is filled");

    let forged = send(&catalog, Method::GET, "/", &[browser[0], ("host", "a\"><script>alert(1)</script>")]).await;
    assert!(!String::from_utf8(forged.bytes).unwrap().contains("<script>alert"));
    for (method, accept) in [(Method::GET, "*/*"), (Method::GET, "application/json"), (Method::POST, "text/html")] {
        let answer = send(&catalog, method.clone(), "/", &[("accept", accept)]).await;
        let message = answer.error(404, "NotFoundException");
        assert_eq!(message, format!("No such route: {method} /"));
    }
}

#[tokio::test]
async fn answers_that_need_no_key_have_no_sniff_and_answers_with_keys_are_not_stored() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let key = format!("Bearer {}", tenant.key);
    let signed = [("authorization", key.as_str())];
    for (path, headers) in [
        ("/health", &[][..]),
        ("/openapi.json", &[]),
        ("/nowhere", &[]),
        ("/v1/config", &[]),
        ("/v1/namespaces/ns/tables/t", &[]),
        ("/v1/namespaces/ns/tables/none", &signed),
        ("/v1/namespaces/ns", &signed),
        ("/management/v1/status", &signed),
    ] {
        let answer = send(&catalog, Method::GET, path, headers).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.headers.get("strict-transport-security").is_none(), "{path}");
        let is_administration = path.starts_with("/management");
        let stored = answer.headers.get("cache-control").is_none_or(|value| value != "no-store");
        assert_ne!(stored, is_administration, "{path}");
    }
    for path in ["/v1/config", "/v1/namespaces", "/v1/namespaces/ns/tables", "/v1/namespaces/ns/tables/t"] {
        let answer = send(&catalog, Method::GET, path, &signed).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers.get("x-content-type-options").is_none(), "{path}: the hot path pays nothing");
    }
    let vended = send(&catalog, Method::GET, "/v1/namespaces/ns/tables/t/credentials", &signed).await;
    assert_eq!((vended.status.as_u16(), vended.header("cache-control")), (200, "no-store"));
}
