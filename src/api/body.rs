//! Reads request bodies, with a limit on their size, and query parameters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Uri;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use serde::de::DeserializeOwned;
use tidewater_core::commit::CommitError;
use tidewater_core::request_limits::RequestKind;
use tokio::time::Sleep;
use uuid::Uuid;

use super::Api;
use super::error::ApiError;
use super::unpack::{Packing, gunzip};
use crate::auth::Caller;
use crate::catalog::CatalogError;
use crate::heavy::{Heavy, INLINE_BYTES, Permit};

/// A whole request body of at most the configured size, unpacked.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// The organisation that its work counts for.
    owner: Uuid,
    /// Its reserved memory, if it is large.
    reserved: Option<Reserved>,
}

/// Memory that is reserved for a body until its request is answered. A request with an idempotency key passes it to its
/// handler in the extensions.
#[derive(Clone)]
pub(super) struct Reserved(#[expect(dead_code, reason = "it is held, not read")] Arc<Permit>);

impl Body {
    /// Replaces the bytes.
    pub(super) fn with_bytes(self, bytes: Bytes) -> Self {
        Self { bytes, ..self }
    }

    /// Returns the memory that is reserved for it.
    pub(super) fn reserved(&self) -> Option<Reserved> {
        self.reserved.clone()
    }

    /// Returns the organisation that its work counts for.
    pub(super) const fn owner(&self) -> Uuid {
        self.owner
    }

    /// Checks the body against the limits of its kind, then parses it with `parse`. Uses a worker for a large body.
    ///
    /// # Errors
    /// 400 if the body exceeds a limit or cannot be parsed; 503 if no worker finishes in time.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        api: &Api,
        kind: RequestKind,
        parse: impl FnOnce(&[u8]) -> Result<T, CommitError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.read(api, kind, |bytes| parse(bytes).map_err(|error| CatalogError::from(error).into())).await
    }

    /// Parses the body as a JSON object.
    ///
    /// # Errors
    /// 400 with the position of the error. Text that is not UTF-8 is refused even in unknown fields.
    pub(super) async fn json<T: DeserializeOwned + Send + 'static>(
        &self,
        api: &Api,
        kind: RequestKind,
    ) -> Result<T, ApiError> {
        self.read(api, kind, json_object).await
    }

    /// Checks the body against the limits of its kind, then reads it with `parse`. Uses a worker for a large body.
    ///
    /// # Errors
    /// 400 if the body exceeds a limit; 503 if no worker finishes in time; those of `parse`.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        api: &Api,
        kind: RequestKind,
        parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (limits, bytes) = (api.limits, self.bytes.clone());
        let read = move || {
            limits.check(kind, &bytes).map_err(|exceeded| ApiError::bad_request(exceeded.to_string()))?;
            parse(&bytes)
        };
        api.heavy.run(self.owner, self.bytes.len() as u64, read).await?
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// 400 with the position of the error, if it is not UTF-8.
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        text(&self.bytes)
    }
}

/// The most characters of the path of a field that a message repeats.
const MOST_PATH_CHARS: usize = 200;

fn json_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Derived deserializers also accept an array with the fields in order. The specification has no body of that form.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::bad_request("Invalid request body: it must be a JSON object, not an array"));
    }
    let text = text(bytes)?;
    serde_json::from_str(text).map_err(|error| {
        let field = field_of_error::<T>(text).map(|field| format!("`{field}`: ")).unwrap_or_default();
        ApiError::bad_request(format!("Invalid request body: {field}{error}"))
    })
}

/// Returns the path of the field with a wrong value, such as `filters[2].name`. Reads the body again, because the path costs time.
fn field_of_error<T: DeserializeOwned>(text: &str) -> Option<String> {
    let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(text));
    let path = read.err()?.path().to_string();
    (path != "." && !path.contains('?')).then(|| path.chars().take(MOST_PATH_CHARS).collect())
}

fn text(bytes: &[u8]) -> Result<&str, ApiError> {
    let not_text = |error| ApiError::bad_request(format!("Invalid request body: it is not UTF-8: {error}"));
    std::str::from_utf8(bytes).map_err(not_text)
}

impl Body {
    /// Receives a request's body. Waits for memory before it receives the rest of a large body.
    ///
    /// # Errors
    /// 413 if it has more than `limit` bytes, packed or unpacked; 408, 415 or 400 if it cannot be read; 503 if no memory is
    /// free in time.
    pub(super) async fn receive(request: Request, api: &Api, limit: usize) -> Result<Self, ApiError> {
        let caller = request.extensions().get::<Arc<Caller>>();
        let owner = caller.map_or(Uuid::nil(), |caller| caller.organisation().0);
        let declared =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|declared| declared > limit) {
            return Err(ApiError::too_large(limit));
        }
        let packing = Packing::from_headers(request.headers())?;
        let reserved = request.extensions().get::<Reserved>().cloned();
        let mut memory = BodyMemory { bodies: &api.bodies, owner, limit, declared, reserved };
        let received = collect(request.into_body(), api.body_timeout, &mut memory).await?;
        let bytes = match packing {
            Packing::Plain => received,
            Packing::Gzip => {
                // The unpacked size that the body declares (RFC 1952, ISIZE). It may be wrong.
                let said = received.last_chunk().map_or(0, |size| u32::from_le_bytes(*size)) as usize;
                let size = said.clamp(received.len().min(limit), limit);
                memory.reserve(size).await?;
                let mut unpacked = gunzip(&api.heavy, owner, received.clone(), size).await?;
                if unpacked.is_none() && size < limit {
                    memory.reserve_instead(limit).await?;
                    unpacked = gunzip(&api.heavy, owner, received, limit).await?;
                }
                unpacked.ok_or_else(|| ApiError::too_large(limit))?
            }
        };
        Ok(Self { bytes, owner, reserved: memory.reserved })
    }
}

