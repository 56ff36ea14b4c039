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
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::activity::{Overdue, Stage, Timeouts};
use super::admission::{Connection, Permit};
use super::answer::AnswerBody;
use super::throttle::Throttle;
use super::watched::Watched;
use crate::api::ApiService;

/// How long a connection over HTTP/2 is kept at a stop after its last answer: the client is to take it, and to say so.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections have in common.
pub(super) struct Serving {
    service: ApiService,
    builder: Builder<TokioExecutor>,
    timeouts: Timeouts,
    silent: Throttle,
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

impl Serving {
    pub(super) fn new(service: ApiService, timeouts: Timeouts) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // The connection's own timer sees to that, for the first byte and for HTTP/2 too.
        builder.http1().header_read_timeout(None);
        Self { service, builder, timeouts, silent: Throttle::default() }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr, permit: Permit) {
        // Answers are written whole, so waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let connection = &permit.connection;
        // Its own, so that threads that serve other connections do not count the same references.
        let service = Arc::new(self.service.clone());
        let activity = Arc::clone(&connection.activity);
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, activity) = (Arc::clone(&service), Arc::clone(&activity));
            async move {
                let version = request.version();
                let _under_way = activity.begin_request(version);
                let response = service.handle_from(peer, request.map(boxed)).await;
                Ok::<_, Infallible>(AnswerBody::watch(response, version, &activity))
            }
        });
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&connection.activity)));
        match drive(self.builder.serve_connection(stream, answer), connection, &self.timeouts).await {
            End::Itself(Err(error)) => tracing::debug!(error, "a connection ended early"),
            End::Overdue(why) => self.tell(why, peer),
            End::Itself(Ok(())) | End::Stopped => {}
        }
    }

    fn tell(&self, why: Overdue, peer: IpAddr) {
        let why = match why {
            Overdue::Idle => return,
            Overdue::Head => "no request came within `connections.head_timeout_s`",
            Overdue::Unread => "an answer was not read within `connections.write_timeout_s`",
        };
        if let Some(count) = self.silent.count() {
            tracing::info!(count, last_address = peer.to_string(), last_reason = why, "silent connections were closed");
        }
    }
}

/// Lets a connection run until it ends, is overdue, or has nothing under way when the server stops.
async fn drive<C: GracefulConnection>(connection: C, seen: &Connection, timeouts: &Timeouts) -> End<C::Error> {
    let activity = &seen.activity;
    let mut connection = pin!(connection);
    let mut look = pin!(sleep_until(activity.next_look(timeouts)));
    let (mut told, mut was_busy, mut lingers) = (false, false, false);
    poll_fn(|context| {
        seen.waker.register(context.waker());
        if activity.has_reached(Stage::CutOff) {
            return Poll::Ready(End::Stopped);
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(End::Itself(ended));
        }
        if !told && activity.has_reached(Stage::Stopping) {
            (told, was_busy) = (true, activity.is_busy());
            connection.as_mut().graceful_shutdown();
            // Says so to the client, if it speaks HTTP/2.
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(End::Itself(ended));
            }
        }
        if told && !lingers && !activity.is_busy() {
            if !was_busy || !activity.is_http_2() {
                return Poll::Ready(End::Stopped);
            }
            lingers = true;
            look.as_mut().reset(Instant::now() + LINGER);
        }
        while look.as_mut().poll(context).is_ready() {
            if lingers {
                return Poll::Ready(End::Stopped);
            }
            if let Some(why) = activity.overdue(timeouts) {
                return Poll::Ready(End::Overdue(why));
            }
            look.as_mut().reset(activity.next_look(timeouts));
        }
        Poll::Pending
    })
    .await
}

/// Most requests have no body, and need no memory for one.
fn boxed(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
