//! The begin of a connection to a TLS port.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::files::subject_of;
use super::{Outcome, Tls};
use crate::api::OverTls;
use crate::server::watched::WatchedWrites;

/// The first byte of a TLS connection: the type of a record with a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The answer to a client that speaks plain HTTP.
const SPEAKS_TLS: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 127\r\n\
    Connection: close\r\n\r\n\
    {\"error\":{\"message\":\"This port speaks HTTPS, not HTTP: write https:// in the address\",\
    \"type\":\"BadRequestException\",\"code\":400}}";

/// The most bytes that are read and discarded of a plain request, so that the system does not discard the answer.
const MAX_DISCARDED: usize = 64 << 10;

/// The begin of a connection that can go on.
pub(in crate::server) struct Opening {
    /// The stream of the decrypted bytes.
    pub(in crate::server) stream: TlsStream<WatchedWrites<TcpStream>>,
    /// Its description for requests.
    pub(in crate::server) over_tls: OverTls,
}

/// Agrees with a client on TLS. Answers a client that speaks plain HTTP. Waits without a limit.
///
/// # Errors
/// The outcome to count, and the reason.
pub(in crate::server) async fn open(
    tls: &Tls,
    stream: WatchedWrites<TcpStream>,
) -> Result<Opening, (Outcome, io::Error)> {
    let mut first = [0];
    let failed = |error| (Outcome::Failed, error);
    if stream.get_ref().peek(&mut first).await.map_err(failed)? == 0 {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    if first[0] != HANDSHAKE {
        // Every method of HTTP begins with a letter.
        if first[0].is_ascii_alphabetic() {
            // Errors do not matter: the connection ends.
            let _ = refuse(stream.into_inner()).await;
            return Err((Outcome::PlainHttp, io::Error::other("the client speaks HTTP, not HTTPS")));
        }
        return Err(failed(io::Error::other("the client does not speak TLS")));
    }
    let stream = tls.acceptor().accept(stream).await.map_err(failed)?;
    let (_, session) = stream.get_ref();
    let client = session.peer_certificates().and_then(|chain| chain.first());
    let client = client.map(|certificate| subject_of(certificate).unwrap_or_else(|| "unknown".to_owned()).into());
    Ok(Opening { stream, over_tls: OverTls { client } })
}

/// Answers a plain request, and reads the rest of it.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(SPEAKS_TLS.as_bytes()).await?;
    stream.shutdown().await?;
    let (mut left, mut bytes) = (MAX_DISCARDED, [0; 4096]);
    while left > 0 {
        match stream.read(&mut bytes).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

impl Tls {
    /// Counts a connection that did not begin, and logs it from time to time.
    pub(in crate::server) fn count_failure(&self, outcome: Outcome, why: &io::Error, peer: IpAddr) {
        self.count(outcome);
        tracing::debug!(%peer, error = %why, "a TLS connection did not begin");
        if let Some(count) = self.count_for_log() {
            let (last_address, last_reason) = (peer.to_string(), why.to_string());
            tracing::info!(count, last_address, last_reason, "TLS connections did not begin");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_plain_http_is_complete() {
        let (head, body) = SPEAKS_TLS.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{}", body.len());
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&error["error"]["code"], &error["error"]["type"]), (&400.into(), &"BadRequestException".into()));
    }
}
