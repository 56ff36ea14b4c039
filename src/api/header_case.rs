//! Sends the header names `ETag` and `Cache-Control` with capitals to clients that need them.
//!
//! Header names have no case, but Iceberg's Java client before 1.12 compares these exactly. With another spelling, it never
//! sends `If-None-Match` and never reuses a signature. The spelling costs hyper as much as the rest of a small answer, so only
//! clients that may need it get it.
//!
//! hyper writes names in lower case, unless the answer carries a private extension with the spelling of a request. So a
//! request with the wanted spelling is parsed in memory at start, and its extension is kept.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, ETAG, USER_AGENT};
use axum::http::{Extensions, HeaderMap, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

use super::client_version::ClientVersion;

/// The request that is parsed at start. It has no other headers, so that the extension is small. HTTP/1.0 ends the connection.
const SPELLED: &[u8] = b"GET / HTTP/1.0\r\nETag: x\r\nCache-Control: x\r\n\r\n";

/// The spelling of header names that a client needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Any case.
    Any,
    /// With capitals, as in the specifications.
    Capitals,
}

/// hyper's extension with the spelling of header names.
#[derive(Clone)]
pub struct HeaderCase(Extensions);

impl HeaderCase {
    /// Gets the extension from hyper.
    ///
    /// # Errors
    /// Fails if hyper does not parse the request.
    pub async fn learn() -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Extensions::new()));
        let keep = Arc::clone(&seen);
        let read = service_fn(move |request: Request<Incoming>| {
            *keep.lock() = request.extensions().clone();
            async { Ok::<_, Infallible>(hyper::Response::new(String::new())) }
        });
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(SPELLED).await?;
        let mut connection = hyper::server::conn::http1::Builder::new();
        connection.preserve_header_case(true).serve_connection(TokioIo::new(server), read).await?;
        let learned = seen.lock().clone();
        Ok(Self(learned))
    }

    /// Returns the spelling that the sender of these headers needs.
    ///
    /// A client with an unknown version, or with Java in its agent and no version, may be an old Java client too.
    pub(super) fn wanted_by(headers: &HeaderMap) -> Spelling {
        let is_old = match ClientVersion::from_headers(headers) {
            ClientVersion::OldJava | ClientVersion::Unknown => true,
            ClientVersion::Java | ClientVersion::Number => false,
            ClientVersion::Unsaid => headers.get(USER_AGENT).is_some_and(|agent| contains(agent.as_bytes(), b"Java")),
        };
        if is_old { Spelling::Capitals } else { Spelling::Any }
    }

    /// Sets the spelling of an answer that has one of the headers. `ETag` alone gets it only for clients that need it, because
    /// every load has that header.
    pub(super) fn apply(&self, spelling: Spelling, response: &mut Response) {
        let has = |name| response.headers().contains_key(name);
        if has(CACHE_CONTROL) || (spelling == Spelling::Capitals && has(ETAG)) {
            response.extensions_mut().extend(self.0.clone());
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{HeaderName, HeaderValue};
    use tokio::io::AsyncReadExt;

    use super::*;

    fn wanted(headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        HeaderCase::wanted_by(&headers.collect()) == Spelling::Capitals
    }

    #[test]
    fn client_that_may_be_java_before_1_12_gets_capitals() {
        for version in [
            "Apache Iceberg 1.9.2 (commit 07c088f)",
            "Apache Iceberg 1.11.0 (commit 1)",
            "Apache Iceberg 0.14.1",
            "Apache Iceberg unspecified (commit unknown)",
            "Apache Iceberg ",
            "some fork",
            "1.9.2-vendor",
        ] {
            assert!(wanted(&[("x-client-version", version)]), "{version}");
        }
        assert!(wanted(&[("user-agent", "Apache-HttpClient/5.4.1 (Java/17.0.9)")]));
    }

    #[test]
    fn other_client_gets_lower_case() {
        for version in
            ["Apache Iceberg 1.12.0 (commit 1)", "Apache Iceberg 1.13.0-SNAPSHOT", "Apache Iceberg 2.0.0", "0.10.0"]
        {
            assert!(!wanted(&[("x-client-version", version), ("user-agent", "Java")]), "{version}");
        }
        assert!(!wanted(&[]) && !wanted(&[("user-agent", "PyIceberg/0.10.0")]));
    }

    #[tokio::test]
    async fn entity_tag_has_capitals_on_the_wire() {
        let case = HeaderCase::learn().await.unwrap();
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let answer = service_fn(move |_: Request<Incoming>| {
            let mut response =
                Response::builder().header("etag", "\"a\"").header("x-other", "b").body(Body::empty()).unwrap();
            case.apply(Spelling::Capitals, &mut response);
            async { Ok::<_, Infallible>(response) }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), answer).await.unwrap();
        let mut wire = String::new();
        client.read_to_string(&mut wire).await.unwrap();
        assert!(wire.contains("\r\nETag: \"a\"\r\n") && wire.contains("\r\nx-other: b\r\n"), "{wire}");
    }
}
