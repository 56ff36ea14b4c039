//! The span of a request, for requests that are traced.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use parking_lot::Mutex;

use crate::base::trace::{Context, Received, Span, Tracer};

/// The header that names an answer's trace (W3C Trace Context, HTTP response headers).
pub(super) const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Returns whether a path is asked again and again by balancers and monitoring. Such requests are never traced.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/metrics")
}

/// The trace of a request.
#[derive(Debug)]
pub(super) struct RequestTrace {
    context: Context,
    /// The request's span until its end. `None` from the start if the trace is only passed on.
    span: Mutex<Option<Span>>,
}

impl RequestTrace {
    /// Begins the trace of a request, or continues its client's. `None` if it takes part in no trace.
    pub(super) fn begin(tracer: &Tracer, headers: &HeaderMap, began: Instant) -> Option<Arc<Self>> {
        let received = tracer.receive(headers, began)?;
        Some(Arc::new(match received {
            Received::Sampled(span) => Self::from(span),
            Received::Forwarded(context) => Self { context, span: Mutex::new(None) },
        }))
    }

    /// Begins the trace of a request that has failed and was not traced, if the settings ask for it.
    pub(super) fn of_failure(tracer: &Tracer, began: Instant) -> Option<Arc<Self>> {
        tracer.failure(began).map(|span| Arc::new(Self::from(span)))
    }

    /// Returns the place of the request's work.
    pub(super) fn context(&self) -> Context {
        self.context.clone()
    }

    /// Returns the header of the answer that names the trace. `None` if this server does not record it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.context.is_sampled().then(|| self.context.traceparent()).flatten()
    }

    /// Sets an attribute of all spans, such as the name of the table.
    pub(super) fn label(&self, key: &'static str, name: String) {
        self.context.label(key, name);
    }

    /// Ends the span. A request without a status was not answered.
    pub(super) fn end(&self, request: TracedRequest<'_>, status: Option<StatusCode>) {
        let Some(mut span) = self.span.lock().take() else { return };
        request.describe(&mut span);
        // Its drop marks a request without an answer as cancelled.
        let Some(status) = status else { return };
        span.set("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.fail(status.as_str().to_owned());
        }
        span.end();
    }
}

impl From<Span> for RequestTrace {
    fn from(span: Span) -> Self {
        Self { context: span.context().clone(), span: Mutex::new(Some(span)) }
    }
}

/// What the span of a request says about it. Texts of clients are shortened and without keys.
#[derive(Debug)]
pub(super) struct TracedRequest<'a> {
    pub(super) id: &'a HeaderValue,
    pub(super) method: &'a Method,
    pub(super) route: Option<&'a str>,
    pub(super) path: String,
    pub(super) is_https: bool,
    pub(super) version: Version,
    pub(super) from: Option<IpAddr>,
    pub(super) agent: Option<String>,
    /// The object, if the body names it.
    pub(super) object: Option<&'a str>,
}

impl TracedRequest<'_> {
    /// Describes the request by the conventions of OpenTelemetry.
    fn describe(self, span: &mut Span) {
        let method = self.method.as_str();
        span.rename(self.route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
        span.set("http.request.method", method.to_owned());
        if let Some(route) = self.route {
            span.set("http.route", route.to_owned());
        }
        span.set("url.path", self.path);
        span.set("url.scheme", if self.is_https { "https" } else { "http" });
        span.set("network.protocol.version", version(self.version));
        if let Some(from) = self.from {
            span.set("client.address", from.to_canonical().to_string());
        }
        if let Some(agent) = self.agent {
            span.set("user_agent.original", agent);
        }
        span.set("tidewater.request.id", self.id.to_str().unwrap_or_default().to_owned());
        if let Some(object) = self.object {
            span.set("tidewater.object", object.to_owned());
        }
    }
}

/// Returns the version as OpenTelemetry spells it.
const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
