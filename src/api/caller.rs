//! Who is asking, and for what: no handler runs before this is known.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tidewater_core::access::Action;

use super::Api;
use super::error::ApiError;
use super::idempotency::{self, Once};
use super::path::PathParameters;
use super::request_log::{self, Learned};
use crate::auth::{Caller, LastCredential};
use crate::config::LimitHeaders;
use crate::store::Change;
use crate::tenancy::quota::{Budget, Quota, QuotaError};
use crate::warehouse::OpenWarehouse;

/// Lets a request through that is signed in and within its organisation's limits, and says in the answer what is left.
pub(super) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let arrived = request.extensions().get::<Arrived>();
    let (last, now_ms) = (arrived.and_then(|arrived| arrived.last.clone()), api.clock.now_ms());
    let admitted = match admit(&api, request.headers(), note_route(&request), last.as_deref(), now_ms).await {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let Admitted { caller, left } = admitted;
    if let Some(learned) = request_log::learned(request.extensions()) {
        learned.caller(Arc::clone(&caller));
    }
    request.extensions_mut().insert(Arc::clone(&caller));
    let response = idempotency::once(&api, &caller, request, next).await;
    left.tell(response)
}

/// Notes for the log which route a request takes. Returns where more is noted.
fn note_route(request: &Request) -> Option<&Learned> {
    let learned = request_log::learned(request.extensions())?;
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        learned.matched(route);
    }
    Some(learned)
}

/// The one `Authorization` header of a request, if it has one.
///
/// # Errors
/// 400 when there are several: which of them others read cannot be known.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ApiError::bad_request("A request can have one Authorization header, not several")),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

/// Somebody whose request is counted and may be served.
pub(super) struct Admitted {
    pub(super) caller: Arc<Caller>,
    pub(super) left: Left,
}

/// What is left of their day.
pub(super) struct Left(Budget, LimitHeaders);

impl Left {
    /// Says it in what they are answered.
    pub(super) fn tell(&self, mut response: Response) -> Response {
        say_what_is_left(response.headers_mut(), &self.0, self.1);
        response
    }
}

/// Finds out who sends a request, at `now_ms` and over a connection whose last credential is known, and counts it. Of one that
/// is refused, who sent it is noted in `learned`.
///
/// # Errors
/// What is answered to who is not signed in, or has spent the day.
pub(super) async fn admit(
    api: &Api,
    headers: &HeaderMap,
    learned: Option<&Learned>,
    last: Option<&LastCredential>,
    now_ms: i64,
) -> Result<Admitted, Box<Response>> {
    let refuse = |error: ApiError| Box::new(error.into_response());
    let authorization = authorization(headers).map_err(refuse)?;
    let caller = api.authenticator.authenticate_again(authorization, last, now_ms).await;
    let caller = caller.map_err(|error| refuse(error.into()))?;
    let charged = api.quota.charge(&caller, now_ms).await;
    if let (Err(_), Some(learned)) = (&charged, learned) {
        learned.caller(Arc::clone(&caller));
    }
    match charged {
        Ok(budget) => Ok(Admitted { caller, left: Left(budget, api.settings.limit_headers) }),
        Err(QuotaError::LimitExceeded(limit)) => {
            let spent = Budget { limit: Some(limit.limit), remaining: 0, reset_s: limit.retry_after_s };
            let mut response = refuse(QuotaError::LimitExceeded(limit).into());
            say_what_is_left(response.headers_mut(), &spent, api.settings.limit_headers);
            Err(response)
        }
        Err(error) => Err(refuse(error.into())),
    }
}

/// Lets a request through that is signed in, and counts it against no day: it stands for one of the storage's. Each key has
/// its turns.
pub(super) async fn authenticate_uncounted(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let learned = note_route(&request);
    let authorization = match authorization(request.headers()) {
        Ok(authorization) => authorization,
        Err(error) => return error.into_response(),
    };
    let caller = match api.authenticator.authenticate(authorization).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
    if let Some(learned) = learned {
        learned.caller(Arc::clone(&caller));
    }
    if let Err(error) = Quota::admit(&caller) {
        return ApiError::from(error).into_response();
    }
    if let Err(error) = api.signatures.wait(caller.key()).await {
        return ApiError::from(error).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Adds the headers that `api.limit_headers` asks for: the two structured fields of
/// draft-ietf-httpapi-ratelimit-headers, the three fields of its older versions, or both.
fn say_what_is_left(headers: &mut HeaderMap, budget: &Budget, form: LimitHeaders) {
    let Some(limit) = budget.limit else { return };
    let mut buffers = [itoa::Buffer::new(); 3];
    let [for_limit, for_remaining, for_reset] = &mut buffers;
    let (limit, remaining) = (for_limit.format(limit), for_remaining.format(budget.remaining));
    let reset = for_reset.format(budget.reset_s);
    // This is on the way of every request: one text, of which all values are pieces.
    let [policy_start, policy_end, state_start, state_middle] = ["\"day\";q=", ";w=86400", "\"day\";r=", ";t="];
    let text = Bytes::from([policy_start, limit, policy_end, state_start, remaining, state_middle, reset].concat());
    let mut say = |name, piece| {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(piece)) {
            headers.insert(name, value);
        }
    };
    let policy = 0..policy_start.len() + limit.len() + policy_end.len();
    let state = policy.end..text.len();
    if form != LimitHeaders::Structured {
        let remaining_start = state.start + state_start.len();
        say(LIMIT, policy_start.len()..policy_start.len() + limit.len());
        say(REMAINING, remaining_start..remaining_start + remaining.len());
        say(RESET, state.end - reset.len()..state.end);
    }
    if form != LimitHeaders::Separate {
        say(POLICY, policy);
        say(STATE, state);
    }
}

/// What a handler is allowed to do, as a type.
pub(super) trait Permission: Send {
    /// What the caller's role must allow.
    const ACTION: Action;
}

/// To look.
pub(super) struct Read;

/// To change.
pub(super) struct Write;

/// To administer the organisation.
pub(super) struct Administer;

impl Permission for Administer {
    const ACTION: Action = Action::Administer;
}

impl Permission for Read {
    const ACTION: Action = Action::Read;
}

impl Permission for Write {
    const ACTION: Action = Action::Write;
}

/// A caller whose role allows `P`. It exists for no other.
pub(super) struct Allowed<P> {
    pub(super) caller: Arc<Caller>,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Arc<Api>> for Allowed<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        Self::of(caller.ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))?)
    }
}

