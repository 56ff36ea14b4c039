//! Handles the unread rest of a request's body after the answer.
//!
//! A refusal is often decided before the body is read. The server can then read the rest, so that the connection can serve
//! the next request, or announce the end of the connection. An unannounced end would fail the client's next request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

/// How much of an unread body is read to keep the connection, in bytes.
const READ_ON_BYTES: usize = 256 * 1024;

/// How long an unread body is read. A client that waits for the answer before it sends the body gets it after this time.
const READ_ON_FOR: Duration = Duration::from_millis(250);

/// Receives the body of a request that was not read to its end.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<Body>>>);

impl Leftover {
    /// Watches a request's body. Returns `None` for an empty body.
    pub(super) fn watch(request: Request<Body>) -> (Request<Body>, Option<Self>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let leftover = Self::default();
        let watched = request.map(|body| Body::new(Watched { body: Some(body), leftover: leftover.clone() }));
        (watched, Some(leftover))
    }

    /// Reads the rest of the body, or announces in the answer that the connection ends.
    pub(super) async fn drain_or_close(self, response: &mut Response) {
        let left = self.0.lock().take();
        let Some(body) = left else { return };
        if !tokio::time::timeout(READ_ON_FOR, ends_soon(body)).await.unwrap_or(false) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads a body. Returns whether it ends within [`READ_ON_BYTES`].
async fn ends_soon(mut body: Body) -> bool {
    let mut read_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read_bytes += frame.data_ref().map_or(0, Bytes::len);
        if read_bytes > READ_ON_BYTES {
            return false;
        }
    }
    true
}

struct Watched {
    /// The body. Only a drop takes it.
    body: Option<Body>,
    leftover: Leftover,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.leftover.0.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}