impl FromRequest<Arc<Api>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        Self::receive(request, api, api.settings.max_body_bytes).await
    }
}

/// The longest accepted form, in bytes. A form with two tokens has less than 2 KiB, and anybody can send one.
const MAX_FORM_BYTES: usize = 64 << 10;

/// A body of a request without authentication.
pub(super) struct Form(pub(super) Bytes);

impl FromRequest<Arc<Api>> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let limit = api.settings.max_body_bytes.min(MAX_FORM_BYTES);
        Body::receive(request, api, limit).await.map(|body| Self(body.bytes))
    }
}

/// Reserves memory for a body while it is received.
struct BodyMemory<'a> {
    bodies: &'a Heavy,
    owner: Uuid,
    limit: usize,
    declared: Option<usize>,
    reserved: Option<Reserved>,
}

impl BodyMemory<'_> {
    /// Reserves memory for a body of `size` bytes if it is large and nothing is reserved yet.
    async fn reserve(&mut self, size: usize) -> Result<(), ApiError> {
        if size as u64 >= INLINE_BYTES && self.reserved.is_none() {
            let permit = self.bodies.reserve(self.owner, size as u64).await?;
            self.reserved = Some(Reserved(Arc::new(permit)));
        }
        Ok(())
    }

    /// Reserves memory for a body that is larger than it declared. Releases its reserved memory first, so that two bodies
    /// never wait for each other.
    async fn reserve_instead(&mut self, size: usize) -> Result<(), ApiError> {
        self.reserved = None;
        self.reserve(size).await
    }
}

/// Reads a whole body. Fails if it pauses for longer than `pause`.
async fn collect(body: HttpBody, pause: Duration, memory: &mut BodyMemory<'_>) -> Result<Bytes, ApiError> {
    let mut body = PauseLimited { body, pause, paused: None };
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<Paused>() {
            true => ApiError::body_paused(pause),
            false => ApiError::bad_request(format!("The request body did not arrive whole: {error}")),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if received.is_empty() && memory.declared == Some(data.len()) {
            // The whole body in one frame: no copy needed.
            return Ok(data);
        }
        let size = received.len() + data.len();
        if size > memory.limit {
            return Err(ApiError::too_large(memory.limit));
        }
        if size as u64 >= INLINE_BYTES && memory.reserved.is_none() {
            // A body without a declared length may grow up to the limit.
            memory.reserve(memory.declared.unwrap_or(memory.limit)).await?;
            received.reserve(memory.declared.unwrap_or(size).saturating_sub(received.len()));
        }
        received.extend_from_slice(&data);
    }
    Ok(received.freeze())
}

/// A body that fails if no data arrives for the time `pause`.
struct PauseLimited {
    body: HttpBody,
    pause: Duration,
    /// The timer of the current pause.
    paused: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the body paused for too long")]
struct Paused;

impl hyper::body::Body for PauseLimited {
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

/// The start of axum's message about query parameters.
const QUERY_ERROR: &str = "Failed to deserialize query string: ";

/// The query parameters of a URL.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::from_uri(&parts.uri)
    }
}

impl<T: DeserializeOwned> Parameters<T> {
    /// Parses the query parameters of a URL.
    ///
    /// # Errors
    /// 400 if they cannot be parsed.
    pub(super) fn from_uri(uri: &Uri) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(uri);
        read.map(|Query(parameters)| Self(parameters)).map_err(|error| {
            let text = error.body_text();
            let reason = text.strip_prefix(QUERY_ERROR).unwrap_or(&text);
            ApiError::bad_request(format!("Invalid query parameters: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    /// Returns a body whose pieces arrive after these numbers of seconds each.
    fn slow(after_s: &'static [u64]) -> HttpBody {
        HttpBody::from_stream(stream::unfold(after_s, |left| async move {
            let (first, rest) = left.split_first()?;
            tokio::time::sleep(Duration::from_secs(*first)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x")), rest))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_accepted_and_paused_body_is_refused() {
        let bodies = Heavy::default();
        let mut memory = BodyMemory { bodies: &bodies, owner: Uuid::nil(), limit: 100, declared: None, reserved: None };
        assert_eq!(collect(slow(&[9; 20]), PAUSE, &mut memory).await.unwrap(), "x".repeat(20));
        let begun = tokio::time::Instant::now();
        let refused = collect(slow(&[0, 0, 11]), PAUSE, &mut memory).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert_eq!(axum::response::IntoResponse::into_response(refused).status(), 408);
        let refused = collect(slow(&[0; 101]), PAUSE, &mut memory).await.unwrap_err();
        assert_eq!(axum::response::IntoResponse::into_response(refused).status(), 413);
    }
}
