//! The place of work in a trace, and the spans: pieces of work. They are in one file because each leads to the others.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::header::{Parent, TRACEPARENT, TRACESTATE};
use super::ids::{Draw, Ids};
use super::value::{Kind, Value};

/// The most spans of one trace from this server. A purge removes thousands of files, and nobody reads so many spans.
const MAX_SPANS: usize = 1_000;

/// The place of work in a trace: the trace, and the span that the next ones belong to.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) trace: Arc<Trace>,
    pub(super) span_id: u64,
}

/// A trace, as far as this server takes part in it.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) id: u128,
    pub(super) flags: u8,
    /// The client's `tracestate`.
    pub(super) state: Vec<HeaderValue>,
    /// The span of the client that the request belongs to.
    pub(super) remote_parent: Option<u64>,
    /// Takes the spans. `None` if the trace is not sampled, and only passed on.
    pub(super) queue: Option<Arc<Queue>>,
    /// An instant, and the same in nanoseconds since 1970.
    pub(super) began: (Instant, u64),
    /// How many more spans it may have.
    left: AtomicUsize,
    /// Attributes of all its spans.
    pub(super) labels: RwLock<Vec<(&'static str, Value)>>,
}

/// The bounded queue of ended spans, from which an exporter takes them.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<EndedSpan>,
    pub(super) ids: Draw,
    /// Spans that found no place.
    pub(super) dropped: Counter,
}

impl Queue {
    /// Creates a queue of at most `spans` spans.
    pub(super) fn new(spans: usize) -> (Arc<Self>, mpsc::Receiver<EndedSpan>) {
        let (sender, receiver) = mpsc::channel(spans.max(1));
        (Arc::new(Self { sender, ids: Draw::new(), dropped: Counter::default() }), receiver)
    }

    /// Adds a span. Drops it if the queue is full.
    fn add(&self, span: EndedSpan) {
        if self.sender.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

impl Trace {
    pub(super) fn new(id: u128, flags: u8, queue: Option<Arc<Queue>>, began: (Instant, u64)) -> Self {
        let labels = RwLock::default();
        let left = AtomicUsize::new(MAX_SPANS);
        Self { id, flags, state: Vec::new(), remote_parent: None, queue, began, left, labels }
    }

    /// Returns an instant in nanoseconds since 1970.
    pub(super) fn unix_ns(&self, instant: Instant) -> u64 {
        let (began, began_ns) = self.began;
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(began) {
            Some(after) => began_ns.saturating_add(nanoseconds(after)),
            None => began_ns.saturating_sub(nanoseconds(began.duration_since(instant))),
        }
    }

    /// Counts a span. Returns the queue if the trace may have it.
    pub(super) fn admit(&self) -> Option<&Arc<Queue>> {
        let queue = self.queue.as_ref()?;
        let take = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Some(queue),
            Err(_) => {
                queue.dropped.inc();
                None
            }
        }
    }
}

impl Context {
    /// Returns the ids, for the log.
    #[must_use]
    pub fn ids(&self) -> Ids {
        Ids { trace_id: self.trace.id, span_id: self.span_id }
    }

    /// Returns whether spans are recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.trace.queue.is_some()
    }

    /// Begins a span below this place. `None` if the trace is not sampled, or has too many spans.
    #[must_use]
    pub fn span(&self, name: &'static str, kind: Kind) -> Option<Span> {
        let queue = self.trace.admit()?;
        let context = Self { trace: Arc::clone(&self.trace), span_id: queue.ids.span_id() };
        Some(Span::new(context, Some(self.span_id), name, kind, Instant::now()))
    }

    /// Sets an attribute of all spans of the trace that are exported from now on.
    pub fn label(&self, key: &'static str, value: impl Into<Value>) {
        if !self.is_sampled() {
            return;
        }
        let mut labels = self.trace.labels.write();
        labels.retain(|(known, _)| *known != key);
        labels.push((key, value.into()));
    }

