//! An answer that is sent while it is made: a bounded channel between the scan and the body.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use super::error::PlanError;

/// How many parts may wait for a slow client.
const WAITING: usize = 2;

/// The answer ended early. Its client must not take it for a whole one.
#[derive(Debug, thiserror::Error)]
#[error("the answer ended early: {0}")]
pub struct Broken(String);

/// One part of an answer, or its end.
enum Part {
    Bytes(Bytes),
    End,
}

/// The parts of an answer, in order. If the scan fails or stops, the last item is an error.
#[derive(Debug)]
pub struct Parts {
    first: Option<Bytes>,
    receiver: mpsc::Receiver<Result<Part, Broken>>,
    ended: bool,
}

/// Where a scan puts the parts of its answer.
pub(super) struct Sink(mpsc::Sender<Result<Part, Broken>>);

/// The client has departed.
pub(super) struct Departed;

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::End => f.write_str("End"),
        }
    }
}

/// Creates the parts of an answer that begins with `first`, and the sink for the others.
pub(super) fn channel(first: Bytes) -> (Sink, Parts) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Sink(sender), Parts { first: Some(first), receiver, ended: false })
}

impl Sink {
    /// Waits until the client departs.
    pub(super) async fn departed(&self) {
        self.0.closed().await;
    }

    /// Sends a part. Waits while the client is slow.
    ///
    /// # Errors
    /// Fails if the client has departed.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), Departed> {
        self.0.send(Ok(Part::Bytes(bytes))).await.map_err(|_| Departed)
    }

    /// Ends the answer. Without this, it ends with an error.
    ///
    /// # Errors
    /// Fails if the client has departed.
    pub(super) async fn end(self) -> Result<(), Departed> {
        self.0.send(Ok(Part::End)).await.map_err(|_| Departed)
    }

    /// Ends the answer with an error, if the client waits for its next part.
    pub(super) fn fail(self, error: &PlanError) {
        // Without room for it, the missing end is the error.
        drop(self.0.try_send(Err(Broken(error.to_string()))));
    }
}

impl Stream for Parts {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(received) = self.receiver.poll_recv(context) else { return Poll::Pending };
        match received {
            Some(Ok(Part::Bytes(bytes))) => Poll::Ready(Some(Ok(bytes))),
            Some(Ok(Part::End)) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Err(broken)) => {
                self.ended = true;
                Poll::Ready(Some(Err(broken)))
            }
            None => {
                self.ended = true;
                Poll::Ready(Some(Err(Broken("the scan stopped".to_owned()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    async fn collected(parts: Parts) -> Vec<Result<Vec<u8>, String>> {
        parts.map(|part| part.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())).collect().await
    }

    #[tokio::test]
    async fn ended_answer_has_all_parts() {
        let (sink, parts) = channel(Bytes::from("a"));
        assert!(sink.send(Bytes::from("b")).await.is_ok());
        assert!(sink.end().await.is_ok());
        assert_eq!(collected(parts).await, [Ok(b"a".to_vec()), Ok(b"b".to_vec())]);
    }

    #[tokio::test]
    async fn answer_without_an_end_fails() {
        let (sink, parts) = channel(Bytes::from("a"));
        drop(sink);
        assert_eq!(
            collected(parts).await,
            [Ok(b"a".to_vec()), Err("the answer ended early: the scan stopped".to_owned())]
        );
        let (sink, parts) = channel(Bytes::from("a"));
        sink.fail(&PlanError::Unsupported("x".to_owned()));
        let [_, Err(error)] = &collected(parts).await[..] else { panic!("no error") };
        assert!(error.contains("ended early: x."), "{error}");
    }

    #[tokio::test]
    async fn failure_of_a_slow_clients_answer_is_an_error_after_the_waiting_parts() {
        let (sink, parts) = channel(Bytes::from("a"));
        for _ in 0..WAITING {
            assert!(sink.send(Bytes::from("b")).await.is_ok());
        }
        sink.fail(&PlanError::NoSuchTask);
        let parts = collected(parts).await;
        assert_eq!((parts.len(), parts[WAITING + 1].is_err()), (WAITING + 2, true));
    }

    #[tokio::test]
    async fn departed_client_stops_the_scan() {
        let (sink, parts) = channel(Bytes::from("a"));
        drop(parts);
        sink.departed().await;
        assert!(sink.send(Bytes::from("b")).await.is_err());
    }
}
