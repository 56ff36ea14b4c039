//! `ETag` and `Cache-Control`, spelled so on the wire.
//!
//! Names of headers have no case, but the Java client looks for these letter by letter: where they are spelled otherwise, it
//! never asks again with `If-None-Match`, and never uses a signature twice. hyper writes names in lower case; it spells them differently only in an answer
//! that carries how a request spelled them, a type of its own that nobody else can make. So one request that spells it as
//! we want is read in memory at start, and what hyper made of it is kept.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::http::{Extensions, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

/// With no other name in it, so that little is kept. HTTP/1.0 ends the connection after it.
const SPELLED: &[u8] = b"GET / HTTP/1.0\r\nETag: x\r\nCache-Control: x\r\n\r\n";

/// How names of headers are spelled.
#[derive(Clone)]
pub struct HeaderCase(Extensions);

impl HeaderCase {
    /// Learns it from hyper.
    ///
    /// # Errors
    /// When hyper does not read the request.
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

    /// Has an answer spell them so, if it has one of them.
    pub(super) fn apply(&self, response: &mut Response) {
        if [ETAG, CACHE_CONTROL].iter().any(|name| response.headers().contains_key(name)) {
            response.extensions_mut().extend(self.0.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn an_entity_tag_is_spelled_as_java_looks_for_it() {
        let case = HeaderCase::learn().await.unwrap();
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let answer = service_fn(move |_: Request<Incoming>| {
            let mut response =
                Response::builder().header("etag", "\"a\"").header("x-other", "b").body(Body::empty()).unwrap();
            case.apply(&mut response);
            async { Ok::<_, Infallible>(response) }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), answer).await.unwrap();
        let mut wire = String::new();
        client.read_to_string(&mut wire).await.unwrap();
        assert!(wire.contains("\r\nETag: \"a\"\r\n") && wire.contains("\r\nx-other: b\r\n"), "{wire}");
    }
}
