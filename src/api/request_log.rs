//! Writes one log line for each request: caller, action, object, address and outcome.
//!
//! Changes, administration, sign-ins and refusals are logged at `info`. Reads that succeed or find nothing are logged at
//! `debug`. A load that is not logged reads the clock twice and formats nothing.
//!
//! Texts from clients are shortened and stripped of control characters: they can neither fill the log nor forge a line.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use tracing::Level;

use super::OverTls;
use super::logged_text::{MAX_AGENT, MAX_FORWARDED, MAX_NAME, MAX_PATH, Names, agent_text, referenced_by, shown};
use super::refused_sign_ins::Refusals;
use super::request_trace::{RequestTrace, TracedRequest};
use crate::auth::{Caller, OperatorCaller};
use crate::store::Actor;
use crate::telemetry::{Answered, RequestMetrics, SlowRequest, method_name};

/// The header in which a reverse proxy names the client's address. It is logged but not trusted: any client can send it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Facts about a request that become known while it is answered.
#[derive(Debug, Default)]
pub(super) struct RequestFacts {
    caller: OnceLock<Arc<Caller>>,
    operator: OnceLock<Arc<OperatorCaller>>,
    route: OnceLock<Route>,
    object: OnceLock<String>,
    refusals: OnceLock<Refusals>,
    /// The path and the trace, if the request is traced.
    traced: Option<(String, Arc<RequestTrace>)>,
    machine: OnceLock<Arc<str>>,
    signed_in: AtomicBool,
}

#[derive(Debug)]
enum Route {
    Matched(MatchedPath),
    Known(&'static str),
}

impl RequestFacts {
    /// Creates an empty record of a request, which may be traced.
    pub(super) fn new(path: &str, trace: Option<&Arc<RequestTrace>>) -> Self {
        let traced = trace.map(|trace| (path.to_owned(), Arc::clone(trace)));
        Self { traced, ..Self::default() }
    }

    /// Records the caller. Returns the recorded caller.
    pub(super) fn caller(&self, caller: Arc<Caller>) -> &Arc<Caller> {
        if let Some((_, trace)) = &self.traced {
            trace.label("tidewater.organisation", caller.organisation_name().to_owned());
        }
        self.caller.get_or_init(|| caller)
    }

    /// Records the operator that sends the request.
    pub(super) fn operator(&self, operator: Arc<OperatorCaller>) {
        let _ = self.operator.set(operator);
    }

    /// Records the user of the server's machine that sends the request.
    pub(super) fn machine(&self, user: &Arc<str>) {
        let _ = self.machine.set(Arc::clone(user));
    }

    /// Returns the flag that the caller's sign-in with a provider's token sets.
    pub(super) const fn signed_in(&self) -> &AtomicBool {
        &self.signed_in
    }

    /// Returns the authenticated caller.
    pub(super) fn known_caller(&self) -> Option<&Arc<Caller>> {
        self.caller.get()
    }

    /// Returns the authenticated actor, if there is one.
    pub(super) fn actor(&self) -> Option<Actor> {
        let caller = self.caller.get().map(|caller| caller.actor());
        let operator = || self.operator.get().map(|operator| operator.actor());
        let user = |user: &Arc<str>| Some(Arc::clone(user)).filter(|user| !user.is_empty());
        caller.or_else(operator).or_else(|| self.machine.get().map(|machine| Actor::CommandLine(user(machine))))
    }

    /// Returns whether an operator or a user of the server's machine sends the request.
    pub(super) fn may_repair(&self) -> bool {
        self.operator.get().is_some() || self.machine.get().is_some()
    }

    /// Returns the object that the request names in its body.
    pub(super) fn object_in_body(&self) -> Option<&str> {
        self.object.get().map(String::as_str)
    }

    /// Records the matched route.
    pub(super) fn matched(&self, route: &MatchedPath) {
        let _ = self.route.set(Route::Matched(route.clone()));
        self.label_names(route.as_str());
    }

    /// Records the route of a page of the console.
    pub(super) fn known_route(&self, route: &'static str) {
        let _ = self.route.set(Route::Known(route));
    }

    /// Adds the names in the path to the request's trace.
    pub(super) fn label_names(&self, route: &str) {
        if let Some((path, trace)) = &self.traced {
            Self::label_names_of(trace, path, route);
        }
    }

    fn label_names_of(trace: &RequestTrace, path: &str, route: &str) {
        let names = Names::from_path(route, path);
        let object = if route.contains("{view}") { "tidewater.view" } else { "tidewater.table" };
        let has_object = route.contains("{view}") || route.contains("{table}");
        for (key, name) in [
            ("tidewater.warehouse", names.warehouse),
            ("tidewater.namespace", names.namespace),
            (object, names.object.filter(|_| has_object)),
        ] {
            if let Some(name) = name {
                trace.label(key, name);
            }
        }
    }

