//! The way of a page to the API.

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderValue, Method, Request, StatusCode, Version};
use parking_lot::Mutex;
use serde_json::Value;
use tidewater_console::{Call, texts as t};

use super::session::Session;
use crate::api::{ApiService, Visitor};

/// The largest answer that a page reads, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Makes requests to the API for a visitor, and notes those that only read, to show them.
pub(super) struct Door {
    pub(super) api: ApiService,
    pub(super) visitor: Visitor,
    pub(super) session: Session,
    agent: Option<HeaderValue>,
    calls: Mutex<Vec<Call>>,
}

/// Why the API did not answer as asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The type of the API's error.
    pub(super) kind: String,
    /// The API's message.
    pub(super) message: String,
    /// The id of the request in the server's log.
    pub(super) request_id: String,
    /// When the request may be repeated, as the API says.
    pub(super) retry_after: Option<HeaderValue>,
}

/// The API's answer to a request.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The id of the request in the server's log.
    request_id: String,
    retry_after: Option<HeaderValue>,
    pub(super) body: Result<axum::body::Bytes, Refusal>,
}

impl Reply {
    /// Returns the refusal with an answer's status.
    pub(super) fn refusal(self, kind: String, message: String) -> Refusal {
        let Self { status, request_id, retry_after, .. } = self;
        Refusal { status, kind, message, request_id, retry_after }
    }
}

impl Refusal {
    /// Returns a refusal of the console itself.
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        Self { status, kind: String::new(), message: message.to_owned(), request_id: String::new(), retry_after: None }
    }

    /// Returns whether the sign-in has ended.
    pub(super) fn is_signed_out(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }
}

/// Sends a request to the API for a visitor.
pub(super) async fn send(
    api: &ApiService,
    visitor: &Visitor,
    agent: Option<&HeaderValue>,
    mut request: Request<Body>,
) -> Reply {
    // The browser's connection was checked; a request inside this process needs no host.
    *request.version_mut() = Version::HTTP_2;
    if let Some(agent) = agent {
        request.headers_mut().insert(USER_AGENT, agent.clone());
    }
    let response = api.handle_for(visitor, request).await;
    let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let retry_after = response.headers().get(RETRY_AFTER).cloned();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER_BYTES).await;
    let too_large = |_| Refusal { request_id: id.clone(), ..Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, t::TOO_LARGE) };
    Reply { status: parts.status, body: body.map_err(too_large), request_id: id.clone(), retry_after }
}

impl Door {
    pub(super) fn new(api: &ApiService, visitor: &Visitor, session: Session, agent: Option<HeaderValue>) -> Self {
        Self { api: api.clone(), visitor: visitor.clone(), session, agent, calls: Mutex::default() }
    }

    /// Takes the requests that were noted.
    pub(super) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock())
    }

    /// Loads JSON.
    ///
    /// # Errors
    /// The API's refusal.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.read(path, |value| value).await
    }

    /// Loads JSON and works on it. Large answers are parsed by the workers for heavy work, in the organisation's turn.
    ///
    /// # Errors
    /// The API's refusal.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(Value) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (bytes, id) = self.ask(Method::GET, path, None, &[]).await?;
        self.calls.lock().push(Call::get(path));
        self.parse(bytes, id, work).await
    }

    /// Loads credentials, as a client that wants them vended.
    ///
    /// # Errors
    /// The API's refusal.
    pub(super) async fn credentials(&self, path: &str) -> Result<Value, Refusal> {
        let delegation = ("x-iceberg-access-delegation", "vended-credentials");
        let (bytes, id) = self.ask(Method::GET, path, None, &[delegation]).await?;
        self.calls.lock().push(Call::get(path));
        self.parse(bytes, id, |value| value).await
    }

    /// Makes a change. Returns the answer; null if it has no body.
    ///
    /// # Errors
    /// The API's refusal.
    pub(super) async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let (bytes, id) = self.ask(method, path, body, &[]).await?;
        if bytes.is_empty() { Ok(Value::Null) } else { self.parse(bytes, id, |value| value).await }
    }

    async fn parse<T: Send + 'static>(
        &self,
        bytes: axum::body::Bytes,
        request_id: String,
        work: impl FnOnce(Value) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (owner, len) = (self.session.organisation(), bytes.len() as u64);
        let parsed = self
            .api
            .heavy()
            .run(owner, len, move || serde_json::from_slice(&bytes).ok().map(work))
            .await
            .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()))?;
        parsed.ok_or_else(|| Refusal { request_id, ..Refusal::new(StatusCode::BAD_GATEWAY, t::UNREADABLE) })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(axum::body::Bytes, String), Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.session.token.expose()));
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = bearer.ok().and_then(|mut bearer| {
            bearer.set_sensitive(true);
            request.header(AUTHORIZATION, bearer).body(body).ok()
        });
        let Some(request) = request else { return Err(Refusal::new(StatusCode::BAD_REQUEST, t::TOO_LONG)) };
        let mut reply = send(&self.api, &self.visitor, self.agent.as_ref(), request).await;
        let body = std::mem::replace(&mut reply.body, Ok(axum::body::Bytes::new()))?;
        if reply.status.is_success() {
            return Ok((body, reply.request_id));
        }
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
        Err(reply.refusal(text("type"), text("message")))
    }
}
