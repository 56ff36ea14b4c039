//! Tests of the console's sign-in, cookie, headers and forms.

use axum::body::Body;
use axum::http::{Method, Request};
use tidewater_console::assets;

use super::{Browser, form_of, text, with_table};
use crate::support::Catalog;

#[tokio::test]
async fn browser_at_the_root_is_led_to_the_sign_in_and_other_clients_are_not() {
    let catalog = Catalog::new().await;
    let root = async |accept: &str| {
        catalog.send(Request::builder().uri("/").header("accept", accept).body(Body::empty()).unwrap()).await
    };
    let browser = root("text/html,*/*;q=0.8").await;
    assert_eq!(
        (browser.status.as_u16(), browser.header("location"), browser.header("vary")),
        (302, "console/", "accept")
    );
    assert_eq!(root("application/json").await.error(404, "NotFoundException"), "No such route: GET /");
    let bare = catalog.send(Request::builder().uri("/console").body(Body::empty()).unwrap()).await;
    assert_eq!((bare.status.as_u16(), bare.header("location")), (302, "console/"));
    let mut anonymous = Browser::new(&catalog);
    let page = anonymous.get("table?w=a&ns=b&t=c").await;
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location"), "sign-in?next=table%3Fw%3Da%26ns%3Db%26t%3Dc");
    assert!(anonymous.page("sign-in").await.contains("name=\"key\""));
}

#[tokio::test]
async fn console_can_be_turned_off() {
    let catalog = Catalog::with(|config| config.console.enabled = false).await;
    for path in ["/console", "/console/", "/console/home", "/console/sign-in"] {
        let answer = catalog.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        answer.error(404, "NotFoundException");
    }
}

#[tokio::test]
async fn sign_in_gives_a_cookie_that_scripts_cannot_read() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::new(&catalog);
    let answer = browser.post("sign-in", &[("key", &tenant.key), ("next", "browse?w=main")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "browse?w=main"));
    let cookie = answer.header("set-cookie");
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax"], "without HTTPS");
    assert!(!cookie.contains(&tenant.key), "the key is not in the cookie");
    assert!(browser.page("home").await.contains("acme"));
    let elsewhere = browser.post("sign-in", &[("key", &tenant.key), ("next", "//evil.example")]).await;
    assert_eq!(elsewhere.header("location"), "home");
}

#[tokio::test]
async fn refused_sign_in_shows_the_reason_and_counts_as_a_guess() {
    let catalog = Catalog::new().await;
    let mut browser = Browser::new(&catalog);
    for (key, reason) in [("", "no API key"), ("flx_short", "copy the whole key"), ("nonsense", "no API key")] {
        let answer = browser.post("sign-in", &[("key", key)]).await;
        assert_eq!(answer.status, 401, "{key}");
        assert!(text(&answer).contains(reason), "{key}: {}", text(&answer));
        assert!(answer.headers.get("set-cookie").is_none());
    }
}

#[tokio::test]
async fn revoked_key_ends_the_sign_in_at_once() {
    let (catalog, tenant) = with_table().await;
    let new = serde_json::json!({ "name": "gone", "role": "reader" });
    let made = catalog.post(&tenant.key, "/management/v1/organisations/acme/keys", &new).await.ok(200);
    let key = made["api_key"].as_str().unwrap().to_owned();
    let mut browser = Browser::signed_in(&catalog, &key).await;
    browser.page("browse?w=main&ns=ns").await;
    catalog.delete(&tenant.key, "/management/v1/organisations/acme/keys/gone").await.ok(204);
    let answer = browser.get("browse?w=main&ns=ns").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "sign-in?why=ended&next=browse%3Fw%3Dmain%26ns%3Dns");
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn sign_out_removes_the_cookie() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let answer = browser.post("sign-out", &[]).await;
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("home").await.status, 303);
}

#[tokio::test]
async fn form_from_elsewhere_or_without_the_token_changes_nothing() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let csrf = browser.csrf.clone();
    let other = Browser::signed_in(&catalog, &tenant.key).await.csrf;
    let fields = |csrf: &str| {
        let drop = [("do", "drop-table"), ("w", "main"), ("ns", "ns"), ("t", "t"), ("csrf", csrf)];
        form_of(drop.into_iter())
    };
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let here = ("origin", "http://lake.example:8181");
    for (headers, body) in [
        (&[kind, here][..], fields("")),
        (&[kind, here], fields("wrong")),
        (&[kind, here], fields(&other)),
        (&[kind], fields(&csrf)),
        (&[kind, ("origin", "https://evil.example")], fields(&csrf)),
        (&[kind, here, ("sec-fetch-site", "cross-site")], fields(&csrf)),
        (&[("content-type", "text/plain"), here], fields(&csrf)),
    ] {
        let answer = browser.send(Method::POST, "do", headers, body.clone()).await;
        assert_eq!(answer.status, 403, "{headers:?} {body}");
    }
    // Also a sign-in: else a page elsewhere could sign a browser in with another key.
    let body = form_of([("key", tenant.key.as_str())].into_iter());
    let answer = browser.send(Method::POST, "sign-in", &[kind, ("origin", "https://evil.example")], body).await;
    assert!(answer.status == 403 && answer.headers.get("set-cookie").is_none());
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
    let answer = browser.send(Method::POST, "do", &[kind, here], fields(&csrf)).await;
    assert_eq!(answer.status, 303, "the complete form is taken");
}

#[tokio::test]
async fn pages_are_not_stored_and_files_for_ever_and_all_have_a_strict_policy() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    for (page, stored) in
        [("sign-in", "no-store"), ("home", "no-store"), ("nowhere", "no-store"), (assets::script(), "immutable")]
    {
        let answer = browser.get(page).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert!(answer.header("cache-control").contains(stored), "{page}");
        let headers = ["x-content-type-options", "x-frame-options", "referrer-policy"].map(|name| answer.header(name));
        assert_eq!(headers, ["nosniff", "DENY", "same-origin"], "{page}");
    }
    assert_eq!(browser.get("nowhere").await.status, 404);
    assert_eq!(browser.send(Method::DELETE, "home", &[], String::new()).await.status, 405);
}

#[tokio::test]
async fn all_links_are_relative_so_that_a_proxy_can_add_a_path() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    for page in [
        "home",
        "browse?w=main",
        "browse?w=main&ns=ns",
        "table?w=main&ns=ns&t=t",
        "rows?w=main&ns=ns&t=t",
        "files?w=main&ns=ns&t=t",
        "maintenance?w=main&ns=ns&t=t",
        "connect",
        "keys",
        "usage",
        "history",
        "access",
    ] {
        let html = browser.page(page).await;
        for attribute in [" href=\"", " src=\"", " action=\""] {
            for value in html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let path = value.split(['?', '#']).next().unwrap();
                assert!(!path.contains('/') && !path.contains(':'), "{page}: {value}");
            }
        }
    }
}

#[tokio::test]
async fn sign_in_and_pages_are_requests_of_the_api_with_records_and_limits() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    catalog.app.audit().write().await.unwrap();
    assert!(browser.page("history?operation=sign-in").await.contains("<td>sign-in</td>"));
    // The tier has five requests a day.
    let mut last = 200;
    for _ in 0..6 {
        last = browser.get("browse?w=main").await.status.as_u16();
    }
    assert_eq!(last, 429);
}
