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
use super::idempotency::Once;
use super::path::PathParameters;
use crate::auth::Caller;
use crate::catalog::OpenWarehouse;
use crate::tenancy::quota::{Budget, Quota, QuotaError};

/// Lets a request through that is signed in and within its organisation's limits, and says in the answer what is left.
pub(super) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let caller = match api.authenticator.authenticate(authorization).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let (mut response, budget) = match api.quota.charge(&caller, api.clock.now_ms()).await {
        Ok(budget) => {
            request.extensions_mut().insert(caller);
            (next.run(request).await, Some(budget))
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

/// Lets a request through that is signed in, and counts it against no limit: it stands for one of the storage's.
pub(super) async fn authenticate_uncounted(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let caller = match api.authenticator.authenticate(authorization).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
    if let Err(error) = Quota::admit(&caller) {
        return ApiError::from(error).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Both forms in use: the three headers of the older drafts, and the two structured fields of
/// draft-ietf-httpapi-ratelimit-headers.
fn say_what_is_left(headers: &mut HeaderMap, budget: &Budget) {
    const SECONDS_A_DAY: u32 = 86_400;
    let Some(limit) = budget.limit else { return };
    let (remaining, reset_s) = (budget.remaining, budget.reset_s);
    headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(limit));
    headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(remaining));
    headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(reset_s));
    let structured = [
        ("ratelimit-policy", format!("\"day\";q={limit};w={SECONDS_A_DAY}")),
        ("ratelimit", format!("\"day\";r={remaining};t={reset_s}")),
    ];
    for (name, value) in structured {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
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
            return Err(ApiError::forbidden(format!(
                "Your key's role is '{}', which does not allow this: use a key with the role 'writer' or 'admin'",
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
        let prefix = PathParameters::of(parts).get("prefix")?;
        let warehouse = api.catalog.warehouse(caller.organisation(), prefix.as_deref()).await?;
        let once = parts.extensions.get::<Once>().cloned().unwrap_or_default();
        Ok(Self { caller, warehouse, once, permission: PhantomData })
    }
}