    /// Records the object, for requests that name it in the body.
    pub(super) fn object(&self, object: &dyn fmt::Display) {
        let _ = self.object.set(shown(&object.to_string(), MAX_NAME));
    }

    /// Records how many sign-ins from the address were refused lately, including this one.
    pub(super) fn refused(&self, refusals: Refusals) {
        let _ = self.refusals.set(refusals);
    }

    /// Returns whether the request takes part in a trace.
    pub(super) const fn is_traced(&self) -> bool {
        self.traced.is_some()
    }

    /// Returns whether the request has no authenticated caller or operator.
    pub(super) fn is_nobody(&self) -> bool {
        self.caller.get().is_none() && self.operator.get().is_none()
    }

    /// Counts the request for the caller's organisation.
    pub(super) fn count_organisation(&self, metrics: &RequestMetrics) {
        if let Some(caller) = self.caller.get() {
            metrics.of_organisation(caller.organisation(), caller.organisation_name());
        }
    }

    pub(super) fn route_text(&self) -> Option<&str> {
        self.route.get().map(|route| match route {
            Route::Matched(path) => path.as_str(),
            Route::Known(path) => path,
        })
    }
}

/// The facts that are known when a request arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggedRequest<'a> {
    pub(super) id: &'a HeaderValue,
    pub(super) from: Option<IpAddr>,
    pub(super) started: Instant,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    version: Version,
    client: ClientHeaders<'a>,
    over_tls: Option<&'a OverTls>,
}

/// The headers in which a client describes itself.
#[derive(Debug, Clone, Copy)]
enum ClientHeaders<'a> {
    /// All headers. They are searched only if the request is logged.
    All(&'a HeaderMap),
    Found {
        agent: Option<&'a HeaderValue>,
        forwarded_for: Option<&'a HeaderValue>,
    },
}

impl<'a> ClientHeaders<'a> {
    fn agent(self) -> Option<&'a HeaderValue> {
        match self {
            Self::All(headers) => headers.get(USER_AGENT),
            Self::Found { agent, .. } => agent,
        }
    }

    fn forwarded_for(self) -> Option<&'a HeaderValue> {
        match self {
            Self::All(headers) => headers.get(FORWARDED_FOR),
            Self::Found { forwarded_for, .. } => forwarded_for,
        }
    }
}

impl<'a> LoggedRequest<'a> {
    pub(super) fn new(parts: &'a Parts, id: &'a HeaderValue, from: Option<IpAddr>, started: Instant) -> Self {
        let Parts { method, uri, version, headers, extensions, .. } = parts;
        let (client, over_tls) = (ClientHeaders::All(headers), extensions.get());
        Self { id, from, started, method, uri, version: *version, client, over_tls }
    }

    /// Returns the client's `User-Agent`, shortened.
    pub(super) fn agent(&self) -> Option<String> {
        self.client.agent().map(agent_text)
    }

    /// Returns what metrics count of the request, which ends now.
    pub(super) fn as_answered<'b>(&'b self, route: Option<&'b str>, status: Option<StatusCode>) -> Answered<'b> {
        Answered { method: self.method, route, status, took: self.started.elapsed() }
    }

    /// Keeps the request if it is one of the slowest.
    #[inline]
    pub(super) fn note_slow(&self, facts: &RequestFacts, answered: &Answered<'_>, metrics: &RequestMetrics) {
        metrics.slow().note(answered.took, |at_ms| SlowRequest {
            at_ms,
            method: method_name(answered.method),
            route: answered.route.map(str::to_owned),
            status: answered.status.map(|status| status.as_u16()),
            took: answered.took,
            organisation: facts.caller.get().map(|one| (one.organisation(), one.organisation_name().to_owned())),
            request_id: self.id.to_str().unwrap_or_default().to_owned(),
        });
    }

    /// Ends the request's trace, if it has one. A request without a status was not answered.
    pub(super) fn end_trace(&self, facts: &RequestFacts, route: Option<&str>, status: Option<StatusCode>) {
        if let Some((_, trace)) = &facts.traced {
            self.end_trace_of(trace, facts, route, status);
        }
    }

    /// Ends the trace of a request that was not sampled and failed.
    pub(super) fn end_failure(
        &self,
        trace: &RequestTrace,
        facts: &RequestFacts,
        route: Option<&str>,
        status: StatusCode,
    ) {
        if let Some(caller) = facts.caller.get() {
            trace.label("tidewater.organisation", caller.organisation_name().to_owned());
        }
        if let Some(route) = route {
            RequestFacts::label_names_of(trace, self.uri.path(), route);
        }
        self.end_trace_of(trace, facts, route, Some(status));
    }

