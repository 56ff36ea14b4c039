//! What surrounds every request: its id, its line in the log, and the promise that no panic leaves without an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderName, HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Body as _;
use tower::ServiceExt;
use tracing::Instrument;

use super::error::{ApiError, Failure};
use super::header_case::HeaderCase;
use super::leftover::Leftover;
use super::path::normalised;
use super::{Api, direct, router};
use crate::clock::fresh_uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// How much of a client's name for itself is logged.
const MAX_AGENT_CHARS: usize = 80;

/// The whole API as a function from request to response.
#[derive(Clone)]
pub struct ApiService {
    api: Arc<Api>,
    router: Router,
    request_timeout: Duration,
    header_case: HeaderCase,
    /// What every request id of ours begins with.
    started_as: Arc<str>,
    requests: Arc<AtomicU64>,
}

impl ApiService {
    /// The API over these parts.
    #[must_use]
    pub fn new(api: &Arc<Api>, header_case: HeaderCase) -> Self {
        Self {
            api: Arc::clone(api),
            router: router::router(api),
            request_timeout: api.settings.request_timeout(),
            header_case,
            started_as: format!("{}-", fresh_uuid().simple()).into(),
            requests: Arc::default(),
        }
    }

    /// Answers one request. Every answer has an `x-request-id`, the client's own if it sent a usable one.
    pub async fn handle(&self, mut request: Request<Body>) -> Response {
        if let Some(uri) = normalised(request.uri()) {
            *request.uri_mut() = uri;
        }
        let id = self.request_id(&request);
        let (request, leftover) = Leftover::watch(request);
        let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default());
        let mut response = self.answer(request).instrument(span).await;
        if let Some(Failure { what, cause }) = response.extensions_mut().remove() {
            tracing::error!(request_id = id.to_str().unwrap_or_default(), %cause, "{what}");
        }
        if let Some(leftover) = leftover {
            leftover.settle(&mut response).await;
        }
        self.header_case.apply(&mut response);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// The client's own id, or one that no other request to any server has: that of this start, and a number.
    fn request_id(&self, request: &Request<Body>) -> HeaderValue {
        let usable = |value: &&HeaderValue| {
            value.len() <= MAX_REQUEST_ID_BYTES
                && !value.is_empty()
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        request.headers().get(REQUEST_ID).filter(usable).cloned().unwrap_or_else(|| {
            let mut number = itoa::Buffer::new();
            let number = number.format(self.requests.fetch_add(1, Ordering::Relaxed));
            let id = [&*self.started_as, number].concat();
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
        })
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        let line = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (Instant::now(), request.method().clone(), request.uri().path().to_owned(), agent(&request)));
        let routed = AssertUnwindSafe(self.route(request)).catch_unwind();
        let response = match tokio::time::timeout(self.request_timeout, routed).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => ApiError::internal(&panic_text(panic.as_ref())).into_response(),
            Err(_elapsed) => ApiError::timed_out(self.request_timeout).into_response(),
        };
        if let Some((started, method, path, agent)) = line {
            let (status, took_us) = (response.status().as_u16(), started.elapsed().as_micros());
            tracing::debug!(%method, path, status, took_us, agent, "answered");
        }
        response
    }

    async fn route(&self, request: Request<Body>) -> Response {
        if request.body().is_end_stream() && direct::is_load(request.method(), request.uri()) {
            return direct::load(&self.api, &request.into_parts().0).await;
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What the client says that it is.
fn agent(request: &Request<Body>) -> String {
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().chars().take(MAX_AGENT_CHARS).collect()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("panic while serving a request: {text}")
}
