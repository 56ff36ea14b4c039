//! Traces of requests (OpenTelemetry, W3C Trace Context).
//!
//! Only a request that is traced has a [`Context`]. It is part of the request's task, like the deadline, so that all code that works
//! for the request can add spans to it. For every other request [`span`] returns `None` and nothing is allocated.
//!
//! An ended span goes into the bounded queue of the [`Tracer`], which an exporter empties. A span that finds the queue full is dropped
//! and counted.

mod context;
mod header;
mod ids;
mod tracer;
mod value;

use std::future::Future;

use http::HeaderMap;

pub use context::{Context, EndedSpan, Span};
pub use header::{TRACEPARENT, TRACESTATE};
pub use ids::Ids;
pub use tracer::{Received, Sampling, Tracer};
pub use value::{Kind, Value};

tokio::task_local! {
    static CURRENT: Option<Context>;
}

/// Returns the context of the current task. `None` if its work is not traced.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Returns the ids of the current trace and span, for the log.
#[must_use]
pub fn ids() -> Option<Ids> {
    CURRENT.try_with(|context| context.as_ref().map(Context::ids)).ok().flatten()
}

/// Runs a future in a context, or in none.
pub fn scope<F: Future>(context: Option<Context>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, work)
}

/// Runs blocking work in a context, or in none.
pub fn sync_scope<T>(context: Option<Context>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(context, work)
}

/// Keeps the present context for a future that another task runs.
pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    scope(current(), work)
}

/// Begins a span in the current trace. `None` if the current work is not sampled.
#[must_use]
pub fn span(name: &'static str, kind: Kind) -> Option<Span> {
    CURRENT.try_with(|context| context.as_ref().and_then(|context| context.span(name, kind))).ok().flatten()
}

/// Adds the headers that continue the current trace to a request to another service. Adds nothing outside of a trace.
pub fn add_headers(headers: &mut HeaderMap) {
    let _ = CURRENT.try_with(|context| {
        if let Some(context) = context {
            context.add_headers(headers);
        }
    });
}

/// Runs a future in a span of the current trace, and notes the kind of its error.
///
/// # Errors
/// Those of the future.
pub async fn within<T, E>(
    span: Option<Span>,
    kind_of: impl FnOnce(&E) -> &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let context = span.as_ref().map(|span| span.context().clone()).or_else(current);
    // Boxed, because the futures around it are moved several times, whole.
    let result = scope(context, Box::pin(work)).await;
    if let Some(mut span) = span {
        if let Err(error) = &result {
            span.fail(kind_of(error));
        }
        span.end();
    }
    result
}

#[cfg(test)]
mod tests;
