//! A keep-alive HTTP/1.1 connection with little overhead: hyper without a pool, redirects, decompression or parsing of
//! bodies.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::CONNECTION;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How much of an unexpected response's body is kept for messages.
const SAMPLE_BYTES: usize = 400;

/// A request that can be sent repeatedly. `headers` includes `Host`.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The HTTP method.
    pub method: Method,
    /// The path and query only.
    pub uri: Uri,
    /// All headers except `Content-Length`, which follows from the body.
    pub headers: HeaderMap,
    /// The body; empty for a GET.
    pub body: Bytes,
}

/// An open connection, for one task and one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects without TLS. The connection's task runs on the current runtime until either side closes.
    ///
    /// # Errors
    /// Fails if nothing listens at the address.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Errors of the connection reach the caller through the failed request.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Sends a request and returns when the response's headers have arrived.
    ///
    /// # Errors
    /// Fails if the connection breaks or the server does not speak HTTP. The connection is unusable then.
    pub async fn send(&mut self, outgoing: &Outgoing) -> Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        *request.headers_mut() = outgoing.headers.clone();
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Returns whether the server closes the connection after this response.
#[must_use]
pub fn is_last(response: &Response<Incoming>) -> bool {
    response.headers().get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Reads a body to its end and returns its length. hyper fails for a body shorter than its `Content-Length`.
///
/// # Errors
/// Fails if the connection breaks.
pub async fn drain(mut body: Incoming) -> Result<u64> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            bytes += data.len() as u64;
        }
    }
    Ok(bytes)
}

/// Reads a body to its end and returns its beginning as one line of text.
///
/// # Errors
/// Fails if the connection breaks.
pub async fn sample(body: Incoming) -> Result<String> {
    Ok(shorten(&collect(body).await?))
}

/// Reads a body to its end and returns it.
///
/// # Errors
/// Fails if the connection breaks.
pub async fn collect(body: Incoming) -> Result<Bytes> {
    Ok(body.collect().await?.to_bytes())
}

/// Returns the beginning of a body as one line.
#[must_use]
pub fn shorten(body: &[u8]) -> String {
    let start = body.get(..SAMPLE_BYTES).unwrap_or(body);
    let text: Vec<String> = String::from_utf8_lossy(start).split_whitespace().map(str::to_owned).collect();
    let more = if body.len() > SAMPLE_BYTES { " ..." } else { "" };
    format!("{}{more}", text.join(" "))
}

/// Returns the first address of `host:port` that accepts a connection. `localhost` often has two; a server may use only one.
///
/// # Errors
/// Fails if no address answers.
pub async fn resolve(host: &str, port: u16) -> Result<SocketAddr> {
    let addresses: Vec<_> =
        tokio::net::lookup_host((host, port)).await.with_context(|| format!("unknown host {host}"))?.collect();
    for addr in &addresses {
        if TcpStream::connect(addr).await.is_ok() {
            return Ok(*addr);
        }
    }
    bail!("nothing answers at {host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_body_is_shortened_to_one_line() {
        let body = format!("{{\n  \"error\": \"{}\"\n}}", "x".repeat(1000));
        let shown = shorten(body.as_bytes());
        assert!(shown.starts_with("{ \"error\": \"xxx"));
        assert!(shown.ends_with(" ..."));
        assert!(!shown.contains('\n'));
        assert!(shown.len() < 420);
    }

    #[test]
    fn short_body_and_invalid_text_are_shown_unchanged() {
        assert_eq!(shorten(b"gone"), "gone");
        assert_eq!(shorten(b"\xff!"), "\u{fffd}!");
    }
}
