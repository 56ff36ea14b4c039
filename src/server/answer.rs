//! The body of an answer, with a record of the client's progress.
//!
//! Over HTTP/1 the stream itself shows whether a client reads. Over HTTP/2 a client can leave one answer unread and still read
//! others. There, an answer is sent in pieces, each when the client has room for it. Each piece is recorded as progress.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::Version;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::activity::{self, Activity};

/// The size of a piece over HTTP/2, in bytes: the usual window of a client.
const PIECE_BYTES: usize = 64 << 10;

/// The body of an answer.
pub(super) enum AnswerBody {
    /// Sent unchanged.
    Plain(Body),
    /// Sent in pieces that count as progress.
    Watched(Pieces),
}

/// A body in pieces.
pub(super) struct Pieces {
    body: Body,
    /// The rest of the body's last frame.
    rest: Bytes,
    passed_on: activity::Answer,
}

impl AnswerBody {
    /// Wraps the body of an answer to a request of that HTTP version. Records progress over HTTP/2.
    pub(super) fn watch(response: Response, version: Version, activity: &Arc<Activity>) -> hyper::Response<Self> {
        response.map(|body| {
            if version != Version::HTTP_2 || body.is_end_stream() {
                return Self::Plain(body);
            }
            Self::Watched(Pieces { body, rest: Bytes::new(), passed_on: activity.begin_answer() })
        })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Plain(body) => Pin::new(body).poll_frame(context),
            Self::Watched(pieces) => pieces.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Watched(pieces) => pieces.rest.is_empty() && pieces.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Watched(pieces) => pieces.size_hint(),
        }
    }
}

impl Pieces {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.passed_on.note_progress();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        // Set the upper bound first: it must never be below the lower.
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(body.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn answer_over_http_2_comes_in_pieces_and_whole() {
        let activity = Arc::new(Activity::new());
        let text = b"0123456789a".repeat(PIECE_BYTES / 5);
        let response = Response::new(Body::from(text.clone()));
        let mut body = AnswerBody::watch(response, Version::HTTP_2, &activity).into_body();
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(activity.is_busy());
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= PIECE_BYTES);
            read.extend_from_slice(&data);
            assert_eq!(body.size_hint().exact(), Some((text.len() - read.len()) as u64));
            assert_eq!(body.is_end_stream(), read.len() == text.len());
        }
        assert_eq!(read, text);
        drop(body);
        assert!(!activity.is_busy());
    }

    #[tokio::test]
    async fn answer_over_http_1_is_sent_unchanged() {
        let activity = Arc::new(Activity::new());
        let body = AnswerBody::watch(Response::new(Body::from("x")), Version::HTTP_11, &activity).into_body();
        assert!(!activity.is_busy());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
    }
}
