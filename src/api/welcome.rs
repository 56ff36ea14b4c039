//! The page for people who open the catalog's address in a browser. Other clients get 404, as for any path without a route.

use std::sync::LazyLock;

use axum::Extension;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{OverTls, error};

const PAGE: &str = include_str!("welcome.html");

/// The page's script. It inserts the address: behind a reverse proxy, only the browser knows it.
const SCRIPT: &str = include_str!("welcome.js");

/// The page's content security policy: it allows the page's own script and no other source.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// Answers a path that is not a route: with the page for a browser at the root, else with 404.
pub(super) async fn page_or_no_route(
    method: Method,
    uri: Uri,
    over_tls: Option<Extension<OverTls>>,
    headers: HeaderMap,
) -> Response {
    if uri.path() == "/" && matches!(method, Method::GET | Method::HEAD) && wants_page(&headers) {
        return page(&headers, if over_tls.is_some() { "https" } else { "http" });
    }
    let mut response = error::no_such_route(method, uri.clone()).await.into_response();
    if uri.path() == "/" {
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    }
    response
}

/// Returns whether the request accepts HTML. Browsers do; clients of the API do not.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("text/html")
    })
}

fn page(headers: &HeaderMap, scheme: &str) -> Response {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = if host.is_empty() { String::new() } else { format!("{scheme}://{host}") };
    let mut response = PAGE.replace("{address}", &escape(&address)).replace("{script}", SCRIPT).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_request_that_accepts_html_gets_the_page() {
        assert!(wants_page(&accepting("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")));
        assert!(wants_page(&accepting("application/xml, Text/HTML;q=0.5")));
        for other in ["*/*", "application/json", "text/*", "application/json, text/plain, */*", ""] {
            assert!(!wants_page(&accepting(other)), "{other}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn host_in_the_page_is_escaped() {
        assert_eq!(escape("a\"><script>'&"), "a&quot;&gt;&lt;script&gt;&#39;&amp;");
    }
}
