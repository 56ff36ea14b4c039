//! Connections: accepts them up to a limit, closes them when their client is silent, and ends them at a stop after the
//! requests that have begun.

mod activity;
mod admission;
mod answer;
mod connection;
mod descriptors;
mod machine;
mod throttle;
mod tls;
mod watched;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config::{ConnectionsConfig, ListenAddress};
use crate::console::Site;
use crate::data_folder::control::ControlSocket;
use activity::{Stage, Timeouts};
use admission::Admission;
use connection::{Live, Serving};
pub use descriptors::raise_descriptor_limit;
use throttle::Throttle;
pub use tls::{Outcome as TlsOutcome, Tls, TlsError};

/// How long to wait after a failed accept, for example because the process has no file descriptor left.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// How long to wait for connections that were cut off to close.
const CUT_OFF_TIME: Duration = Duration::from_secs(1);

/// The answer to a connection beyond the limit.
const NO_ROOM: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 164\r\n\
    Retry-After: 2\r\n\
    Connection: close\r\n\r\n\
    {\"error\":{\"message\":\"Too many connections are open, to this server or from this address: close some, or try again\",\
    \"type\":\"ServiceUnavailableException\",\"code\":503}}";

/// Why a server cannot listen, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The name cannot be resolved.
    #[error("cannot listen on {listen}: no address is known for '{}' ({source}); name an address, such as 127.0.0.1", listen.host())]
    Unknown {
        /// The requested address.
        listen: ListenAddress,
        /// The system's error.
        source: io::Error,
    },
    /// Another process listens there.
    #[error(
        "cannot listen on {listen}: another program has that port; stop it, or choose another port with \
         --listen {} (port 0 takes any that is free)",
        listen.with_port(listen.port().checked_add(1).unwrap_or(0))
    )]
    Taken {
        /// The requested address.
        listen: ListenAddress,
    },
    /// The port needs a privilege.
    #[error("cannot listen on {listen}: ports below 1024 need a privilege; choose a higher one with --listen")]
    Privileged {
        /// The requested address.
        listen: ListenAddress,
    },
    /// The address is another machine's.
    #[error(
        "cannot listen on {listen}: this machine has no such address; with --listen choose one that it has, 127.0.0.1 to \
         listen to this machine alone, or 0.0.0.0 to listen to all others too"
    )]
    Elsewhere {
        /// The requested address.
        listen: ListenAddress,
    },
    /// Another error.
    #[error("cannot listen on {listen}: {source}; choose another address or port with --listen")]
    Other {
        /// The requested address.
        listen: ListenAddress,
        /// The system's error.
        source: io::Error,
    },
}

impl BindError {
    fn from_io(listen: &ListenAddress, source: io::Error) -> Self {
        let listen = listen.clone();
        match source.kind() {
            ErrorKind::AddrInUse => Self::Taken { listen },
            ErrorKind::PermissionDenied if (1..1024).contains(&listen.port()) => Self::Privileged { listen },
            ErrorKind::AddrNotAvailable => Self::Elsewhere { listen },
            _ => Self::Other { listen, source },
        }
    }
}

/// A port that accepts connections.
pub struct Server {
    listener: TcpListener,
    admission: Arc<Admission>,
    serving: Arc<Serving>,
    live: watch::Sender<Live>,
    socket: Option<ControlSocket>,
    tls: Option<Arc<Tls>>,
}

/// Replaces the service and the settings of a running server.
#[derive(Clone)]
pub struct Replacing {
    admission: Arc<Admission>,
    live: watch::Sender<Live>,
}

impl Replacing {
    /// Returns the service that answers new requests.
    #[must_use]
    pub fn service(&self) -> Site {
        self.live.borrow().service.clone()
    }

    /// Answers new requests with another service, and applies other settings to connections. Requests that have begun keep their
    /// service.
    pub fn replace(&self, service: Site, connections: &ConnectionsConfig) {
        self.admission.set_room(connections);
        self.live.send_replace(Live { service, timeouts: Timeouts::from_config(connections) });
    }
}

/// What a server serves at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerUsage {
    /// Open connections.
    pub connections: usize,
    /// The most connections.
    pub max_connections: usize,
    /// Running requests.
    pub requests: usize,
}

/// Counts what a server serves. It does not keep the server's service alive.
#[derive(Clone)]
pub struct ServerCounts(Arc<Admission>);

impl ServerCounts {
    /// Returns what the server serves now.
    #[must_use]
    pub fn usage(&self) -> ServerUsage {
        let (connections, requests) = self.0.count();
        ServerUsage { connections, max_connections: self.0.max(), requests }
    }
}

