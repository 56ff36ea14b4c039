//! Connections: accepting them, and ending them without cutting off what was begun.

mod timer;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::api::ApiService;
use crate::config::ListenAddress;
use timer::ConnectionTimer;

/// How long a client may take to send its headers.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after an accept that failed, as it does when the process has no file descriptor left.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Why a server does not listen, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nobody knows the name.
    #[error("cannot listen on {listen}: no address is known for '{}' ({source}); name an address, such as 127.0.0.1", listen.host())]
    Unknown {
        /// Where it was to listen.
        listen: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
    /// Another process listens there.
    #[error(
        "cannot listen on {listen}: another program has that port; stop it, or choose another port with \
         --listen {} (port 0 takes any that is free)",
        listen.with_port(listen.port().checked_add(1).unwrap_or(0))
    )]
    Taken {
        /// Where it was to listen.
        listen: ListenAddress,
    },
    /// The port is for the privileged.
    #[error("cannot listen on {listen}: ports below 1024 need a privilege; choose a higher one with --listen")]
    Privileged {
        /// Where it was to listen.
        listen: ListenAddress,
    },
    /// The address is another machine's.
    #[error(
        "cannot listen on {listen}: this machine has no such address; with --listen choose one that it has, 127.0.0.1 to \
         listen to this machine alone, or 0.0.0.0 to listen to all others too"
    )]
    Elsewhere {
        /// Where it was to listen.
        listen: ListenAddress,
    },
    /// Anything else.
    #[error("cannot listen on {listen}: {source}; choose another address or port with --listen")]
    Other {
        /// Where it was to listen.
        listen: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    fn of(listen: &ListenAddress, source: io::Error) -> Self {
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
    service: ApiService,
}

impl Server {
    /// Takes the port. Of a name with several addresses, the first of IPv4 that can be had, else the first of IPv6: what
    /// clients try who are given a name, and what they are given here if nobody names anything.
    ///
    /// # Errors
    /// When the host is not known, or the port cannot be had, which usually means that another process has it.
    pub async fn bind(listen: &ListenAddress, service: ApiService) -> Result<Self, BindError> {
        let host = listen.host();
        let found = tokio::net::lookup_host((host, listen.port())).await;
        let mut addresses: Vec<SocketAddr> =
            found.map_err(|source| BindError::Unknown { listen: listen.clone(), source })?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let listener = TcpListener::bind(&addresses[..]).await.map_err(|source| BindError::of(listen, source))?;
        Ok(Self { listener, service })
    }

    /// The address that was taken; its port is known only now if port 0 was asked for.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` ends, then lets every request that was begun end, for at most `grace`.
    pub async fn serve(self, shutdown: impl Future<Output = ()>, grace: Duration) {
        let graceful = GracefulShutdown::new();
        let mut connections = Builder::new(TokioExecutor::new());
        connections.http1().header_read_timeout(HEADER_READ_TIMEOUT);
        tokio::pin!(shutdown);
        loop {
            let stream = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                        continue;
                    }
                },
            };
            self.spawn(stream, connections.clone(), &graceful);
        }
        drop(self.listener);
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(grace_s = grace.as_secs(), "connections were still open at the end of the grace period");
        }
    }

    fn spawn(&self, stream: TcpStream, mut connections: Builder<TokioExecutor>, graceful: &GracefulShutdown) {
        // Answers are written whole, so waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        // Its own, so that threads that serve other connections do not count the same references.
        let service = Arc::new(self.service.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(service.handle(request.map(boxed)).await) }
        });
        let timer = ConnectionTimer::default();
        connections.http1().timer(timer.clone());
        connections.http2().timer(timer);
        let connection = connections.serve_connection(TokioIo::new(stream), answer).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Most requests have no body, and need no memory for one.
fn boxed(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
