//! One keep-alive HTTP/1.1 connection, with as little between the caller and the wire as hyper allows: no pool, no
//! redirects, no decompression, no parsing of bodies.

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

/// How much of an unexpected answer's body is kept to be shown.
const SAMPLE_BYTES: usize = 400;

/// A request that is ready to be sent any number of times. The `Host` header is part of `headers`.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The HTTP method.
    pub method: Method,
    /// Path and query only.
    pub uri: Uri,
    /// All headers except `Content-Length`, which the body decides.
    pub headers: HeaderMap,
    /// The body, empty for a GET.
    pub body: Bytes,
}

/// An open connection. It is used by one task, one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects without TLS. The connection's own task runs on the current runtime until either side closes.
    ///
    /// # Errors
    /// When nothing listens at the address.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection reaches the caller through the request that it breaks.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Sends a request and returns when the answer's headers have arrived.
    ///
    /// # Errors
    /// When the connection broke or the server does not speak HTTP. The connection is of no more use then.
    pub async fn send(&mut self, outgoing: &Outgoing) -> Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        *request.headers_mut() = outgoing.headers.clone();
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Whether the server closes the connection after this answer, as proxies do now and then.
#[must_use]
pub fn is_last(response: &Response<Incoming>) -> bool {
    response.headers().get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Reads a body to its end and counts its bytes. A body that is shorter than its `Content-Length` is an error (hyper sees to it).
///
/// # Errors
/// When the connection broke.
pub async fn drain(mut body: Incoming) -> Result<u64> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            bytes += data.len() as u64;
        }
    }
    Ok(bytes)
}

/// Reads a body to its end and keeps its beginning, as text that can be shown on one line.
///
/// # Errors
/// When the connection broke.
pub async fn sample(body: Incoming) -> Result<String> {
    Ok(shorten(&collect(body).await?))
}

/// Reads a body to its end and keeps it.
///
/// # Errors
/// When the connection broke.
pub async fn collect(body: Incoming) -> Result<Bytes> {
    Ok(body.collect().await?.to_bytes())
}

/// The beginning of a body on one line.
#[must_use]
pub fn shorten(body: &[u8]) -> String {
    let start = body.get(..SAMPLE_BYTES).unwrap_or(body);
    let text: Vec<String> = String::from_utf8_lossy(start).split_whitespace().map(str::to_owned).collect();
    let more = if body.len() > SAMPLE_BYTES { " ..." } else { "" };
    format!("{}{more}", text.join(" "))
}

/// The first address of `host:port` that accepts a connection. `localhost` often has two, of which a server listens on one.
///
/// # Errors
/// When no address answers.
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
    fn a_long_body_is_shortened_to_one_line() {
        let body = format!("{{\n  \"error\": \"{}\"\n}}", "x".repeat(1000));
        let shown = shorten(body.as_bytes());
        assert!(shown.starts_with("{ \"error\": \"xxx"));
        assert!(shown.ends_with(" ..."));
        assert!(!shown.contains('\n'));
        assert!(shown.len() < 420);
    }

    #[test]
    fn a_short_body_and_invalid_text_are_shown_as_they_are() {
        assert_eq!(shorten(b"gone"), "gone");
        assert_eq!(shorten(b"\xff!"), "\u{fffd}!");
    }
}