/// The connections and requests that a stop cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutOff {
    /// Connections that were busy.
    pub connections: usize,
    /// Requests without an answer.
    pub requests: usize,
}

impl Server {
    /// Listens on an address. If a name has several addresses, takes the first free IPv4 address, or else the first free IPv6
    /// address: most clients try IPv4, and the default address is IPv4.
    ///
    /// # Errors
    /// All of [`BindError`].
    pub async fn bind(
        listen: &ListenAddress,
        connections: &ConnectionsConfig,
        service: Site,
    ) -> Result<Self, BindError> {
        let host = listen.host();
        let found = tokio::net::lookup_host((host, listen.port())).await;
        let mut addresses: Vec<SocketAddr> =
            found.map_err(|source| BindError::Unknown { listen: listen.clone(), source })?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let listener = TcpListener::bind(&addresses[..]).await.map_err(|source| BindError::from_io(listen, source))?;
        let admission = Arc::new(Admission::new(connections));
        let live = watch::Sender::new(Live { service, timeouts: Timeouts::from_config(connections) });
        let serving = Arc::new(Serving::new(live.subscribe()));
        Ok(Self { listener, admission, serving, live, socket: None, tls: None })
    }

    /// Adds `socket`, over which the server answers commands of this machine.
    #[must_use]
    pub fn with_socket(self, socket: ControlSocket) -> Self {
        Self { socket: Some(socket), ..self }
    }

    /// Speaks TLS on the port, if there are certificates for it.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Returns the handle that replaces the service of the running server.
    #[must_use]
    pub fn replacing(&self) -> Replacing {
        Replacing { admission: Arc::clone(&self.admission), live: self.live.clone() }
    }

    /// Returns the handle that counts what the server serves.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        ServerCounts(Arc::clone(&self.admission))
    }

    /// Returns the address on which the server listens, with the real port if the configured port is 0.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns the most connections that are served at the same time.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.admission.max()
    }

    /// Serves until `shutdown` ends. Then closes idle connections at once, and the others after their requests are answered. Cuts
    /// off those that are still open after the time that `grace` returns. Returns their numbers, or `None` if all ended.
    pub async fn serve(self, shutdown: impl Future<Output = ()>, grace: impl FnOnce() -> Duration) -> Option<CutOff> {
        let not_accepted = Throttle::default();
        let machine = machine::admission();
        let commands = self
            .socket
            .map(|socket| tokio::spawn(machine::accept(socket, Arc::clone(&machine), Arc::clone(&self.serving))));
        tokio::pin!(shutdown);
        loop {
            let (stream, peer) = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        if let Some(count) = not_accepted.count() {
                            tracing::warn!(%error, count, "connections were not accepted");
                        }
                        tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                        continue;
                    }
                },
            };
            match self.admission.admit(peer.ip()) {
                Some(permit) => {
                    tokio::spawn(Arc::clone(&self.serving).serve_tcp(stream, peer.ip(), permit, self.tls.clone()));
                }
                None if self.tls.is_some() => drop(stream),
                None => refuse(stream),
            }
        }
        drop(self.listener);
        if let Some(commands) = commands {
            // Remove the socket before another server can lock the data folder.
            commands.abort();
            let _ = commands.await;
        }
        let all = [&self.admission, &machine];
        let all_ended = || async { tokio::join!(self.admission.all_ended(), machine.all_ended()) };
        all.iter().for_each(|admission| admission.all_go_on_to(Stage::Stopping));
        if tokio::time::timeout(grace(), all_ended()).await.is_ok() {
            return None;
        }
        let [(tcp, tcp_requests), (commands, command_requests)] = all.map(|admission| admission.count());
        all.iter().for_each(|admission| admission.all_go_on_to(Stage::CutOff));
        // Connections that are still open then end with the process.
        let _ = tokio::time::timeout(CUT_OFF_TIME, all_ended()).await;
        Some(CutOff { connections: tcp + commands, requests: tcp_requests + command_requests })
    }
}

/// Answers a connection beyond the limit with 503, if that is possible without waiting, and closes it.
fn refuse(stream: TcpStream) {
    let Ok(mut stream) = stream.into_std() else { return };
    // Errors do not matter: the connection ends.
    let _ = stream.write(NO_ROOM.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    // If the request stays unread, the system resets the connection and discards the answer.
    let _ = stream.read(&mut [0; 4096]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_a_connection_is_a_complete_answer() {
        let (head, body) = NO_ROOM.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{}", body.len());
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&error["error"]["code"], &error["error"]["type"]),
            (&503.into(), &"ServiceUnavailableException".into())
        );
    }
}
