//! Measures calls to the outside world: how often, how long, and how they ended. In a traced request each is a span, too.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::latest::Latest;
use super::trace::{self, Kind, Span};

/// The upper bounds of the buckets of a duration, in seconds: from half a millisecond to half a minute.
pub const DURATIONS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Creates an empty histogram of durations in seconds.
#[must_use]
pub fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// What a call was, and how it ended. All values come from a fixed set, so the number of series is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// What was called, for example `s3`.
    pub target: &'static str,
    /// The operation, for example `read`.
    pub operation: &'static str,
    /// How it ended, for example `ok`.
    pub outcome: &'static str,
}

/// The kind of calls, which decides how their spans are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Calls to the catalog's database. The target is its kind.
    Store,
    /// Calls to a warehouse's storage. The target is its type.
    Storage,
    /// Requests for credentials to clouds. The target is the type of storage.
    Credentials,
    /// Commits. The target is the kind of object.
    Commit,
    /// Plans of scans.
    Planning,
}

impl Subject {
    /// Begins the span of a call, by the conventions of OpenTelemetry.
    fn span(self, target: &'static str, operation: &'static str) -> Option<Span> {
        let (prefix, kind) = match self {
            Self::Store => ("store", Kind::Client),
            Self::Storage => ("storage", Kind::Internal),
            Self::Credentials => ("credentials", Kind::Internal),
            Self::Commit => ("commit", Kind::Internal),
            Self::Planning => ("scan", Kind::Internal),
        };
        let mut span = trace::span(prefix, kind)?;
        match self {
            Self::Store => {
                span.set("db.system.name", if target == "postgres" { "postgresql" } else { target });
                span.set("db.operation.name", operation);
            }
            Self::Storage | Self::Credentials => span.set("tidewater.storage.type", target),
            Self::Planning => {}
            Self::Commit => {
                span.rename(format!("{prefix} {target}"));
                return Some(span);
            }
        }
        span.rename(format!("{prefix} {operation}"));
        Some(span)
    }
}

/// The durations of calls, by target, operation and outcome. Clones share them.
#[derive(Debug, Clone)]
pub struct Calls {
    durations: Family<CallLabels, Histogram>,
    subject: Subject,
    latest: Latest,
}

impl Calls {
    /// Creates the measurements of calls of one kind.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self { durations: Family::new_with_constructor(durations), subject, latest: Latest::default() }
    }

    /// Begins only the span of a call, if its request is traced, for calls that are too short to be measured.
    #[must_use]
    pub fn span(&self, target: &'static str, operation: &'static str) -> Option<Span> {
        self.subject.span(target, operation)
    }

    /// Begins to measure a call.
    #[must_use]
    pub fn begin(&self, target: &'static str, operation: &'static str) -> Call<'_> {
        let span = self.subject.span(target, operation);
        Call { calls: self, target, operation, outcome: CANCELLED, started: Instant::now(), span }
    }

    /// Returns how the latest calls ended, as far as they are noted there.
    #[must_use]
    pub const fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Returns the metric, for a registry.
    #[must_use]
    pub fn family(&self) -> Family<CallLabels, Histogram> {
        self.durations.clone()
    }
}

/// The outcome of a call whose future was dropped.
const CANCELLED: &str = "cancelled";

/// A call that is measured. Its drop ends the measurement.
#[derive(Debug)]
pub struct Call<'a> {
    calls: &'a Calls,
    target: &'static str,
    operation: &'static str,
    outcome: &'static str,
    started: Instant,
    span: Option<Span>,
}

impl Call<'_> {
    /// Returns the span of the call, if its request is traced.
    pub const fn span(&mut self) -> Option<&mut Span> {
        self.span.as_mut()
    }

    /// Runs the call inside its span.
    pub fn scope<F: Future>(&self, call: F) -> impl Future<Output = F::Output> + use<F> {
        let context = self.span.as_ref().map(|span| span.context().clone());
        trace::scope(context.or_else(trace::current), call)
    }

    /// Ends the measurement. `describe` gives the outcome of an error.
    pub fn end<T, E>(mut self, result: &Result<T, E>, describe: impl FnOnce(&E) -> &'static str) {
        self.outcome = result.as_ref().map_or_else(describe, |_| "ok");
        if let Some(mut span) = self.span.take() {
            if result.is_err() {
                span.fail(self.outcome);
            }
            span.end();
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let labels = CallLabels { target: self.target, operation: self.operation, outcome: self.outcome };
        self.calls.durations.get_or_create(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn ended_and_cancelled_calls_have_their_outcome() {
        let (calls, mut registry) = (Calls::new(Subject::Storage), Registry::default());
        registry.register("calls", "Calls", calls.family());
        calls.begin("s3", "read").end(&Ok::<(), &str>(()), |_| "failed");
        calls.begin("s3", "read").end(&Err::<(), &str>("gone"), |error| error);
        drop(calls.begin("s3", "create"));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (operation, outcome) in [("read", "ok"), ("read", "gone"), ("create", "cancelled")] {
            let line = format!("calls_count{{target=\"s3\",operation=\"{operation}\",outcome=\"{outcome}\"}} 1\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
