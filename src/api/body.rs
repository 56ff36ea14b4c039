//! What a request carries beside its path: a body, bounded and read as JSON, and the parameters behind the `?`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Uri;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, SizeHint};
use serde::de::DeserializeOwned;
use tokio::time::Sleep;

use super::Api;
use super::error::ApiError;
use super::unpack::{Packing, gunzip};

/// A whole request body of at most the configured size, unpacked.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 413 when it has more than `limit` bytes, as it is sent or unpacked; 408, 415 and 400 when it cannot be read.
    async fn read(request: Request, api: &Api, limit: usize) -> Result<Self, ApiError> {
        let declared =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|declared| declared > limit) {
            return Err(ApiError::too_large(limit));
        }
        let packing = Packing::of(request.headers())?;
        let body = collect(request.into_body(), limit, api.body_timeout).await?;
        match packing {
            Packing::Plain => Ok(Self(body)),
            Packing::Gzip => gunzip(body, limit).await.map(Self),
        }
    }

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
        Self::read(request, api, api.settings.max_body_bytes).await
    }
}

/// The longest form that is read, in bytes: one with two tokens has less than two KiB, and anybody can send one.
const MAX_FORM_BYTES: usize = 64 << 10;

/// A body from somebody who need not be signed in.
pub(super) struct Form(pub(super) Bytes);

impl FromRequest<Arc<Api>> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let limit = api.settings.max_body_bytes.min(MAX_FORM_BYTES);
        Body::read(request, api, limit).await.map(|Body(bytes)| Self(bytes))
    }
}

/// Reads a body whole, as long as it never pauses for longer than `pause`.
async fn collect(body: HttpBody, limit: usize, pause: Duration) -> Result<Bytes, ApiError> {
    match Limited::new(Steady { body, pause, paused: None }, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
        Err(error) if error.is::<Paused>() => Err(ApiError::body_paused(pause)),
        Err(error) => Err(ApiError::bad_request(format!("The request body did not arrive whole: {error}"))),
    }
}

/// A body that fails when nothing of it comes for some time.
struct Steady {
    body: HttpBody,
    pause: Duration,
    /// There while it is waited for.
    paused: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the body paused for too long")]
struct Paused;

impl hyper::body::Body for Steady {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.paused = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let pause = self.pause;
        let paused = self.paused.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        paused.as_mut().poll(context).map(|()| Some(Err(Paused.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    /// A body whose pieces come after so many seconds each.
    fn slow(after_s: &'static [u64]) -> HttpBody {
        HttpBody::from_stream(stream::unfold(after_s, |left| async move {
            let (first, rest) = left.split_first()?;
            tokio::time::sleep(Duration::from_secs(*first)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x")), rest))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_read_and_one_that_pauses_is_refused() {
        assert_eq!(collect(slow(&[9; 20]), 100, PAUSE).await.unwrap(), "x".repeat(20));
        let begun = tokio::time::Instant::now();
        let refused = collect(slow(&[0, 0, 11]), 100, PAUSE).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert_eq!(axum::response::IntoResponse::into_response(refused).status(), 408);
        let refused = collect(slow(&[0; 101]), 100, PAUSE).await.unwrap_err();
        assert_eq!(axum::response::IntoResponse::into_response(refused).status(), 413);
    }
}