    fn end_trace_of(
        &self,
        trace: &RequestTrace,
        facts: &RequestFacts,
        route: Option<&str>,
        status: Option<StatusCode>,
    ) {
        let agent = self.client.agent().map(|agent| shown(&String::from_utf8_lossy(agent.as_bytes()), MAX_AGENT));
        let request = TracedRequest {
            id: self.id,
            method: self.method,
            route,
            path: shown(self.uri.path(), MAX_PATH),
            is_https: self.uri.scheme_str() == Some("https"),
            version: self.version,
            from: self.from,
            agent,
            object: facts.object.get().map(String::as_str),
        };
        trace.end(request, status);
    }

    /// Logs that the request was answered.
    pub(super) fn answered(&self, facts: &RequestFacts, status: StatusCode) {
        self.answered_on(facts, status, || None);
    }

    /// Logs that the request was answered. Calls `route` only if the request is logged.
    pub(super) fn answered_on(
        &self,
        facts: &RequestFacts,
        status: StatusCode,
        route: impl FnOnce() -> Option<&'static str>,
    ) {
        let level = match facts.refusals.get() {
            Some(Refusals::TooMany) => Level::DEBUG,
            _ => level_of(self.method, self.uri.path(), facts.route_text(), status),
        };
        if is_logged(level) {
            if let Some(route) = route() {
                let _ = facts.route.set(Route::Known(route));
            }
            self.write(level, facts, Some(status));
        }
    }

    /// Writes the line. A request without a status was not answered.
    fn write(&self, level: Level, facts: &RequestFacts, status: Option<StatusCode>) {
        let (caller, operator) = (facts.caller.get(), facts.operator.get());
        let (user, caller_with_key) =
            (caller.filter(|caller| caller.is_user()), caller.filter(|caller| !caller.is_user()));
        let key_id = caller_with_key.map(|caller| caller.key()).or(operator.map(|operator| operator.id()));
        let key_id = key_id.map(|id| id.to_string());
        let key = caller_with_key.map(|caller| caller.key_name()).or(operator.map(|operator| operator.name()));
        let engine = caller.and_then(|caller| caller.engine()).map(|engine| engine.key_name());
        let template = facts.route_text();
        let names = template.map(|template| Names::from_path(template, self.uri.path())).unwrap_or_default();
        let text = |value: Option<&HeaderValue>, max| {
            value.map(|value| shown(&String::from_utf8_lossy(value.as_bytes()), max))
        };
        let certificate = self.over_tls.and_then(|over_tls| over_tls.client.as_deref());
        let duration_ms = self.started.elapsed().as_micros() as f64 / 1_000.0;
        macro_rules! line {
            ($level:expr, $message:literal) => {
                tracing::event!(
                    $level,
                    method = self.method.as_str(),
                    path = shown(self.uri.path(), MAX_PATH),
                    status = status.map(|status| status.as_u16()),
                    duration_ms,
                    request_id = self.id.to_str().unwrap_or_default(),
                    address = self.from.map(|from| from.to_canonical().to_string()),
                    forwarded_for = text(self.client.forwarded_for(), MAX_FORWARDED),
                    client_certificate = certificate.map(|subject| shown(subject, MAX_NAME)),
                    organisation = caller.map(|caller| caller.organisation_name()),
                    key_id,
                    key = key.map(|key| shown(key, MAX_NAME)),
                    user_id = user.map(|user| user.principal().to_string()),
                    user = user.map(|user| shown(user.key_name(), MAX_NAME)),
                    engine = engine.map(|engine| shown(engine, MAX_NAME)),
                    operator = operator.map(|_| true),
                    route = template,
                    warehouse = names.warehouse,
                    namespace = names.namespace,
                    object = names.object.as_deref().or(facts.object.get().map(String::as_str)),
                    referenced_by = referenced_by(self.uri),
                    refused_more = facts.refusals.get().and_then(Refusals::unsaid),
                    agent = text(self.client.agent(), MAX_AGENT).unwrap_or_default(),
                    $message
                )
            };
        }
        match (level, status) {
            (Level::INFO, Some(_)) => line!(Level::INFO, "answered"),
            (Level::INFO, None) => line!(Level::INFO, "not answered: the client disconnected, or the server stops"),
            (_, Some(_)) => line!(Level::DEBUG, "answered"),
            (_, None) => line!(Level::DEBUG, "not answered: the client disconnected, or the server stops"),
        }
    }
}

