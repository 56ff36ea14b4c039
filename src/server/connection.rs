//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::activity::{Overdue, Stage, Timeouts};
use super::admission::{Connection, Permit};
use super::answer::AnswerBody;
use super::throttle::Throttle;
use super::tls::{Opening, Outcome, Tls, open};
use super::watched::{WatchedReads, WatchedWrites};
use crate::api::{Machine, OverTls};
use crate::auth::LastCredential;
use crate::console::Site;

/// How long a client may take over HTTP/2 to close a connection after the server announced its end.
const LINGER: Duration = Duration::from_secs(1);

/// The longest head of a request over HTTP/1, in bytes; over HTTP/2, hyper takes 16 KiB. Before a request is known, it is all
/// that a client can have kept in memory.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The state that all connections share.
pub(super) struct Serving {
    live: watch::Receiver<Live>,
    builder: Builder<TokioExecutor>,
    silent: Throttle,
}

/// The part of that state that a reload replaces atomically.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) service: Site,
    pub(super) timeouts: Timeouts,
}

/// The API for one connection: each request uses the newest service.
struct Current {
    live: watch::Receiver<Live>,
    /// A reference of this connection alone, so that threads do not contend for one reference count.
    service: Arc<Site>,
}

impl Current {
    fn new(mut live: watch::Receiver<Live>) -> Self {
        let service = Arc::new(live.borrow_and_update().service.clone());
        Self { live, service }
    }

    fn service(&mut self) -> Arc<Site> {
        // After an error, the service never changes again.
        if self.live.has_changed().unwrap_or(false) {
            self.service = Arc::new(self.live.borrow_and_update().service.clone());
        }
        Arc::clone(&self.service)
    }
}

/// The origin of a connection.
#[derive(Clone)]
pub(super) enum Origin {
    /// A client over TCP, at that address.
    Address(IpAddr),
    /// A client over TLS, at that address.
    Tls(IpAddr, OverTls),
    /// A command on this machine, over the Unix socket.
    Machine(Machine),
}

/// How a connection ended.
enum End<E> {
    /// By itself.
    Itself(Result<(), E>),
    /// Its client took too long.
    Overdue(Overdue),
    /// The server stops.
    Stopped,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It accepts requests.
    Serving,
    /// It ends when no request is running.
    Closing,
    /// The same over HTTP/2, where the client confirms the last answer.
    LastAnswers,
    /// The client has some time to end it.
    Lingering,
}

impl Serving {
    pub(super) fn new(live: watch::Receiver<Live>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // The connection's own timer does this, also for the first byte and for HTTP/2.
        builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
        Self { live, builder, silent: Throttle::default() }
    }

    /// Serves a connection over TCP to its end, with TLS if the server has it.
    pub(super) async fn serve_tcp(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        permit: Permit,
        tls: Option<Arc<Tls>>,
    ) {
        // Answers are written whole, so waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let stream = WatchedWrites::new(stream, Arc::clone(&permit.connection.activity));
        match tls {
            None => self.serve(stream, Origin::Address(peer), permit).await,
            // Boxed, so that it does not enlarge connections without TLS.
            Some(tls) => Box::pin(self.serve_tls(&tls, stream, peer, permit)).await,
        }
    }

    /// Serves a connection over TLS to its end. Its beginning and the head of its first request have one time-out together.
    async fn serve_tls(self: Arc<Self>, tls: &Tls, stream: WatchedWrites<TcpStream>, peer: IpAddr, permit: Permit) {
        match until_overdue(open(tls, stream), &permit.connection, &self.live).await {
            Ok(Ok(Opening { stream, over_tls })) => {
                tls.count(Outcome::Ok);
                self.serve(stream, Origin::Tls(peer, over_tls), permit).await;
            }
            Ok(Err((outcome, why))) => tls.count_failure(outcome, &why, peer),
            Err(Some(why)) => {
                tls.count(Outcome::TimedOut);
                self.log_overdue(why, &Origin::Address(peer));
            }
            Err(None) => {}
        }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve<S>(self: Arc<Self>, stream: S, origin: Origin, permit: Permit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = &permit.connection;
        let current = Mutex::new(Current::new(self.live.clone()));
        let (activity, last) = (Arc::clone(&connection.activity), Arc::<LastCredential>::default());
        let from = origin.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, activity) = (current.lock().service(), Arc::clone(&activity));
            let (from, last) = (from.clone(), Arc::clone(&last));
            async move {
                if !activity.take_turn() {
                    // Pipelined requests queue behind those of other connections.
                    tokio::task::yield_now().await;
                    activity.take_turn();
                }
                let version = request.version();
                let arrival = activity.arrival(version);
                let _under_way = activity.begin_request(version);
                let mut request = request.map(boxed);
                let response = match from {
                    Origin::Address(peer) => service.handle_from(peer, &last, arrival, request).await,
                    Origin::Tls(peer, over_tls) => {
                        request.extensions_mut().insert(over_tls);
                        service.handle_from(peer, &last, arrival, request).await
                    }
                    Origin::Machine(machine) => service.handle_machine(machine, request).await,
                };
                Ok::<_, Infallible>(AnswerBody::watch(response, version, &activity))
            }
        });
        let stream = TokioIo::new(WatchedReads::new(stream, Arc::clone(&connection.activity)));
        match drive(self.builder.serve_connection(stream, answer), connection, &self.live).await {
            End::Itself(Err(error)) => tracing::debug!(error, "a connection ended early"),
            End::Overdue(why) => self.log_overdue(why, &origin),
            End::Itself(Ok(())) | End::Stopped => {}
        }
    }

    fn log_overdue(&self, why: Overdue, origin: &Origin) {
        let why = match why {
            Overdue::Idle => return,
            Overdue::Head => "no request came within `connections.head_timeout_s`",
            Overdue::Unread => "an answer was not read within `connections.write_timeout_s`",
        };
        if let Some(count) = self.silent.count() {
            let last_address = match origin {
                Origin::Address(peer) | Origin::Tls(peer, _) => peer.to_string(),
                Origin::Machine(machine) => format!("the control socket, {}", machine.user),
            };
            tracing::info!(count, last_address, last_reason = why, "silent connections were closed");
        }
    }
}

