//! Headers that restrict what browsers do with answers. docs/decisions/0075 says which answers need which.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, FORWARDED, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::ClientAddress;
use crate::config::ForwardedHeader;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The value of `Cache-Control` for answers with keys or credentials.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Marks a request that came over this server's own TLS.
#[derive(Debug, Clone)]
pub struct OverTls {
    /// The subject of the client's certificate, if it presented one.
    pub client: Option<Arc<str>>,
}

/// Stops browsers from taking an answer for another type than it says, such as a script.
pub(super) fn add_no_sniff(response: &mut Response) {
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Tells clients and caches not to keep an answer, which may have a new key in it.
pub(super) async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// Returns the value of `Strict-Transport-Security`, or `None` for an age of 0.
pub(super) fn strict_transport_security(max_age_s: u64) -> Option<HeaderValue> {
    if max_age_s == 0 { None } else { HeaderValue::try_from(format!("max-age={max_age_s}")).ok() }
}

/// Returns whether a request came over HTTPS: to this server, or to a trusted proxy that says so.
pub(super) fn came_over_https(
    proxies: &ClientAddress,
    peer: IpAddr,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> bool {
    if extensions.get::<OverTls>().is_some() {
        return true;
    }
    if !proxies.trusted.contains(peer) {
        return false;
    }
    let is_https = |word: &str| word.trim().trim_matches('"').eq_ignore_ascii_case("https");
    // The nearest proxy writes last.
    match proxies.header {
        ForwardedHeader::XForwardedFor => {
            let last = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|line| line.to_str().ok());
            last.and_then(|line| line.rsplit(',').next()).is_some_and(is_https)
        }
        ForwardedHeader::Forwarded => {
            let last = headers.get_all(FORWARDED).iter().next_back().and_then(|line| line.to_str().ok());
            let mut pairs = last.and_then(|line| line.rsplit(',').next()).into_iter().flat_map(|last| last.split(';'));
            pairs.any(|pair| {
                pair.split_once('=')
                    .is_some_and(|(name, value)| name.trim().eq_ignore_ascii_case("proto") && is_https(value))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_https(header: ForwardedHeader, peer: &str, headers: &[(HeaderName, &'static str)]) -> bool {
        let trusted = serde_json::from_value(serde_json::json!(["10.0.0.0/8"])).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        came_over_https(&ClientAddress { trusted, header }, peer.parse().unwrap(), &map, &Extensions::new())
    }

    #[test]
    fn only_a_trusted_proxy_can_say_that_a_request_came_over_https() {
        let headers = [(X_FORWARDED_PROTO, "https"), (FORWARDED, "for=192.0.2.1;proto=https")];
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            assert!(is_https(header, "10.0.0.1", &headers));
            assert!(!is_https(header, "192.0.2.1", &headers));
            assert!(!is_https(header, "10.0.0.1", &[]));
        }
        assert!(!is_https(ForwardedHeader::Forwarded, "10.0.0.1", &headers[..1]));
        assert!(!is_https(ForwardedHeader::XForwardedFor, "10.0.0.1", &headers[1..]));
    }

    #[test]
    fn nearest_proxy_counts() {
        let proto = |value| is_https(ForwardedHeader::XForwardedFor, "10.0.0.1", &[(X_FORWARDED_PROTO, value)]);
        assert!(proto("HTTPS") && proto("http, https") && !proto("https, http") && !proto(""));
        let forwarded = |value| is_https(ForwardedHeader::Forwarded, "10.0.0.1", &[(FORWARDED, value)]);
        assert!(forwarded("for=a;proto=http, for=b; Proto=\"https\"") && !forwarded("proto=https, for=b"));
    }

    #[test]
    fn request_over_own_tls_came_over_https() {
        let mut extensions = Extensions::new();
        extensions.insert(OverTls { client: None });
        assert!(came_over_https(&ClientAddress::default(), [192, 0, 2, 1].into(), &HeaderMap::new(), &extensions));
    }

    #[test]
    fn age_of_zero_sends_no_header() {
        assert_eq!(strict_transport_security(0), None);
        assert_eq!(strict_transport_security(300).unwrap(), "max-age=300");
    }
}
