//! Cancels the statement of another connection, and waits until the database has received the request.
//!
//! The database closes the connection of such a request when it has handled it. `tokio-postgres` closes its side first. PgBouncer
//! (1.18 to 1.24, its issue 801) ends itself if that happens while it passes on the request. So this side stays open, as in libpq.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;

/// Why a statement could not be cancelled.
#[derive(Debug, thiserror::Error)]
pub(super) enum CancelError {
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Request(#[from] tokio_postgres::Error),
}

/// Sends the request, and waits until the other side closes the connection. `host` is the name in the database's certificate.
///
/// # Errors
/// If the database cannot be reached. Nothing tells whether the statement was stopped.
pub(super) async fn cancel(
    statement: &CancelToken,
    address: &Address,
    tls: Option<MakeRustlsConnect>,
    host: &str,
) -> Result<(), CancelError> {
    let mut stream = OpenStream::connect(address).await?;
    match tls {
        Some(mut tls) => {
            let tls = MakeTlsConnect::<OpenStream>::make_tls_connect(&mut tls, host).map_err(io::Error::other)?;
            statement.cancel_query_raw(stream.clone(), tls).await?;
        }
        None => statement.cancel_query_raw(stream.clone(), NoTls).await?,
    }
    // The database sends nothing but the end of TLS. A caller limits the time.
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that stays open until its last clone is dropped, also if a user of it shuts it down.
#[derive(Clone)]
struct OpenStream(Arc<Mutex<Box<dyn Stream>>>);

impl OpenStream {
    async fn connect(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Ip(address) => Self::new(TcpStream::connect(address).await?),
            Address::File(path) => Self::new(UnixStream::connect(path).await?),
        })
    }

    fn new(stream: impl Stream + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(stream))))
    }
}

impl AsyncRead for OpenStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.lock()).poll_read(cx, into)
    }
}

impl AsyncWrite for OpenStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.0.lock()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.0.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn stream_that_a_user_shuts_down_and_drops_stays_open() {
        let (this_side, mut other_side) = tokio::io::duplex(64);
        let mut stream = OpenStream::new(this_side);
        let mut lent = stream.clone();
        lent.write_all(b"one").await.unwrap();
        lent.shutdown().await.unwrap();
        drop(lent);
        stream.write_all(b"two").await.unwrap();
        let mut received = [0; 6];
        other_side.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"onetwo");
        drop(stream);
        assert_eq!(other_side.read(&mut received).await.unwrap(), 0);
    }
}
