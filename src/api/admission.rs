//! Admission: authenticates the caller and counts the request against its limits, before any handler runs.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use super::idempotency;
use super::limit_headers::{self, BudgetHeaders};
use super::permission::{renewal_of, source_of};
use super::request_log::{self, RequestFacts};
use crate::auth::{Caller, CredentialSource};
use crate::tenancy::quota::{Budget, Quota, QuotaError};

/// Passes on an authenticated request within its organisation's limits. Adds the remaining budget to the answer.
pub(super) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let (facts, now_ms) = (note_route(&request).map(AsRef::as_ref), api.clock.now_ms());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("", MatchedPath::as_str);
    let check = if decides_after_read(request.method(), route) { Check::Cached } else { Check::Confirmed };
    let source = source_of(request.extensions());
    let admitted = match admit(&api, request.headers(), facts, (source, check), now_ms).await {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let Admitted { caller, left } = admitted;
    if let Some(facts) = request_log::facts(request.extensions()) {
        facts.caller(Arc::clone(&caller));
    }
    request.extensions_mut().insert(Arc::clone(&caller));
    insert_renewal(&api, &mut request);
    let response = match plans_scans(route) {
        true => next.run(request).await,
        false => idempotency::once(&api, &caller, request, next).await,
    };
    left.add_to(response)
}

/// How a caller is checked at admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// From memory. The route reads its object from the store before it decides or changes anything, and this read finds the changes of
    /// other servers.
    Cached,
    /// From memory, after the changes of other servers are counted.
    Confirmed,
}

/// Returns whether a route reads its object first, and decides with what that read found ([`super::permission::Scope::decided`]).
fn decides_after_read(method: &Method, route: &str) -> bool {
    // The load of a table is in `direct.rs`. The router has it for unusual paths.
    let is_change_of_table = route.ends_with("/tables/{table}") && *method != Method::GET;
    let others = ["/tables/{table}/credentials", "/tables/{table}/metrics", "/views/{view}", "/transactions/commit"];
    is_change_of_table || plans_scans(route) || others.iter().any(|end| route.ends_with(end))
}

/// Returns whether a route plans a scan. It changes nothing, so it ignores the header `Idempotency-Key`, where clients send any UUID, and a
/// repeated request is answered anew. It also ends with its client, and a request with a key does not.
fn plans_scans(route: &str) -> bool {
    let ends = ["/tables/{table}/plan", "/tables/{table}/plan/{plan-id}", "/tables/{table}/tasks"];
    ends.iter().any(|end| route.ends_with(end))
}

/// Passes on a request that needs no key. Records its route.
pub(super) async fn note(request: Request, next: Next) -> Response {
    note_route(&request);
    next.run(request).await
}

/// Records a request's route for the log. Returns the record for more facts.
pub(super) fn note_route(request: &Request) -> Option<&Arc<RequestFacts>> {
    let facts = request_log::facts(request.extensions())?;
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        facts.matched(route);
    }
    Some(facts)
}

/// Returns a request's `Authorization` header, if it has one.
///
/// # Errors
/// 400 if there are several: a proxy may have checked another one.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => {
            let error = ApiError::bad_request("A request can have one Authorization header, not several");
            Err(error.refused("several-credentials"))
        }
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

/// The caller of a request that was counted and may be served.
pub(super) struct Admitted {
    pub(super) caller: Arc<Caller>,
    pub(super) left: BudgetHeaders,
}

/// Authenticates a request from `source` at `now_ms`, and counts it.
/// If the request exceeds a limit, records its caller in `facts`.
///
/// # Errors
/// The answer to a request without valid credentials, or beyond its organisation's limits.
pub(super) async fn admit(
    api: &Api,
    headers: &HeaderMap,
    facts: Option<&RequestFacts>,
    (source, check): (CredentialSource<'_>, Check),
    now_ms: i64,
) -> Result<Admitted, Box<Response>> {
    let refuse = |error: ApiError| Box::new(error.into_response());
    let authorization = authorization(headers).map_err(refuse)?;
    let caller = match check {
        Check::Cached => api.authenticator.authenticate_again(authorization, source, now_ms).await,
        Check::Confirmed => Box::pin(api.authenticator.authenticate_confirmed(authorization, source, now_ms)).await,
    };
    let caller = caller.map_err(|error| refuse(error.into()))?;
    let charged = charge(api, &caller, now_ms).await;
    if let (Err(_), Some(facts)) = (&charged, facts) {
        facts.caller(Arc::clone(&caller));
    }
    charged.map(|left| Admitted { caller, left })
}

/// Counts a request at `now_ms` against the limits of its caller and organisation.
///
/// # Errors
/// The answer to a request beyond the limits.
pub(super) async fn charge(api: &Api, caller: &Caller, now_ms: i64) -> Result<BudgetHeaders, Box<Response>> {
    let form = api.settings.limit_headers;
    let refuse = |error: ApiError| Box::new(error.into_response());
    match api.quota.charge(caller, now_ms).await {
        Ok(budget) => Ok(BudgetHeaders::new(budget, form)),
        Err(QuotaError::LimitExceeded(limit)) => {
            let spent = Budget { limit: Some(limit.limit), remaining: 0, reset_s: limit.retry_after_s };
            Err(Box::new(BudgetHeaders::new(spent, form).add_to(*refuse(QuotaError::LimitExceeded(limit).into()))))
        }
        Err(QuotaError::TooFast(fast)) => {
            Err(Box::new(limit_headers::add_burst(*refuse(QuotaError::TooFast(fast).into()), &fast, form)))
        }
        Err(error) => Err(refuse(error.into())),
    }
}

/// Passes on an authenticated request without counting it: it replaces a request to storage. Limits the rate of each key.
pub(super) async fn authenticate_uncounted(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let facts = note_route(&request);
    let authorization = match authorization(request.headers()) {
        Ok(authorization) => authorization,
        Err(error) => return error.into_response(),
    };
    let caller = match api.authenticator.authenticate(authorization, source_of(request.extensions())).await {
        Ok(caller) => caller,
        Err(error) => return ApiError::from(error).into_response(),
    };
    if let Some(facts) = facts {
        facts.caller(Arc::clone(&caller));
    }
    if let Err(error) = Quota::admit(&caller) {
        return ApiError::from(error).into_response();
    }
    if let Err(error) = api.signatures.wait(caller.key()).await {
        return ApiError::from(error).into_response();
    }
    request.extensions_mut().insert(caller);
    insert_renewal(&api, &mut request);
    next.run(request).await
}

/// Adds to an admitted request how its caller is authenticated again.
fn insert_renewal(api: &Api, request: &mut Request) {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let renewal = renewal_of(api, authorization, request.extensions());
    request.extensions_mut().insert(renewal);
}
