//! Wraps every request: gives it an id, logs it, limits its time, and turns a panic into an answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ORIGIN, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::Body as _;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;
use tracing::Instrument;

use super::direct::Direct;
use super::error::{self, ApiError, Failure};
use super::header_case::HeaderCase;
use super::leftover::Leftover;
use super::path::normalised;
use super::permission::RequestOrigin;
use super::refused_sign_ins::{NO_ADDRESS, RefusedSignIns};
use super::request_log::{LoggedRequest, PendingDirect, PendingRequest, RequestFacts};
use super::request_trace::{self, RequestTrace, TRACERESPONSE};
use super::{Api, Machine, audit, cors, direct, router, security_headers, wire};
use crate::auth::{CodeGrant, CredentialSource, LastCredential};
use crate::base::clock::fresh_uuid;
use crate::base::deadline::{self, Deadline};
use crate::base::trace;
use crate::config::IssuerConfig;
use crate::heavy::Heavy;
use crate::telemetry::{RequestMetrics, Shortcut};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is accepted from a client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The whole API as a function from request to response.
#[derive(Clone)]
pub struct ApiService {
    api: Arc<Api>,
    router: Router,
    /// Whether it has the routes for monitoring alone.
    monitors: bool,
    request_timeout: Duration,
    header_case: HeaderCase,
    /// Allows calls from web pages, if the settings allow any.
    cors: Option<CorsLayer>,
    /// The value of `Strict-Transport-Security` for answers over HTTPS, if browsers are told.
    strict_transport: Option<HeaderValue>,
    /// The prefix of generated request ids: a random id of this start.
    started_as: Arc<str>,
    requests: Arc<AtomicU64>,
    /// The metrics of the direct routes, by [`Direct::number`].
    direct_metrics: Arc<[Shortcut; Direct::NUMBERS]>,
    refused: Arc<RefusedSignIns>,
}

