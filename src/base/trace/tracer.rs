//! Decides which work is traced, and queues the spans for their export.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::context::{Context, EndedSpan, Queue, Span, Trace};
use super::header::{Parent, RANDOM, SAMPLED, TRACEPARENT, TRACESTATE};
use super::value::Kind;
use crate::base::clock::Clock;

/// The most bytes of a client's `tracestate` that are passed on. The specification asks for at least 512.
const MAX_STATE_BYTES: usize = 1_024;

/// Which work is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// How many of a million traces that begin here are recorded.
    pub per_million: u32,
    /// Whether a client's trace is continued, with its decision.
    pub from_clients: bool,
    /// Whether a request that fails with a status of 500 or above is recorded although it was not sampled.
    pub failures: bool,
}

/// A request that takes part in a trace.
#[derive(Debug)]
pub enum Received {
    /// It is recorded.
    Sampled(Span),
    /// Its client does not record it. The trace is only passed on.
    Forwarded(Context),
}

/// Decides which work is traced, and queues its spans.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    clock: Clock,
    queue: Arc<Queue>,
}

impl Tracer {
    /// Creates a tracer, and the end of its queue of at most `queue` spans.
    #[must_use]
    pub fn new(sampling: Sampling, queue: usize, clock: Clock) -> (Arc<Self>, mpsc::Receiver<EndedSpan>) {
        let (queue, receiver) = Queue::new(queue);
        (Arc::new(Self { sampling, clock, queue }), receiver)
    }

    /// Returns the number of dropped spans, for a registry.
    #[must_use]
    pub fn dropped(&self) -> &Counter {
        &self.queue.dropped
    }

    /// Decides about a request that arrived at `began`. `None` if it takes part in no trace.
    #[must_use]
    pub fn receive(&self, headers: &HeaderMap, began: Instant) -> Option<Received> {
        let parent = if self.sampling.from_clients { parent(headers) } else { None };
        let Some(parent) = parent else {
            return self
                .root(began)
                .map(|trace| Received::Sampled(self.top_span(trace, "request", Kind::Server, began)));
        };
        let queue = (parent.flags & SAMPLED != 0).then(|| Arc::clone(&self.queue));
        let mut trace = Trace::new(parent.trace_id, parent.flags, queue, self.since(began));
        trace.state = state(headers);
        trace.remote_parent = Some(parent.span_id);
        Some(match trace.queue {
            Some(_) => Received::Sampled(self.top_span(trace, "request", Kind::Server, began)),
            None => Received::Forwarded(Context { trace: Arc::new(trace), span_id: parent.span_id }),
        })
    }

    /// Begins the trace of a request that failed and was not sampled, if the settings ask for it.
    #[must_use]
    pub fn failure(&self, began: Instant) -> Option<Span> {
        let trace = self.sampling.failures.then(|| self.new_trace(self.queue.ids.trace_id(), began))?;
        Some(self.top_span(trace, "request", Kind::Server, began))
    }

    /// Begins the trace of work beside requests. `None` if it is not sampled.
    #[must_use]
    pub fn work(&self, name: String) -> Option<Span> {
        let began = Instant::now();
        let mut span = self.top_span(self.root(began)?, "task", Kind::Internal, began);
        span.rename(name);
        Some(span)
    }

    /// Draws a trace that begins here, if it is sampled.
    fn root(&self, began: Instant) -> Option<Trace> {
        const MILLION: u64 = 1_000_000;
        let chosen = u64::from(self.sampling.per_million);
        if chosen == 0 {
            return None;
        }
        let id = self.queue.ids.trace_id();
        // By the low 56 bits, which are random in every id (W3C Trace Context, level 2).
        let low = u64::try_from(id & 0x00ff_ffff_ffff_ffff).unwrap_or_default();
        (low % MILLION < chosen).then(|| self.new_trace(id, began))
    }

    fn new_trace(&self, id: u128, began: Instant) -> Trace {
        Trace::new(id, SAMPLED | RANDOM, Some(Arc::clone(&self.queue)), self.since(began))
    }

    fn top_span(&self, trace: Trace, name: &'static str, kind: Kind, began: Instant) -> Span {
        let parent = trace.remote_parent;
        Span::new(Context { trace: Arc::new(trace), span_id: self.queue.ids.span_id() }, parent, name, kind, began)
    }

    /// Returns an instant with its time in nanoseconds since 1970.
    fn since(&self, began: Instant) -> (Instant, u64) {
        let ago = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        (began, self.clock.now_ns().saturating_sub(ago))
    }
}

/// Returns the client's place in its trace, if the headers have exactly one that is valid.
fn parent(headers: &HeaderMap) -> Option<Parent> {
    let first = headers.get(TRACEPARENT)?;
    let parent = Parent::parse(first.as_bytes())?;
    (headers.get_all(TRACEPARENT).iter().count() == 1).then_some(parent)
}

/// Returns the client's `tracestate`, unless it is too long.
fn state(headers: &HeaderMap) -> Vec<HeaderValue> {
    let state: Vec<HeaderValue> = headers
        .get_all(TRACESTATE)
        .iter()
        .filter(|value| !value.is_empty() && value.to_str().is_ok())
        .cloned()
        .collect();
    if state.iter().map(HeaderValue::len).sum::<usize>() > MAX_STATE_BYTES { Vec::new() } else { state }
}
