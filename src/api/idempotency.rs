//! `Idempotency-Key`: a repeated request with the same key changes nothing and gets the first answer again.
//!
//! Authentication and limits are checked first. The store records a success in the transaction of the change, and the answer
//! is built again from that record. A refusal is recorded as it was sent. Answers that may differ next time (5xx, 429) or
//! depend on the caller (401, 403) are not recorded; their key can be used again.

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use tracing::Instrument;

use super::Api;
use super::body::{Body, Reserved};
use super::error::{ApiError, Repeated};
use crate::access::Principal;
use crate::auth::{Caller, Renewal};
use crate::base::deadline;
use crate::base::trace;
use crate::catalog::idempotency::{IdempotencyKey, SentKey, request_digest};
use crate::store::{Answer, KeptDocument, PropertyChanges, Receipt, RequestDigest};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How often a request looks for an answer that another process recorded.
const ROUNDS: usize = 3;

/// The state of a request's idempotency key, for its handler.
#[derive(Debug, Clone, Default)]
pub(super) enum IdempotencyState {
    /// The request has no key.
    #[default]
    Unkeyed,
    /// The key is new. The change must record this receipt.
    First(Arc<Receipt>),
    /// The request was done before, with this answer. The handler must change nothing.
    Again(Arc<Answer>),
}

impl IdempotencyState {
    /// Returns the receipt that the change must record.
    pub(super) fn receipt(&self) -> Option<Arc<Receipt>> {
        match self {
            Self::First(receipt) => Some(Arc::clone(receipt)),
            Self::Unkeyed | Self::Again(_) => None,
        }
    }

    /// Returns whether the request was done before.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Again(_))
    }

    /// Returns the document that the earlier request wrote, if it was done before.
    pub(super) fn document(&self) -> Option<&KeptDocument> {
        match self {
            Self::Again(answer) => match &**answer {
                Answer::Document(document) => Some(document),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the changes of properties that the earlier request made, if it was done before.
    pub(super) fn properties(&self) -> Option<&PropertyChanges> {
        match self {
            Self::Again(answer) => match &**answer {
                Answer::Properties(changes) => Some(changes),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A request with a key, read whole.
struct Keyed {
    key: SentKey,
    digest: RequestDigest,
    parts: Parts,
    body: Bytes,
    reserved: Option<Reserved>,
}

/// Serves a request with a key once. Passes on requests without a key.
pub(super) async fn once(api: &Arc<Api>, caller: &Arc<Caller>, request: Request, next: Next) -> Response {
    let changes = matches!(*request.method(), Method::POST | Method::DELETE);
    if !changes || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    // The handler refuses a caller without permission to change anything. That caller must not see others' answers.
    if !Principal::from(Arc::clone(caller)).may_change() {
        return next.run(request).await;
    }
    let keyed = match Keyed::read(api, caller, request).await {
        Ok(keyed) => keyed,
        Err(error) => return error.into_response(),
    };
    // In a separate task: if the client disconnects and repeats the request, the repetition waits for this one.
    let api = Arc::clone(api);
    let served = async move { keyed.serve(&api, next).await }.in_current_span();
    let served = tokio::spawn(trace::carry(deadline::scope(deadline::current(), served)));
    match served.await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(broken) => ApiError::internal(&broken).into_response(),
    }
}

impl Keyed {
    async fn read(api: &Arc<Api>, caller: &Caller, request: Request) -> Result<Self, ApiError> {
        let organisation = caller.organisation();
        // The answer to one principal is not for another.
        let key = (organisation, caller.principal(), key_of(request.headers())?);
        let restriction = caller.restriction_digest();
        let (mut parts, body) = request.into_parts();
        let body = Body::from_request(Request::from_parts(parts.clone(), body), api).await?;
        // It is unpacked by now.
        parts.headers.remove(CONTENT_ENCODING);
        let (method, uri, bytes) = (parts.method.clone(), parts.uri.clone(), body.bytes.clone());
        let digest = move || {
            let target = uri.path_and_query().map_or("", |target| target.as_str());
            request_digest(&[method.as_str().as_bytes(), target.as_bytes(), &bytes, &restriction])
        };
        let digest = api.heavy.run(organisation.0, body.bytes.len() as u64, digest).await?;
        Ok(Self { key, digest, parts, reserved: body.reserved(), body: body.bytes })
    }

    async fn serve(self, api: &Api, next: Next) -> Result<Response, ApiError> {
        let _turn = api.idempotency.enter(self.key).await;
        for round in 0..ROUNDS {
            let earlier = api.idempotency.earlier(self.key, self.digest).await;
            // In later rounds another process has made the change.
            match earlier.map_err(|error| if round == 0 { error.before_change() } else { error })? {
                Some(Answer::Refusal { status, body }) => {
                    self.confirm().await?;
                    return Ok(refusal(status, body.into()));
                }
                Some(answer) => {
                    let mut request = self.request(IdempotencyState::Again(Arc::new(answer)));
                    request.extensions_mut().insert(self.confirm().await?);
                    return Ok(next.run(request).await);
                }
                None => {}
            }
            if let Some(response) = self.serve_first(api, next.clone()).await? {
                return Ok(response);
            }
        }
        Err(ApiError::internal(&"the stored answer was not found"))
    }

    /// Serves the request and records its answer. Returns `None` if another process was faster.
    async fn serve_first(&self, api: &Api, next: Next) -> Result<Option<Response>, ApiError> {
        let receipt = Arc::new(api.idempotency.receipt(self.key, self.digest));
        let response = next.run(self.request(IdempotencyState::First(Arc::clone(&receipt)))).await;
        if response.extensions().get::<Repeated>().is_some() {
            return Ok(None);
        }
        if !is_kept(response.status()) {
            return Ok(Some(response));
        }
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| ApiError::internal(&error))?.to_bytes();
        let text = String::from_utf8(body.to_vec()).map_err(|error| ApiError::internal(&error))?;
        // Record the refusal before it is sent: an earlier attempt with an unknown outcome may be the reason for it.
        let organisation = self.key.0;
        let kept =
            api.idempotency.store_answer(organisation, &receipt, &Answer::Refusal { status, body: text }).await?;
        Ok(kept.then(|| refusal(status, body)))
    }

    /// Authenticates the caller again, with the changes of other servers: an earlier answer needs no read of its object.
    async fn confirm(&self) -> Result<Arc<Caller>, ApiError> {
        let renewal = self.parts.extensions.get::<Arc<Renewal>>();
        let renewal = renewal.ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))?;
        Ok(renewal.confirmed_caller().await?)
    }

    fn request(&self, once: IdempotencyState) -> Request {
        let mut request = Request::from_parts(self.parts.clone(), HttpBody::from(self.body.clone()));
        request.extensions_mut().insert(once);
        if let Some(reserved) = &self.reserved {
            request.extensions_mut().insert(reserved.clone());
        }
        request
    }
}

/// Returns the key in the headers. Fails if there are several.
fn key_of(headers: &HeaderMap) -> Result<IdempotencyKey, ApiError> {
    let mut values = headers.get_all(KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::bad_request("A request can have one Idempotency-Key, not several"));
    };
    let key = value.to_str().unwrap_or_default().parse();
    key.map_err(|error: crate::catalog::idempotency::InvalidKey| ApiError::bad_request(error.to_string()))
}

/// Returns whether a refusal is recorded: it would be the same next time, for every caller.
fn is_kept(status: StatusCode) -> bool {
    let may_change = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !may_change
}

fn refusal(status: u16, body: Bytes) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
