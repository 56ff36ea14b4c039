//! Connections: accepting them, and ending them without cutting off what was begun.

mod threads;
mod timer;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};

use crate::api::ApiService;
pub use threads::ConnectionThreads;
use timer::ConnectionTimer;

/// How long a client may take to send its headers.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after an accept that failed, as it does when the process has no file descriptor left.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// A port that accepts connections.
pub struct Server {
    listener: TcpListener,
    service: ApiService,
    threads: ConnectionThreads,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// When it cannot be had, which usually means that another process has it.
    pub async fn bind(listen: SocketAddr, service: ApiService) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen).await?, service, threads: ConnectionThreads::start()? })
    }

    /// The address that was taken; its port is known only now if port 0 was asked for.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` ends, then lets every request that was begun end, for at most `grace`.
    ///
    /// Gives the threads on which changes may go on that requests began: to be dropped when they have ended.
    pub async fn serve(mut self, shutdown: impl Future<Output = ()>, grace: Duration) -> ConnectionThreads {
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
            self.spawn(stream, connections.clone(), graceful.watcher());
        }
        drop(self.listener);
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(grace_s = grace.as_secs(), "connections were still open at the end of the grace period");
        }
        self.threads
    }

    fn spawn(&mut self, stream: TcpStream, connections: Builder<TokioExecutor>, watcher: Watcher) {
        // Answers are written whole, so waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        // Off this runtime, to be put on that of its thread.
        let Ok(stream) = stream.into_std() else { return };
        let service = self.service.clone();
        self.threads.hand_over(move || {
            tokio::spawn(async move {
                if let Err(error) = serve_one(stream, service, connections, watcher).await {
                    tracing::debug!(error, "a connection ended early");
                }
            });
        });
    }
}

async fn serve_one(
    stream: std::net::TcpStream,
    service: ApiService,
    mut connections: Builder<TokioExecutor>,
    watcher: Watcher,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::from_std(stream)?;
    let service = Arc::new(service);
    let answer = service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.handle(request.map(Body::new)).await) }
    });
    let timer = ConnectionTimer::default();
    connections.http1().timer(timer.clone());
    connections.http2().timer(timer);
    watcher.watch(connections.serve_connection(TokioIo::new(stream), answer).into_owned()).await
}
