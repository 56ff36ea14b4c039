//! TLS to a syslog receiver (RFC 5425).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::base::pem_files::{certificates, private_key};
use crate::config::AuditSyslogConfig;

/// How long a new connection waits for the receiver's word about the client's certificate.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to a receiver. Reads the files anew, so that renewed certificates are used for the next connection.
///
/// # Errors
/// Fails if a file cannot be used, or one side does not trust the other.
pub(super) async fn connect(to: &str, settings: &AuditSyslogConfig) -> io::Result<TlsStream<TcpStream>> {
    let name = server_name(to)?;
    let connector = TlsConnector::from(Arc::new(client_config(settings)?));
    let mut stream = connector.connect(name, TcpStream::connect(to).await?).await?;
    wait_for_verdict(&mut stream).await?;
    Ok(stream)
}

/// Returns the name or IP address that the receiver's certificate must have.
fn server_name(to: &str) -> io::Result<ServerName<'static>> {
    let host = to.rsplit_once(':').map_or(to, |(host, _)| host).trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn client_config(settings: &AuditSyslogConfig) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if settings.ca_file.as_os_str().is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        for certificate in certificates("audit.syslog.ca_file", &settings.ca_file).map_err(io::Error::other)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    if settings.client_certificate_file.as_os_str().is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let own = certificates("audit.syslog.client_certificate_file", &settings.client_certificate_file)
        .map_err(io::Error::other)?;
    let key = private_key("audit.syslog.client_key_file", &settings.client_key_file).map_err(io::Error::other)?;
    builder.with_client_auth_cert(own, key).map_err(io::Error::other)
}

/// Waits until the receiver has accepted the client.
///
/// In TLS 1.3 a client is done before the receiver has seen its certificate. A receiver that refuses it then sends an alert, and messages that
/// were sent meanwhile are lost. Most receivers send session tickets after they have accepted a client. Those that do neither are trusted after a second.
async fn wait_for_verdict(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    let verdict = poll_fn(|context| {
        let read = poll_read(stream, context);
        let is_accepted = stream.get_ref().1.tls13_tickets_received() > 0;
        if is_accepted { Poll::Ready(Ok(())) } else { read }
    });
    timeout(VERDICT_TIMEOUT, verdict).await.unwrap_or(Ok(()))
}

/// Reads what the receiver has sent, which is only about the connection itself. Ends if the receiver has closed the connection.
fn poll_read(stream: &mut TlsStream<TcpStream>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut bytes = [0; 64];
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Returns why the receiver has closed the connection, if it has.
pub(super) fn closed(stream: &mut TlsStream<TcpStream>) -> Option<io::Error> {
    match poll_read(stream, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => Some(error),
        _ => None,
    }
}
