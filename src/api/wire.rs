//! Checks requests beyond hyper's own checks. Refuses requests that a proxy and this server could parse differently.

use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Uri, Version};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// Checks a request from a connection.
///
/// # Errors
/// Answer 400 if it is malformed. The answer closes the connection.
pub(super) fn check(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(wrong) = malformed(version, uri, headers) else { return Ok(()) };
    let mut response = ApiError::bad_request(wrong).refused("malformed-request").into_response();
    if version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Err(Box::new(response))
}

fn malformed(version: Version, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    if uri
        .scheme_str()
        .is_some_and(|scheme| !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https"))
    {
        return Some("The request's target has a scheme other than http and https");
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // RFC 9112, section 3.2.
        (None, _) if version == Version::HTTP_11 => return Some("A request over HTTP/1.1 must have a Host header"),
        (Some(_), Some(_)) => return Some("A request can have one Host header, not several"),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            return Some("The Host header is not a host's name and port");
        }
        _ => {}
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => None,
        _ => {
            Some("The only Transfer-Encoding that is read is 'chunked': compress bodies with Content-Encoding instead")
        }
    }
}

/// Returns whether these bytes can be a host and a port (RFC 3986, section 3.2.2). Accepts an empty host.
fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
            | b'+' | b',' | b';' | b'=' | b':' | b'[' | b']' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(version: Version, uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        malformed(version, &uri.parse().unwrap(), &map).is_some()
    }

    #[test]
    fn missing_repeated_or_invalid_host_is_refused() {
        for host in ["localhost", "a.example:8181", "[::1]:80", ""] {
            assert!(!wrong(Version::HTTP_11, "/v1/config", &[("host", host)]), "{host}");
        }
        for host in ["a b", "a/b", "user@a", "a?b", "<script>"] {
            assert!(wrong(Version::HTTP_11, "/v1/config", &[("host", host)]), "{host}");
        }
        assert!(wrong(Version::HTTP_11, "/v1/config", &[]));
        assert!(wrong(Version::HTTP_11, "http://a.example/v1/config", &[]), "also where the target names one");
        assert!(wrong(Version::HTTP_11, "/v1/config", &[("host", "a"), ("host", "a")]));
        assert!(!wrong(Version::HTTP_10, "/v1/config", &[]));
        assert!(!wrong(Version::HTTP_2, "https://a.example/v1/config", &[]));
    }

    #[test]
    fn transfer_encoding_other_than_chunked_is_refused() {
        let with = |coding| wrong(Version::HTTP_11, "/", &[("host", "a"), ("transfer-encoding", coding)]);
        assert!(!with("chunked") && !with(" Chunked"));
        assert!(with("gzip, chunked") && with("chunked, chunked") && with("identity") && with(""));
        let twice = [("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")];
        assert!(wrong(Version::HTTP_11, "/", &twice));
    }

    #[test]
    fn absolute_target_with_another_scheme_is_refused() {
        let at = |uri| wrong(Version::HTTP_11, uri, &[("host", "a")]);
        assert!(!at("http://a/v1/config") && !at("HTTPS://a/v1/config"));
        assert!(at("ftp://a/v1/config") && at("file://a/etc/passwd"));
    }
}
