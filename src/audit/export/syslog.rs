//! The export to syslog: RFC 5424 over a Unix socket, UDP (RFC 5426), TCP with octet counting (RFC 6587), or TLS (RFC 5425).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::syslog_tls;
use crate::audit::line::AuditLine;
use crate::config::{AuditSyslogConfig, SyslogAddress, SyslogFacility};
use crate::store::AuditDecision;

/// How long a receiver may take for a connection, and for each message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a record in a message. Longer ones have no details: rsyslog cuts off messages at 8 KiB unless it is configured otherwise.
const MAX_RECORD_BYTES: usize = 7_800;

/// Severities (RFC 5424, section 6.2.1): a refusal is a warning, all else is information.
const WARNING: u8 = 4;
const INFORMATION: u8 = 6;

/// A connection to a syslog receiver.
#[derive(Default)]
pub(super) struct SyslogSink {
    /// The connection, with the settings that it was opened for.
    open: Option<(AuditSyslogConfig, Connection)>,
}

enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl SyslogSink {
    /// Sends a message for each line. Without lines, only connects.
    ///
    /// # Errors
    /// The system's error, with the receiver's address.
    pub(super) async fn send(&mut self, settings: &AuditSyslogConfig, lines: &[AuditLine]) -> io::Result<()> {
        // It leaves no connection if it fails or is cancelled.
        let sent = self.try_send(settings, lines).await;
        sent.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", settings.address)))
    }

    async fn try_send(&mut self, settings: &AuditSyslogConfig, lines: &[AuditLine]) -> io::Result<()> {
        let mut open = self.open.take().filter(|(opened_for, _)| opened_for == settings);
        if open.as_mut().is_some_and(|(_, connection)| connection.check().is_err()) {
            open = None;
        }
        let mut connection = match open {
            Some((_, connection)) => connection,
            None => in_time(Connection::open(settings)).await?,
        };
        let host = host_name();
        for line in lines {
            in_time(connection.send(&message(settings.facility, &host, line))).await?;
        }
        in_time(connection.finish()).await?;
        self.open = Some((settings.clone(), connection));
        Ok(())
    }
}

/// Fails if a step takes too long. A receiver that is slow and takes each message in time does not fail.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "the receiver takes no messages"));
    timeout(SEND_TIMEOUT, step).await.unwrap_or_else(late)
}

impl Connection {
    async fn open(settings: &AuditSyslogConfig) -> io::Result<Self> {
        match &settings.address {
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
            SyslogAddress::Udp(to) => {
                let to = tokio::net::lookup_host(to).await?.next().ok_or(io::ErrorKind::NotFound)?;
                let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(from).await?;
                socket.connect(to).await?;
                Ok(Self::Udp(socket))
            }
            SyslogAddress::Tcp(to) => Ok(Self::Tcp(TcpStream::connect(to).await?)),
            SyslogAddress::Tls(to) => Ok(Self::Tls(Box::new(syslog_tls::connect(to, settings).await?))),
            SyslogAddress::None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn send(&mut self, message: &str) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message.as_bytes()).await.map(drop),
            Self::Udp(socket) => socket.send(message.as_bytes()).await.map(drop),
            Self::Tcp(stream) => stream.write_all(counted(message).as_bytes()).await,
            Self::Tls(stream) => stream.write_all(counted(message).as_bytes()).await,
        }
    }

    /// Sends what is buffered. Fails if the receiver has closed the connection: it may have read only a part.
    async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Udp(_) => {}
            Self::Tcp(stream) => stream.flush().await?,
            Self::Tls(stream) => stream.flush().await?,
        }
        self.check()
    }

    /// Fails if the receiver has closed the connection. Receivers send nothing.
    fn check(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Udp(_) => Ok(()),
            Self::Tcp(stream) => match stream.try_read(&mut [0; 64]) {
                Ok(0) => Err(io::ErrorKind::ConnectionAborted.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(()),
            },
            Self::Tls(stream) => syslog_tls::closed(stream).map_or(Ok(()), Err),
        }
    }
}

/// Returns a message with its length before it (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// Returns a message (RFC 5424, section 6) whose text is the record as JSON.
fn message(facility: SyslogFacility, host: &str, line: &AuditLine) -> String {
    let severity = match line.entry().decision {
        AuditDecision::Denied => WARNING,
        AuditDecision::Allowed => INFORMATION,
    };
    let priority = facility.number() * 8 + severity;
    let (time, kind, process) = (line.time(), line.entry().kind.as_str(), std::process::id());
    format!("<{priority}>1 {time} {host} tidewater {process} {kind} - {}", line.json(MAX_RECORD_BYTES))
}

/// Returns the machine's name, or `-` if it is not known.
fn host_name() -> String {
    let name = fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::{AuditEntry, AuditRecord, AuditType};

    fn line(decision: AuditDecision, text: &str) -> AuditLine {
        let mut entry = AuditEntry::new(AuditType::Refusal, "load-table", decision);
        entry.details.insert("text".to_owned(), text.into());
        AuditRecord { id: 7, organisation: None, at_ms: 1_700_000_000_123, entry }.into()
    }

    #[test]
    fn message_has_priority_time_and_type_and_a_long_record_has_no_details() {
        let denied = message(SyslogFacility::Authpriv, "host", &line(AuditDecision::Denied, "a"));
        let process = std::process::id();
        let header =
            format!("<84>1 2023-11-14T22:13:20.123Z host tidewater {process} refusal - {{\"schema-version\":1");
        assert!(denied.starts_with(&header), "{denied}");
        assert!(message(SyslogFacility::Local0, "host", &line(AuditDecision::Allowed, "a")).starts_with("<134>1 "));
        let long = message(SyslogFacility::Authpriv, "host", &line(AuditDecision::Denied, &"x".repeat(9_000)));
        assert!(long.len() < 1_000 && long.contains("details-left-out"), "{long}");
    }

    #[tokio::test]
    async fn messages_over_tcp_have_their_length_and_a_closed_connection_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = SyslogAddress::Tcp(listener.local_addr().unwrap().to_string());
        let settings = AuditSyslogConfig { address, facility: SyslogFacility::Auth, ..AuditSyslogConfig::default() };
        let mut sink = SyslogSink::default();
        for _ in 0..2 {
            let lines = [line(AuditDecision::Denied, "ä"), line(AuditDecision::Allowed, "b")];
            let (sent, accepted) = tokio::join!(sink.send(&settings, &lines), listener.accept());
            sent.unwrap();
            let mut stream = accepted.unwrap().0;
            for _ in 0..2 {
                let mut length = String::new();
                while !length.ends_with(' ') {
                    length.push(char::from(stream.read_u8().await.unwrap()));
                }
                let mut text = vec![0; length.trim().parse().unwrap()];
                stream.read_exact(&mut text).await.unwrap();
                assert!(String::from_utf8(text).unwrap().ends_with('}'));
            }
            drop(stream);
            // The connection counts as open until the system has told of its end.
            while sink.open.as_mut().is_some_and(|(_, connection)| connection.check().is_ok()) {
                tokio::task::yield_now().await;
            }
        }
        drop(listener);
        let error = sink.send(&settings, &[line(AuditDecision::Denied, "c")]).await.unwrap_err();
        assert!(error.to_string().starts_with("tcp:127.0.0.1:"), "{error}");
    }
}