/// A request of a direct route while it is answered. If it is dropped without an answer, it is counted as cancelled.
pub(super) struct PendingDirect<'a> {
    pub(super) asked: &'a LoggedRequest<'a>,
    pub(super) facts: &'a RequestFacts,
    pub(super) route: &'static str,
    pub(super) metrics: &'a RequestMetrics,
    pub(super) is_answered: bool,
}

impl Drop for PendingDirect<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.facts.count_organisation(self.metrics);
            let answered = self.asked.as_answered(Some(self.route), None);
            self.metrics.answered(&answered);
            self.asked.note_slow(self.facts, &answered, self.metrics);
        }
    }
}

/// A request while its handler runs. If it is dropped without an answer, its log line says so.
pub(super) struct PendingRequest {
    pub(super) facts: Arc<RequestFacts>,
    id: HeaderValue,
    from: Option<IpAddr>,
    started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    over_tls: Option<OverTls>,
    metrics: RequestMetrics,
    answered: bool,
}

impl PendingRequest {
    pub(super) fn new(asked: &LoggedRequest<'_>, trace: Option<&Arc<RequestTrace>>, metrics: &RequestMetrics) -> Self {
        Self {
            facts: Arc::new(RequestFacts::new(asked.uri.path(), trace)),
            id: asked.id.clone(),
            from: asked.from,
            started: asked.started,
            method: asked.method.clone(),
            uri: asked.uri.clone(),
            version: asked.version,
            agent: asked.client.agent().cloned(),
            forwarded_for: asked.client.forwarded_for().cloned(),
            over_tls: asked.over_tls.cloned(),
            metrics: metrics.clone(),
            answered: false,
        }
    }

    /// Returns the route that matched.
    pub(super) fn route(&self) -> Option<&str> {
        self.facts.route_text()
    }

    /// Returns the client's `User-Agent`.
    pub(super) const fn agent(&self) -> Option<&HeaderValue> {
        self.agent.as_ref()
    }

    /// Returns the facts that were known when the request arrived.
    pub(super) fn asked(&self) -> LoggedRequest<'_> {
        LoggedRequest {
            id: &self.id,
            from: self.from,
            started: self.started,
            method: &self.method,
            uri: &self.uri,
            version: self.version,
            client: ClientHeaders::Found { agent: self.agent.as_ref(), forwarded_for: self.forwarded_for.as_ref() },
            over_tls: self.over_tls.as_ref(),
        }
    }

    /// Logs that the request was answered.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.answered = true;
        self.asked().answered(&self.facts, status);
        self.count(Some(status));
    }

    fn count(&self, status: Option<StatusCode>) {
        self.facts.count_organisation(&self.metrics);
        let asked = self.asked();
        let answered = asked.as_answered(self.facts.route_text(), status);
        self.metrics.answered(&answered);
        asked.note_slow(&self.facts, &answered, &self.metrics);
        asked.end_trace(&self.facts, self.facts.route_text(), status);
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.count(None);
        let level =
            if is_read(&self.method, self.uri.path(), self.facts.route_text()) { Level::DEBUG } else { Level::INFO };
        if is_logged(level) {
            self.asked().write(level, &self.facts, None);
        }
    }
}

fn is_logged(level: Level) -> bool {
    if level == Level::INFO { tracing::enabled!(Level::INFO) } else { tracing::enabled!(Level::DEBUG) }
}

fn level_of(method: &Method, path: &str, route: Option<&str>, status: StatusCode) -> Level {
    let is_refusal = status.is_client_error() || status.is_server_error();
    // Clients often check whether an object exists.
    let finds_nothing = status == StatusCode::NOT_FOUND;
    // Load balancers check it several times a second. Its changes have log lines of their own.
    let is_probe = path == "/ready";
    if is_read(method, path, route) && (!is_refusal || finds_nothing || is_probe) { Level::DEBUG } else { Level::INFO }
}

/// Returns whether a request is logged as a read. Signatures and metrics reports count as reads: they are as frequent as
/// loads. The route tells them apart: a table may have the name `sign` or `metrics`.
fn is_read(method: &Method, path: &str, route: Option<&str>) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => {
            !path.starts_with("/management/") && !path.starts_with("/api/management/")
        }
        Method::POST => route
            .is_some_and(|route| route.ends_with("/tables/{table}/sign") || route.ends_with("/tables/{table}/metrics")),
        _ => false,
    }
}

/// Returns the record in which middlewares note facts for the log, or `None` for requests that are not logged.
pub(super) fn facts(extensions: &Extensions) -> Option<&Arc<RequestFacts>> {
    extensions.get::<Arc<RequestFacts>>()
}

#[cfg(test)]
mod tests;