    /// Returns the value of `traceparent` for work below this place.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let parent = Parent { trace_id: self.trace.id, span_id: self.span_id, flags: self.trace.flags };
        HeaderValue::from_str(&parent.to_text()).ok()
    }

    /// Adds the headers that continue the trace to a request to another service.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        let Some(parent) = self.traceparent() else { return };
        headers.insert(TRACEPARENT, parent);
        headers.remove(TRACESTATE);
        for state in &self.trace.state {
            headers.append(TRACESTATE, state.clone());
        }
    }
}

/// A piece of work that has begun. Its drop ends it as cancelled.
#[derive(Debug)]
pub struct Span {
    ended: Option<EndedSpan>,
}

/// A span that has ended, or will.
#[derive(Debug)]
pub struct EndedSpan {
    /// Its place in the trace.
    context: Context,
    parent: Option<u64>,
    name: Cow<'static, str>,
    kind: Kind,
    began: Instant,
    ended: Instant,
    attributes: Vec<(&'static str, Value)>,
    failed: bool,
}

/// The kind of the error of a span that was dropped.
const CANCELLED: &str = "cancelled";

/// The attribute with the kind of an error (OpenTelemetry's conventions).
const ERROR_TYPE: &str = "error.type";

impl Span {
    pub(super) fn new(
        context: Context,
        parent: Option<u64>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        began: Instant,
    ) -> Self {
        let (name, attributes) = (name.into(), Vec::new());
        Self { ended: Some(EndedSpan { context, parent, name, kind, began, ended: began, attributes, failed: false }) }
    }

    /// Returns the place of work inside this span.
    #[must_use]
    #[expect(clippy::expect_used, reason = "only `end` and the drop take the value")]
    pub fn context(&self) -> &Context {
        &self.ended.as_ref().expect("the span has not ended").context
    }

    /// Sets the name.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.ended {
            span.name = name.into();
        }
    }

    /// Adds an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.ended {
            span.attributes.push((key, value.into()));
        }
    }

    /// Notes that the work failed.
    pub fn fail(&mut self, kind: impl Into<Value>) {
        self.set(ERROR_TYPE, kind);
        if let Some(span) = &mut self.ended {
            span.failed = true;
        }
    }

    /// Ends the span.
    pub fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let Some(mut span) = self.ended.take() else { return };
        span.ended = Instant::now();
        if let Some(queue) = span.context.trace.queue.clone() {
            queue.add(span);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.ended.is_some() {
            self.fail(CANCELLED);
            self.finish();
        }
    }
}

impl EndedSpan {
    /// Returns the trace's id.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.context.trace.id
    }

    /// Returns the span's id.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.context.span_id
    }

    /// Returns the id of the span above.
    #[must_use]
    pub const fn parent(&self) -> Option<u64> {
        self.parent
    }

    /// Returns whether the span above is of another process.
    #[must_use]
    pub fn has_remote_parent(&self) -> bool {
        self.parent.is_some() && self.parent == self.context.trace.remote_parent
    }

    /// Returns the flags of the trace (W3C Trace Context).
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.context.trace.flags
    }

    /// Returns the client's `tracestate`.
    #[must_use]
    pub fn state(&self) -> &[HeaderValue] {
        &self.context.trace.state
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the role.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the begin and the end, in nanoseconds since 1970.
    #[must_use]
    pub fn times_ns(&self) -> (u64, u64) {
        (self.context.trace.unix_ns(self.began), self.context.trace.unix_ns(self.ended))
    }

    /// Returns whether the work failed.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Calls `visit` with each attribute: those of the span, and those of all spans of the trace.
    pub fn attributes(&self, mut visit: impl FnMut(&'static str, &Value)) {
        let labels = self.context.trace.labels.read();
        self.attributes.iter().chain(labels.iter()).for_each(|(key, value)| visit(key, value));
    }
}