/// Does what comes before a connection's first request.
///
/// # Errors
/// Why the client is overdue, or `None` if the server stops.
async fn until_overdue<F: Future>(
    work: F,
    seen: &Connection,
    live: &watch::Receiver<Live>,
) -> Result<F::Output, Option<Overdue>> {
    let activity = &seen.activity;
    let timeouts = || live.borrow().timeouts;
    let mut work = pin!(work);
    let mut look = pin!(sleep_until(activity.next_look(&timeouts())));
    poll_fn(|context| {
        seen.waker.register(context.waker());
        activity.begin_turn();
        if activity.has_reached(Stage::Stopping) {
            return Poll::Ready(Err(None));
        }
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        while look.as_mut().poll(context).is_ready() {
            let timeouts = timeouts();
            if let Some(why) = activity.overdue(&timeouts) {
                return Poll::Ready(Err(Some(why)));
            }
            look.as_mut().reset(activity.next_look(&timeouts));
        }
        Poll::Pending
    })
    .await
}

/// Runs a connection until it ends, is overdue, or is idle when the server stops.
async fn drive<C: GracefulConnection>(connection: C, seen: &Connection, live: &watch::Receiver<Live>) -> End<C::Error> {
    let activity = &seen.activity;
    let timeouts = || live.borrow().timeouts;
    let mut connection = pin!(connection);
    let mut look = pin!(sleep_until(activity.next_look(&timeouts())));
    let mut course = Course::Serving;
    poll_fn(|context| {
        seen.waker.register(context.waker());
        activity.begin_turn();
        if activity.has_reached(Stage::CutOff) {
            return Poll::Ready(End::Stopped);
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(End::Itself(ended));
        }
        if course == Course::Serving && activity.has_reached(Stage::Stopping) {
            // Over HTTP/2 this notifies the client.
            course = if activity.is_busy() && activity.is_http_2() { Course::LastAnswers } else { Course::Closing };
            connection.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(End::Itself(ended));
            }
        }
        if course == Course::Closing && !activity.is_busy() {
            return Poll::Ready(End::Stopped);
        }
        if course == Course::LastAnswers && !activity.is_busy() {
            course = Course::Lingering;
            look.as_mut().reset(Instant::now() + LINGER);
        }
        while look.as_mut().poll(context).is_ready() {
            let timeouts = timeouts();
            let overdue = activity.overdue(&timeouts);
            if course == Course::Lingering && !activity.is_busy() {
                return Poll::Ready(End::Stopped);
            }
            if overdue == Some(Overdue::Idle) && course == Course::Serving && activity.is_http_2() {
                // A request that arrives at this moment is served, or its client learns that it was not.
                course = Course::Lingering;
                connection.as_mut().graceful_shutdown();
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(End::Itself(ended));
                }
                look.as_mut().reset(Instant::now() + LINGER);
                continue;
            }
            if let Some(why) = overdue {
                return Poll::Ready(End::Overdue(why));
            }
            let next = activity.next_look(&timeouts);
            look.as_mut().reset(if course == Course::Lingering { next.min(Instant::now() + LINGER) } else { next });
        }
        Poll::Pending
    })
    .await
}

/// Boxes a request's body. Most requests have none, and need no allocation.
fn boxed(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