impl ApiService {
    /// Creates the API from its parts.
    #[must_use]
    pub fn new(api: &Arc<Api>, header_case: HeaderCase) -> Self {
        Self {
            api: Arc::clone(api),
            router: router::router(api),
            monitors: false,
            request_timeout: api.settings.request_timeout(),
            header_case,
            cors: cors::layer(&api.settings.cors_origins),
            strict_transport: security_headers::strict_transport_security(api.settings.hsts_max_age_s),
            started_as: format!("{}-", fresh_uuid().simple()).into(),
            requests: Arc::default(),
            direct_metrics: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Returns a service with the routes for monitoring alone. They need no key.
    #[must_use]
    pub fn for_monitoring(&self) -> Self {
        Self { router: router::monitoring(&self.api), monitors: true, ..self.clone() }
    }

    /// Returns the same API with other parts. Continues the numbering of requests.
    #[must_use]
    pub fn with_api(&self, api: &Arc<Api>) -> Self {
        Self {
            started_as: Arc::clone(&self.started_as),
            requests: Arc::clone(&self.requests),
            direct_metrics: Arc::clone(&self.direct_metrics),
            ..Self::new(api, self.header_case.clone())
        }
    }

    /// Answers a request that this process made. Every answer has an `x-request-id`: the request's, if valid, or a new one.
    pub async fn handle(&self, request: Request<Body>) -> Response {
        self.handle_request(None, None, Instant::now(), request).await
    }

    /// Answers a request that arrived at `arrival` over a connection from `peer`. `last` is the credential of the connection's
    /// previous request.
    pub async fn handle_from(
        &self,
        peer: IpAddr,
        last: &Arc<LastCredential>,
        arrival: Instant,
        request: Request<Body>,
    ) -> Response {
        let proxies = &self.api.client_address;
        let client = proxies.find(peer, request.headers());
        let strict_transport = self
            .strict_transport
            .as_ref()
            .filter(|_| security_headers::came_over_https(proxies, peer, request.headers(), request.extensions()));
        let mut response = self.handle_request(Some(client), Some(last), arrival, request).await;
        if let Some(value) = strict_transport {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
        response
    }

    /// Returns how a request over a connection from `peer` reached the server. `last` is the credential of the connection's previous
    /// request.
    #[must_use]
    pub fn visitor(&self, peer: IpAddr, last: &Arc<LastCredential>, request: &Request<Body>) -> Visitor {
        let (proxies, headers) = (&self.api.client_address, request.headers());
        Visitor {
            address: Some(proxies.find(peer, headers)),
            last: Some(Arc::clone(last)),
            over_https: security_headers::came_over_https(proxies, peer, headers, request.extensions()),
        }
    }

    /// Answers a request that the console makes for a visitor. It is authenticated, counted, recorded and limited like a request that
    /// the visitor sends itself. The future has one type for all callers, which keeps the types of pages small.
    #[must_use]
    pub fn handle_for<'a>(&'a self, visitor: &'a Visitor, request: Request<Body>) -> BoxFuture<'a, Response> {
        self.handle_request(visitor.address, visitor.last.as_ref(), Instant::now(), request).boxed()
    }

    /// Answers a request of a browser for a page of the console, with `page`. Logs and counts it under `route`, limits its time, and turns
    /// a panic into status 500. Adds the headers of every answer to a browser.
    pub async fn page<'a>(
        &self,
        visitor: &Visitor,
        route: &'static str,
        request: Request<Body>,
        page: impl FnOnce(Request<Body>) -> BoxFuture<'a, Response>,
    ) -> Response {
        let (id, started) = (self.request_id(&request), Instant::now());
        let (parts, body) = request.into_parts();
        let asked = LoggedRequest::new(&parts, &id, visitor.address, started.into_std());
        let pending = PendingRequest::new(&asked, None, self.metrics());
        pending.facts.known_route(route);
        let page = page(Request::from_parts(parts, body));
        let mut response = self.bounded(started, page).await;
        pending.answered(response.status());
        security_headers::add_no_sniff(&mut response);
        response.headers_mut().insert(REQUEST_ID, id);
        if let Some(value) = self.strict_transport.as_ref().filter(|_| visitor.over_https) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
        response
    }

    /// Returns the identity providers with which people can sign in to the console.
    #[must_use]
    pub fn console_issuers(&self) -> Vec<IssuerConfig> {
        self.api.admin.console_issuers().cloned().collect()
    }

    /// Returns what signs browsers in at identity providers.
    #[must_use]
    pub fn code_grant(&self) -> &CodeGrant {
        self.api.authenticator.code_grant()
    }

    /// Returns the workers for heavy work.
    #[must_use]
    pub fn heavy(&self) -> &Arc<Heavy> {
        &self.api.heavy
    }

    /// Returns whether the server shows rows of tables: `console.preview_rows`.
    #[must_use]
    pub fn has_preview(&self) -> bool {
        self.api.preview_rows > 0
    }

    /// Returns the current time, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.api.clock.now_ms()
    }

    /// Answers a request from the control socket or from this process, with the rights of the machine's user.
    pub async fn handle_machine(&self, machine: Machine, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(machine);
        self.handle_request(None, None, Instant::now(), request).await
    }

    async fn handle_request(
        &self,
        from: Option<IpAddr>,
        last: Option<&Arc<LastCredential>>,
        started: Instant,
        mut request: Request<Body>,
    ) -> Response {
        let method = request.method().clone();
        if let Some(uri) = normalised(request.uri()) {
            *request.uri_mut() = uri;
        }
        let id = self.request_id(&request);
        let tracer = self.api.tracer.as_deref().filter(|_| !request_trace::is_probe(request.uri().path()));
        let trace = tracer.and_then(|tracer| RequestTrace::begin(tracer, request.headers(), started.into_std()));
        let context = trace.as_ref().map(|trace| trace.context());
        let (request, leftover) = Leftover::watch(request);
        let span = tracing::debug_span!("request", id = id.to_str().unwrap_or_default());
        let arrival = Arrival { id: &id, from, last, started, trace: trace.as_ref() };
        let spelling = HeaderCase::wanted_by(request.headers());
        // What answers is boxed: the future around it is moved several times, whole.
        let mut response = match &self.cors {
            Some(cors) if request.headers().contains_key(ORIGIN) => {
                let answer = service_fn(|request| async { Ok::<_, Infallible>(self.answer(arrival, request).await) });
                let answer = cors.layer(answer).oneshot(request).instrument(span);
                match Box::pin(trace::scope(context, answer)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            _ if span.is_disabled() && context.is_none() => Box::pin(self.answer(arrival, request)).await,
            _ => Box::pin(trace::scope(context, self.answer(arrival, request).instrument(span))).await,
        };
        response = error::finish(&method, response);
        // A failed request may have been traced at its end.
        let is_failure = response.status().is_server_error();
        let trace = if is_failure { trace.or_else(|| response.extensions_mut().remove()) } else { trace };
        if let Some(Failure { what, cause }) = response.extensions_mut().remove() {
            trace::sync_scope(trace.as_ref().map(|trace| trace.context()), || {
                tracing::error!(request_id = id.to_str().unwrap_or_default(), %cause, "{what}");
            });
        }
        if let Some(header) = trace.and_then(|trace| trace.header()) {
            response.headers_mut().insert(TRACERESPONSE, header);
        }
        if let Some(leftover) = leftover {
            Box::pin(leftover.drain_or_close(&mut response)).await;
        }
        self.header_case.apply(spelling, &mut response);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Returns the client's request id, or a globally unique one: the id of this start and a number.
    fn request_id(&self, request: &Request<Body>) -> HeaderValue {
        let usable = |value: &&HeaderValue| {
            value.len() <= MAX_REQUEST_ID_BYTES
                && !value.is_empty()
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        request.headers().get(REQUEST_ID).filter(usable).cloned().unwrap_or_else(|| {
            let mut number = itoa::Buffer::new();
            let number = number.format(self.requests.fetch_add(1, Ordering::Relaxed));
            let mut id = BytesMut::with_capacity(self.started_as.len() + number.len());
            id.put_slice(self.started_as.as_bytes());
            id.put_slice(number.as_bytes());
            HeaderValue::from_maybe_shared(id.freeze()).unwrap_or(HeaderValue::from_static("-"))
        })
    }

    /// Answers a request and logs it.
    async fn answer(&self, arrival: Arrival<'_>, request: Request<Body>) -> Response {
        let has_body = !request.body().is_end_stream();
        let direct =
            if has_body || self.monitors { None } else { Direct::recognise(request.method(), request.uri().path()) };
        let (parts, body) = request.into_parts();
        let asked = LoggedRequest::new(&parts, arrival.id, arrival.from, arrival.started.into_std());
        // Only for requests over a connection: a request that this process made needs no host.
        if let Some(Err(mut refusal)) = arrival.from.map(|_| wire::check(parts.version, &parts.uri, &parts.headers)) {
            audit::note_malformed(&self.api, &asked, &mut refusal);
            let learned = RequestFacts::new(parts.uri.path(), arrival.trace);
            asked.answered(&learned, refusal.status());
            asked.end_trace(&learned, None, Some(refusal.status()));
            self.metrics().answered(&asked.as_answered(None, Some(refusal.status())));
            let mut response = *refusal;
            security_headers::add_no_sniff(&mut response);
            return response;
        }
        // The router refuses the others.
        let direct = direct.filter(|direct| !audit::is_refused(&self.api, &parts.method, direct.route()));
        if let Some(direct) = direct {
            let learned = RequestFacts::new(parts.uri.path(), arrival.trace);
            learned.label_names(direct.route());
            let source = CredentialSource {
                address: arrival.from,
                last: arrival.last.map(Arc::as_ref),
                signed_in: Some(learned.signed_in()),
            };
            // Pinned here, because the surrounding futures then move only a reference.
            let answer = pin!(direct::answer(&self.api, &direct, &parts, &learned, source));
            let (facts, route, metrics) = (&learned, direct.route(), self.metrics());
            let mut pending = PendingDirect { asked: &asked, facts, route, metrics, is_answered: false };
            let mut response = self.bounded(arrival.started, answer).await;
            pending.is_answered = true;
            if audit::concerns(&self.api, &learned, &response) {
                response = Box::pin(audit::finish(&self.api, &asked, &learned, Some(route), response)).await;
            }
            if response.status() >= StatusCode::BAD_REQUEST {
                security_headers::add_no_sniff(&mut response);
            }
            self.count_refusal(arrival, &learned, response.status());
            asked.answered_on(&learned, response.status(), || Some(direct.route()));
            learned.count_organisation(self.metrics());
            let answered = asked.as_answered(Some(direct.route()), Some(response.status()));
            self.direct_metrics[direct.number()].answered(self.metrics(), &answered);
            asked.note_slow(&learned, &answered, self.metrics());
            asked.end_trace(&learned, Some(direct.route()), Some(response.status()));
            return self.with_failure_traced(response, (&asked, &learned, Some(direct.route())));
        }
        let pending = PendingRequest::new(&asked, arrival.trace, self.metrics());
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(Arc::clone(&pending.facts));
        let (request_id, from, last) = (arrival.id.clone(), arrival.from, arrival.last.cloned());
        let agent = pending.agent().cloned();
        request.extensions_mut().insert(RequestOrigin { request_id, from, last, agent });
        let mut response = Box::pin(self.bounded(arrival.started, self.route(request))).await;
        if !self.monitors {
            response = Box::pin(audit::finish(&self.api, &pending.asked(), &pending.facts, None, response)).await;
        }
        security_headers::add_no_sniff(&mut response);
        self.count_refusal(arrival, &pending.facts, response.status());
        let response = self.with_failure_traced(response, (&pending.asked(), &pending.facts, pending.route()));
        pending.answered(response.status());
        response
    }

    /// Traces a request that was not sampled and failed, if the settings ask for it.
    fn with_failure_traced(
        &self,
        mut response: Response,
        (asked, facts, route): (&LoggedRequest<'_>, &RequestFacts, Option<&str>),
    ) -> Response {
        let status = response.status();
        if status.is_server_error()
            && !facts.is_traced()
            && let Some(trace) =
                self.api.tracer.as_ref().and_then(|tracer| RequestTrace::of_failure(tracer, asked.started))
        {
            asked.end_failure(&trace, facts, route, status);
            response.extensions_mut().insert(trace);
        }
        response
    }

    fn metrics(&self) -> &RequestMetrics {
        self.api.telemetry.requests()
    }

    /// Counts refused sign-ins by address, to limit their lines in the log.
    fn count_refusal(&self, arrival: Arrival<'_>, learned: &RequestFacts, status: StatusCode) {
        let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
        if is_refused && learned.is_nobody() {
            learned.refused(self.refused.count(arrival.from.unwrap_or(NO_ADDRESS)));
        }
    }

    /// Answers within the request timeout. Turns a panic into status 500.
    async fn bounded(&self, started: Instant, answer: impl Future<Output = Response>) -> Response {
        let until = started + self.request_timeout;
        let deadline = Deadline::new(started.into_std(), until.into_std());
        let answer = deadline::scope(Some(deadline), AssertUnwindSafe(answer).catch_unwind());
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => ApiError::internal(&panic_text(panic.as_ref())).into_response(),
            Err(_elapsed) => ApiError::timed_out(self.request_timeout).into_response(),
        }
    }

    async fn route(&self, request: Request<Body>) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// How the request of a browser reached the server.
#[derive(Clone, Default)]
pub struct Visitor {
    /// The client's address. `None` for a request that this process made.
    pub address: Option<IpAddr>,
    /// The credential of the connection's previous request.
    last: Option<Arc<LastCredential>>,
    /// Whether it came over HTTPS: to this server, or to a trusted proxy that says so.
    pub over_https: bool,
}

/// How a request arrived.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    id: &'a HeaderValue,
    /// The client's address. `None` for a request that this process made.
    from: Option<IpAddr>,
    /// The credential of the connection's previous request.
    last: Option<&'a Arc<LastCredential>>,
    started: Instant,
    /// The trace, if the request takes part in one.
    trace: Option<&'a Arc<RequestTrace>>,
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("panic while serving a request: {text}")
}
