//! What a request carries beside its path: a body, bounded and read as JSON, and the parameters behind the `?`.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Uri;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Api;
use super::error::ApiError;

/// A whole request body of at most the configured size.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    /// The body as a JSON object of that form.
    ///
    /// # Errors
    /// 400, with the place where it is not; also for text that is not UTF-8 in a field that is passed over.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // A derived reader also takes an array, field by field; the specification knows no such body.
        if self.0.trim_ascii_start().first() == Some(&b'[') {
            return Err(ApiError::bad_request("Invalid request body: it must be a JSON object, not an array"));
        }
        serde_json::from_str(self.text()?)
            .map_err(|error| ApiError::bad_request(format!("Invalid request body: {error}")))
    }

    /// The body as text.
    ///
    /// # Errors
    /// 400 when it is not UTF-8, with the place where it is not.
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        let not_text = |error| ApiError::bad_request(format!("Invalid request body: it is not UTF-8: {error}"));
        std::str::from_utf8(&self.0).map_err(not_text)
    }
}

impl FromRequest<Arc<Api>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let limit = api.settings.max_body_bytes;
        let declared =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|declared| declared > limit) {
            return Err(ApiError::too_large(limit));
        }
        match Limited::new(request.into_body(), limit).collect().await {
            Ok(collected) => Ok(Self(collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
            Err(error) => Err(ApiError::bad_request(format!("The request body did not arrive whole: {error}"))),
        }
    }
}

/// The parameters behind the `?` of a URL.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}

impl<T: DeserializeOwned> Parameters<T> {
    /// Those of a URL.
    ///
    /// # Errors
    /// 400 when they cannot be read.
    pub(super) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(uri);
        read.map(|Query(parameters)| Self(parameters)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}
