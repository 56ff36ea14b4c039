//! Who is asking, and for what: no handler runs before this is known.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidewater_core::access::Action;

use super::Api;
use super::error::ApiError;
use super::idempotency::{self, Once};
use super::path::PathParameters;
use crate::auth::Caller;
use crate::tenancy::quota::{Budget, Quota, QuotaError};
use crate::warehouse::OpenWarehouse;

/// Lets a request through that is signed in and within its organisation's limits, and says in the answer what is left.
pub(super) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let caller = match api.authenticator.authenticate(authorization).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let (mut response, budget) = match api.quota.charge(&caller, api.clock.now_ms()).await {
        Ok(budget) => {
            request.extensions_mut().insert(Arc::clone(&caller));
            (idempotency::once(&api, &caller, request, next).await, Some(budget))
        }
        Err(error) => {
            let spent = match &error {
                QuotaError::LimitExceeded(limit) => {
                    Some(Budget { limit: Some(limit.limit), remaining: 0, reset_s: limit.retry_after_s })
                }
                _ => None,
            };
            (ApiError::from(error).into_response(), spent)
        }
    };
    if let Some(budget) = budget {
        say_what_is_left(response.headers_mut(), &budget);
    }
    response
}

/// Lets a request through that is signed in, and counts it against no day: it stands for one of the storage's. Each key has
/// its turns.
pub(super) async fn authenticate_uncounted(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let caller = match api.authenticator.authenticate(authorization).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
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

/// Both forms in use: the three headers of the older drafts, and the two structured fields of
/// draft-ietf-httpapi-ratelimit-headers.
fn say_what_is_left(headers: &mut HeaderMap, budget: &Budget) {
    let Some(limit) = budget.limit else { return };
    let [limit, remaining, reset] = [limit, budget.remaining, budget.reset_s].map(HeaderValue::from);
    // Put together from the numbers' texts: this is on the way of every request, and formatting takes several times as long.
    let policy = [b"\"day\";q=", limit.as_bytes(), b";w=86400"].concat();
    let state = [b"\"day\";r=", remaining.as_bytes(), b";t=", reset.as_bytes()].concat();
    for (name, value) in [(POLICY, policy), (STATE, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers.extend([(LIMIT, limit), (REMAINING, remaining), (RESET, reset)]);
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
        let caller = caller.ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))?;
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
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Arc<Api>> for Scope<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let Allowed { caller, .. } = Allowed::<P>::from_request_parts(parts, api).await?;
        let path = PathParameters::of(parts);
        let prefix = path.get("prefix")?.or(path.get("warehouse")?);
        let warehouse = api.catalog.warehouse(caller.organisation(), prefix.as_deref()).await?;
        let once = parts.extensions.get::<Once>().cloned().unwrap_or_default();
        Ok(Self { caller, warehouse, once, permission: PhantomData })
    }
}
