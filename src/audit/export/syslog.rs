//! The export to syslog: RFC 5424 over a Unix socket, UDP (RFC 5426), or TCP with octet counting (RFC 6587).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::time::timeout;

use crate::audit::line::AuditLine;
use crate::config::{AuditSyslogConfig, SyslogAddress, SyslogFacility};
use crate::store::AuditDecision;

/// How long a receiver may take for a batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a record in a message. Longer ones have no details: rsyslog cuts off messages at 8 KiB unless it is configured otherwise.
const MAX_RECORD_BYTES: usize = 7_800;

/// Severities (RFC 5424, section 6.2.1): a refusal is a warning, all else is information.
const WARNING: u8 = 4;
const INFORMATION: u8 = 6;

/// A connection to a syslog receiver.
#[derive(Default)]
pub(super) struct SyslogSink {
    open: Option<(SyslogAddress, Connection)>,
}

enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl SyslogSink {
    /// Sends a message for each line. Without lines, only connects.
    ///
    /// # Errors
    /// The system's error, with the receiver's address.
    pub(super) async fn send(&mut self, settings: &AuditSyslogConfig, lines: &[AuditLine]) -> io::Result<()> {
        let sent = timeout(SEND_TIMEOUT, self.try_send(settings, lines)).await;
        let sent =
            sent.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the receiver takes no messages")));
        if sent.is_err() {
            self.open = None;
        }
        sent.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", settings.address)))
    }

    async fn try_send(&mut self, settings: &AuditSyslogConfig, lines: &[AuditLine]) -> io::Result<()> {
        let open = self.open.take().filter(|(address, _)| *address == settings.address);
        let mut connection = match open {
            Some((_, connection)) if !connection.is_closed() => connection,
            _ => Connection::open(&settings.address).await?,
        };
        let host = host_name();
        for line in lines {
            connection.send(&message(settings.facility, &host, line)).await?;
        }
        connection.finish().await?;
        self.open = Some((settings.address.clone(), connection));
        Ok(())
    }
}

impl Connection {
    async fn open(address: &SyslogAddress) -> io::Result<Self> {
        match address {
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
            SyslogAddress::None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn send(&mut self, message: &str) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message.as_bytes()).await.map(drop),
            Self::Udp(socket) => socket.send(message.as_bytes()).await.map(drop),
            Self::Tcp(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()).await,
        }
    }

    /// Fails if the receiver has closed the connection: it may have read only a part.
    async fn finish(&mut self) -> io::Result<()> {
        if let Self::Tcp(stream) = self {
            stream.flush().await?;
        }
        if self.is_closed() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Returns whether the receiver has closed the connection. Receivers send nothing.
    fn is_closed(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
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
