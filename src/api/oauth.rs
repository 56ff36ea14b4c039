//! `POST /v1/oauth/tokens`: exchanges an API key for a token. Errors have OAuth's shape (RFC 6749, 5.2), not Iceberg's.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::admission;
use super::audit_marks::{Refusal, SignedIn};
use super::body::Form;
use super::error::{ApiError, cut};
use super::permission::source_of;
use super::request_log::RequestFacts;
use crate::auth::{Identity, OAuthError, OAuthErrorKind, SignIn};

/// Issues a token for a key, or a new token for an old one.
pub(super) async fn token(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    facts: Option<Extension<Arc<RequestFacts>>>,
    extensions: Extensions,
    body: Result<Form, ApiError>,
) -> Response {
    let body = match body {
        Ok(Form(body)) => body,
        Err(error) => return error.into_response(),
    };
    let Ok(authorization) = admission::authorization(&headers) else {
        let description = "a request can have one Authorization header, not several";
        return refusal(&OAuthError::new(OAuthErrorKind::InvalidRequest, description));
    };
    let request = SignIn {
        query: query.as_deref(),
        content_type: headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
        authorization,
        body: &body,
        source: source_of(&extensions),
    };
    let mut response = match api.authenticator.sign_in(request).await {
        Ok(token) => {
            if let Some(Extension(facts)) = facts {
                match &token.identity {
                    Identity::Key(caller) => {
                        facts.caller(Arc::clone(caller));
                    }
                    Identity::Operator(operator) => facts.operator(Arc::clone(operator)),
                }
            }
            let signed_in = SignedIn { method: token.method, scope: token.scope.clone() };
            let mut response = Json(token).into_response();
            response.extensions_mut().insert(signed_in);
            response
        }
        Err(error) => refusal(&error),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(error: &OAuthError) -> Response {
    let status = match error.kind {
        OAuthErrorKind::InvalidClient => StatusCode::UNAUTHORIZED,
        OAuthErrorKind::TooManyGuesses { .. } => StatusCode::TOO_MANY_REQUESTS,
        OAuthErrorKind::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        OAuthErrorKind::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = json!({ "error": error.kind.as_str(), "error_description": cut(&error.description) });
    let mut response = (status, Json(body)).into_response();
    response.extensions_mut().insert(Refusal::of_sign_in(error));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tidewater\""));
    }
    if let OAuthErrorKind::TooManyGuesses { retry_after_s } = error.kind {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    }
    response
}