impl<P: Permission> Allowed<P> {
    /// The caller, if their role allows it.
    ///
    /// # Errors
    /// 403 when it does not.
    pub(super) fn of(caller: Arc<Caller>) -> Result<Self, ApiError> {
        if !caller.role().allows(P::ACTION) {
            let enough = if P::ACTION == Action::Administer { "'admin'" } else { "'writer' or 'admin'" };
            return Err(ApiError::forbidden(format!(
                "Your key's role is '{}', which does not allow this: use a key with the role {enough}",
                caller.role()
            )));
        }
        Ok(Self { caller, permission: PhantomData })
    }
}

/// A caller that may do `P`, in the warehouse that the path names or the organisation's default.
pub(super) struct Scope<P> {
    pub(super) caller: Arc<Caller>,
    pub(super) warehouse: Arc<OpenWarehouse>,
    /// Whether what is asked for may have been done before.
    pub(super) once: Once,
    learned: Option<Arc<Learned>>,
    arrived: Option<Arrived>,
    permission: PhantomData<P>,
}

/// How a request came in, which its changes are told with.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) request_id: HeaderValue,
    pub(super) from: Option<IpAddr>,
    /// What was shown last on its connection.
    pub(super) last: Option<Arc<LastCredential>>,
}

impl<P: Permission> Scope<P> {
    /// What a change for this request carries.
    pub(super) fn change(&self, api: &Api) -> Change {
        let arrived = self.arrived.as_ref();
        Change {
            actor: self.caller.actor(),
            request_id: arrived.and_then(|arrived| arrived.request_id.to_str().ok()).map(Into::into),
            client: arrived.and_then(|arrived| arrived.from).map(|from| from.to_canonical()),
            at_ms: api.clock.now_ms(),
            receipt: self.once.receipt(),
        }
    }

    /// Who is allowed, in the warehouse of that name or the organisation's default.
    ///
    /// # Errors
    /// When there is no such warehouse, or it cannot be used.
    pub(super) async fn of(
        api: &Api,
        Allowed { caller, permission }: Allowed<P>,
        warehouse: Option<&str>,
        once: Once,
    ) -> Result<Self, ApiError> {
        let warehouse = api.catalog.warehouse(caller.organisation(), warehouse).await?;
        Ok(Self { caller, warehouse, once, learned: None, arrived: None, permission })
    }

    /// Notes for the log which object a request is about that its path does not name.
    pub(super) fn note_object(&self, object: impl fmt::Display) {
        if let Some(learned) = &self.learned {
            learned.object(&object);
        }
    }
}

impl<P: Permission> FromRequestParts<Arc<Api>> for Scope<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let allowed = Allowed::<P>::from_request_parts(parts, api).await?;
        let path = PathParameters::of(parts);
        let prefix = path.get("prefix")?.or(path.get("warehouse")?);
        let once = parts.extensions.get::<Once>().cloned().unwrap_or_default();
        let scope = Self::of(api, allowed, prefix.as_deref(), once).await?;
        let learned = request_log::learned(&parts.extensions).cloned();
        Ok(Self { learned, arrived: parts.extensions.get().cloned(), ..scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: LimitHeaders) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        say_what_is_left(&mut headers, &Budget { limit: Some(250_000), remaining: 7, reset_s: 86_399 }, form);
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn limits_are_told_in_the_form_that_is_set() {
        let separate = [("ratelimit-limit", "250000"), ("ratelimit-remaining", "7"), ("ratelimit-reset", "86399")];
        let structured = [("ratelimit-policy", "\"day\";q=250000;w=86400"), ("ratelimit", "\"day\";r=7;t=86399")];
        assert_eq!(said(LimitHeaders::Structured), texts(&structured));
        assert_eq!(said(LimitHeaders::Separate), texts(&separate));
        assert_eq!(said(LimitHeaders::Both), [texts(&separate), texts(&structured)].concat());
    }

    #[test]
    fn without_a_limit_no_header_tells_of_it() {
        let mut headers = HeaderMap::new();
        let unlimited = Budget { limit: None, remaining: u64::MAX, reset_s: 1 };
        say_what_is_left(&mut headers, &unlimited, LimitHeaders::Both);
        assert!(headers.is_empty());
    }
}
