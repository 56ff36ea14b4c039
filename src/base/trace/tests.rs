//! Sampling, parents, headers and the bounds of the queue.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use tokio::sync::mpsc;

use super::*;
use crate::base::clock::Clock;

const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(per_million: u32) -> (Arc<Tracer>, mpsc::Receiver<EndedSpan>) {
    Tracer::new(Sampling { per_million, from_clients: true, failures: false }, 64, Clock::System)
}

fn headers(parent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, parent.parse().unwrap());
    headers.insert(TRACESTATE, HeaderValue::from_static("vendor=value"));
    headers
}

fn sampled(received: Option<Received>) -> Span {
    match received {
        Some(Received::Sampled(span)) => span,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sampled_request_of_a_client_continues_its_trace() {
    let (tracer, mut ended) = tracer(0);
    let request = sampled(tracer.receive(&headers(CLIENT), Instant::now()));
    let mut sent = HeaderMap::new();
    let work = async {
        let inner = span("inner", Kind::Client);
        scope(inner.as_ref().map(|span| span.context().clone()), async { add_headers(&mut sent) }).await;
        inner.unwrap().end();
    };
    scope(Some(request.context().clone()), work).await;
    request.end();
    let (inner, request) = (ended.recv().await.unwrap(), ended.recv().await.unwrap());
    assert_eq!(request.parent(), Some(0xb7ad_6b71_6920_3331));
    assert!(request.has_remote_parent() && !inner.has_remote_parent());
    assert_eq!(inner.parent(), Some(request.span_id()));
    assert_eq!((inner.trace_id(), request.trace_id()), (request.trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
    assert_eq!(sent[TRACEPARENT], format!("00-{:032x}-{:016x}-01", inner.trace_id(), inner.span_id()));
    assert_eq!(sent[TRACESTATE], "vendor=value");
    let (began, ended) = request.times_ns();
    assert!(began < ended && inner.times_ns().0 >= began && inner.times_ns().1 <= ended);
}

#[tokio::test]
async fn unsampled_trace_of_a_client_is_passed_on_and_not_recorded() {
    let (tracer, mut ended) = tracer(1_000_000);
    let not_sampled = CLIENT.replace("-01", "-00");
    let Some(Received::Forwarded(context)) = tracer.receive(&headers(&not_sampled), Instant::now()) else { panic!() };
    let mut sent = HeaderMap::new();
    scope(Some(context), async {
        assert!(span("inner", Kind::Internal).is_none());
        add_headers(&mut sent);
    })
    .await;
    assert_eq!(sent[TRACEPARENT], not_sampled);
    assert!(ended.try_recv().is_err());
}

#[test]
fn invalid_or_repeated_parent_begins_a_new_trace() {
    let (tracer, _ended) = tracer(1_000_000);
    let mut twice = headers(CLIENT);
    twice.append(TRACEPARENT, CLIENT.parse().unwrap());
    for headers in [headers("00-zz"), twice, HeaderMap::new()] {
        let span = sampled(tracer.receive(&headers, Instant::now()));
        assert_ne!(span.context().ids().trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.context().ids().trace_id().to_string().len(), 32);
    }
}

#[test]
fn share_of_sampled_requests_is_the_ratio() {
    let (tracer, _ended) = tracer(250_000);
    let sampled = (0..10_000).filter(|_| tracer.receive(&HeaderMap::new(), Instant::now()).is_some()).count();
    assert!((2_200..2_800).contains(&sampled), "{sampled}");
    let (none, _ended) =
        Tracer::new(Sampling { per_million: 0, from_clients: false, failures: false }, 64, Clock::System);
    assert!(none.receive(&headers(CLIENT), Instant::now()).is_none());
}

#[tokio::test]
async fn work_outside_of_a_trace_has_no_spans() {
    assert!(span("inner", Kind::Internal).is_none() && current().is_none() && ids().is_none());
    let mut sent = HeaderMap::new();
    add_headers(&mut sent);
    assert!(sent.is_empty());
}

#[test]
fn spans_beyond_the_queue_are_dropped_and_counted() {
    let (tracer, mut ended) = tracer(1_000_000);
    for _ in 0..100 {
        sampled(tracer.receive(&HeaderMap::new(), Instant::now())).end();
    }
    assert_eq!(tracer.dropped().get(), 36);
    assert_eq!(std::iter::from_fn(|| ended.try_recv().ok()).count(), 64);
}

#[test]
fn spans_of_a_trace_are_bounded() {
    let (tracer, _ended) =
        Tracer::new(Sampling { per_million: 1_000_000, from_clients: false, failures: false }, 10_000, Clock::System);
    let request = sampled(tracer.receive(&HeaderMap::new(), Instant::now()));
    let begun = (0..5_000).filter_map(|_| request.context().span("inner", Kind::Internal)).count();
    assert_eq!((begun, tracer.dropped().get()), (1_000, 4_000));
}

#[test]
fn dropped_span_ends_as_cancelled() {
    let (tracer, mut ended) = tracer(1_000_000);
    drop(sampled(tracer.receive(&HeaderMap::new(), Instant::now())));
    let span = ended.try_recv().unwrap();
    let mut kinds = Vec::new();
    span.attributes(|key, value| kinds.push((key, value.clone())));
    assert_eq!(kinds, [("error.type", Value::from("cancelled"))]);
    assert!(span.has_failed());
}
