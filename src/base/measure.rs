//! Measures calls to the outside world: how often, how long, and how they ended.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

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

/// The durations of calls, by target, operation and outcome. Clones share them.
#[derive(Debug, Clone)]
pub struct Calls(Family<CallLabels, Histogram>);

impl Default for Calls {
    fn default() -> Self {
        Self(Family::new_with_constructor(durations))
    }
}

impl Calls {
    /// Begins to measure a call.
    #[must_use]
    pub fn begin(&self, target: &'static str, operation: &'static str) -> Call<'_> {
        Call { calls: self, target, operation, outcome: CANCELLED, started: Instant::now() }
    }

    /// Returns the metric, for a registry.
    #[must_use]
    pub fn family(&self) -> Family<CallLabels, Histogram> {
        self.0.clone()
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
}

impl Call<'_> {
    /// Ends the measurement. `describe` gives the outcome of an error.
    pub fn end<T, E>(mut self, result: &Result<T, E>, describe: impl FnOnce(&E) -> &'static str) {
        self.outcome = result.as_ref().map_or_else(describe, |_| "ok");
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let labels = CallLabels { target: self.target, operation: self.operation, outcome: self.outcome };
        self.calls.0.get_or_create(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn ended_and_cancelled_calls_have_their_outcome() {
        let (calls, mut registry) = (Calls::default(), Registry::default());
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
