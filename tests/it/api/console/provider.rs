//! Tests of the sign-in with an identity provider, without one. `tests/engines/test_console_people.py` has a real one.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tidewater::base::clock::Clock;
use tidewater::config::IssuerConfig;

use super::{Browser, text};
use crate::support::Catalog;

/// Returns a catalog with a provider that does not answer.
async fn with_provider() -> Catalog {
    let issuer = IssuerConfig {
        name: "company".to_owned(),
        // Nothing listens on the discard port.
        issuer: "http://127.0.0.1:9".to_owned(),
        organisation: "acme".to_owned(),
        audiences: vec!["tidewater".to_owned()],
        console_client_id: Some("console".to_owned()),
        ..IssuerConfig::default()
    };
    Catalog::with(|config| config.auth.issuers = vec![issuer]).await
}

/// Returns the cookie of a sign-in that began `age_s` seconds ago.
fn pending(state: &str, age_s: i64) -> String {
    let begun_s = Clock::System.now_ms() / 1_000 - age_s;
    let content = json!({ "i": "company", "s": state, "n": "n", "v": "v", "r": "http://a/console/signed-in", "x": "", "b": begun_s });
    format!("tidewater-console-sign-in={}", URL_SAFE_NO_PAD.encode(content.to_string()))
}

#[tokio::test]
async fn sign_in_page_offers_the_providers_with_a_client_for_the_console() {
    let catalog = with_provider().await;
    let page = Browser::new(&catalog).page("sign-in?next=browse%3Fw%3Da").await;
    assert!(page.contains("href=\"sign-in-with?issuer=company&#38;next=browse%3Fw%3Da\""), "{page}");
    let catalog = Catalog::new().await;
    assert!(!Browser::new(&catalog).page("sign-in").await.contains("sign-in-with"));
}

#[tokio::test]
async fn sign_in_begins_only_from_the_sign_in_page_and_with_a_known_provider() {
    let catalog = with_provider().await;
    let mut browser = Browser::new(&catalog);
    let here = ("referer", "http://lake.example:8181/console/sign-in");
    for headers in
        [&[("referer", "https://evil.example/console/sign-in")][..], &[here, ("sec-fetch-site", "cross-site")]]
    {
        let answer = browser.send(Method::GET, "sign-in-with?issuer=company&next=keys", headers, String::new()).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "sign-in?next=keys"), "{headers:?}");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    let unknown = browser.send(Method::GET, "sign-in-with?issuer=other", &[here], String::new()).await;
    assert!(unknown.status == 404 && text(&unknown).contains("no such identity provider"));
    let down = browser.send(Method::GET, "sign-in-with?issuer=company", &[here], String::new()).await;
    assert_eq!(down.status, 502);
    assert!(
        text(&down).contains("The sign-in with the identity provider failed:") && text(&down).contains("name=\"key\"")
    );
}

#[tokio::test]
async fn answer_of_a_provider_counts_only_in_the_browser_that_began_the_sign_in() {
    let catalog = with_provider().await;
    let refused = async |cookie: &str, page: &str| {
        let mut browser = Browser::new(&catalog);
        cookie.clone_into(&mut browser.cookie);
        let answer = browser.get(page).await;
        assert!(
            !answer
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|one| one.to_str().unwrap().starts_with("tidewater-console="))
        );
        (answer.status.as_u16(), text(&answer), answer.headers.get("set-cookie").is_some())
    };
    let not_here = "was not begun in this browser";
    for (cookie, page) in [
        (String::new(), "signed-in?code=c&state=s"),
        (pending("s", 0), "signed-in?code=c"),
        (pending("s", 0), "signed-in?code=c&state=other"),
        (pending("s", 601), "signed-in?code=c&state=s"),
        (pending("", 0), "signed-in?code=c"),
        ("tidewater-console-sign-in=e30".to_owned(), "signed-in?code=c&state=s"),
    ] {
        let (status, html, has_cookie) = refused(&cookie, page).await;
        assert!(status == 400 && html.contains(not_here) && !has_cookie, "{page}: {status} {html}");
    }
    for (page, status, part) in [
        ("signed-in?state=s", 400, not_here),
        ("signed-in?state=s&code=c&iss=https%3A%2F%2Fevil.example", 400, not_here),
        ("signed-in?state=s&error=access_denied&error_description=%3Cb%3Eno", 403, "access_denied: &#60;b&#62;no"),
        ("signed-in?state=s&code=c", 502, "failed"),
    ] {
        let (found, html, ends) = refused(&pending("s", 0), page).await;
        assert!(found == status && html.contains(part), "{page}: {found} {html}");
        assert!(ends, "the sign-in has ended: {page}");
    }
}
