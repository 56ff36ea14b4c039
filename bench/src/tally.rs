//! The counts of a load, and the reported figures.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The range of latencies in nanoseconds: 100 ns to 10 minutes, to three significant digits.
const LOWEST_NS: u64 = 100;
const HIGHEST_NS: u64 = 600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// The unexpected responses of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Their number, including the warm-up.
    pub count: u64,
    /// The beginning of the first response's body, or the error of the connection.
    pub sample: String,
}

/// The counts of one load. [`Tally::merge`] adds those of several connections, [`Tally::append`] those of several rounds.
#[derive(Clone, Debug)]
pub struct Tally {
    latencies_ns: Histogram<u64>,
    /// Requests with the expected response within the measured time.
    pub completed: u64,
    /// The total size of their bodies, in bytes.
    pub body_bytes: u64,
    /// Commits with a 409 that were sent again, within the measured time.
    pub conflicts: u64,
    /// By status, or `connection`. Includes the warm-up, since a wrong response is wrong at any time.
    pub failures: BTreeMap<String, Failures>,
    /// The measured time.
    pub measured: Duration,
}

impl Tally {
    /// Creates an empty tally.
    ///
    /// # Errors
    /// Never with the bounds above; the histogram's constructor can fail for others.
    pub fn new() -> Result<Self> {
        Ok(Self {
            latencies_ns: Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)?,
            completed: 0,
            body_bytes: 0,
            conflicts: 0,
            failures: BTreeMap::new(),
            measured: Duration::ZERO,
        })
    }

    /// Counts a request with the expected response.
    pub fn complete(&mut self, latency: Duration, body_bytes: u64) {
        self.latencies_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(HIGHEST_NS));
        self.completed += 1;
        self.body_bytes += body_bytes;
    }

    /// Counts an unexpected response. Keeps only the first sample of each kind.
    pub fn fail(&mut self, kind: String, sample: impl FnOnce() -> String) {
        self.failures.entry(kind).or_insert_with(|| Failures { count: 0, sample: sample() }).count += 1;
    }

    /// Adds the counts of other connections during the same time.
    ///
    /// # Errors
    /// Never for tallies from [`Tally::new`].
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.latencies_ns.add(&other.latencies_ns)?;
        self.completed += other.completed;
        self.body_bytes += other.body_bytes;
        self.conflicts += other.conflicts;
        for (kind, failures) in &other.failures {
            self.failures
                .entry(kind.clone())
                .and_modify(|mine| mine.count += failures.count)
                .or_insert_with(|| failures.clone());
        }
        Ok(())
    }

    /// Adds the counts of another period, including its measured time.
    ///
    /// # Errors
    /// Same as [`Tally::merge`].
    pub fn append(&mut self, other: &Self) -> Result<()> {
        self.measured += other.measured;
        self.merge(other)
    }

    /// Returns the reported figures.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let seconds = self.measured.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let at = |quantile: f64| self.latencies_ns.value_at_quantile(quantile) as f64 / 1e6;
        let empty = self.latencies_ns.is_empty();
        Figures {
            requests: self.completed,
            requests_per_s: per_second(self.completed),
            megabytes_per_s: per_second(self.body_bytes) / 1e6,
            latency_ms: if empty {
                LatencyMs::default()
            } else {
                LatencyMs {
                    p50: at(0.50),
                    p90: at(0.90),
                    p99: at(0.99),
                    p99_9: at(0.999),
                    max: self.latencies_ns.max() as f64 / 1e6,
                }
            },
            conflicts: self.conflicts,
        }
    }
}

/// Percentiles in milliseconds; zeros if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the percentiles name themselves")]
pub struct LatencyMs {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// The figures of one load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Requests with the expected response.
    pub requests: u64,
    /// Requests per second of measured time.
    pub requests_per_s: f64,
    /// Megabytes (10^6) of bodies per second.
    pub megabytes_per_s: f64,
    /// From the first byte sent to the last byte received. A commit with conflicts counts from its first attempt.
    pub latency_ms: LatencyMs,
    /// 409 responses that were followed by another attempt.
    pub conflicts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_milliseconds(latencies: impl IntoIterator<Item = u64>, measured_s: u64) -> Tally {
        let mut tally = Tally::new().unwrap();
        for latency in latencies {
            tally.complete(Duration::from_millis(latency), 500_000);
        }
        tally.measured = Duration::from_secs(measured_s);
        tally
    }

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.002
    }

    #[test]
    fn percentiles_and_rates_of_a_known_series() {
        let figures = of_milliseconds(1..=1000, 10).figures();
        assert_eq!(figures.requests, 1000);
        assert!(close(figures.requests_per_s, 100.0));
        assert!(close(figures.megabytes_per_s, 50.0));
        let LatencyMs { p50, p90, p99, p99_9, max } = figures.latency_ms;
        for (value, expected) in [(p50, 500.0), (p90, 900.0), (p99, 990.0), (p99_9, 999.0), (max, 1000.0)] {
            assert!(close(value, expected), "{value} for {expected}");
        }
    }

    #[test]
    fn empty_tally_has_zeros() {
        let figures = Tally::new().unwrap().figures();
        assert_eq!(figures.requests_per_s, 0.0);
        assert_eq!(figures.latency_ms, LatencyMs::default());
    }

    #[test]
    fn merge_keeps_the_time_and_append_adds_it() {
        let mut all = of_milliseconds([1; 10], 5);
        all.merge(&of_milliseconds([3; 10], 5)).unwrap();
        assert!(close(all.figures().requests_per_s, 4.0));
        all.append(&of_milliseconds([3; 20], 5)).unwrap();
        assert_eq!(all.measured, Duration::from_secs(10));
        assert!(close(all.figures().requests_per_s, 4.0));
        assert!(close(all.figures().latency_ms.p90, 3.0));
    }

    #[test]
    fn first_sample_of_each_kind_of_failure_is_kept() {
        let mut all = Tally::new().unwrap();
        all.fail("503".into(), || "first".into());
        all.fail("503".into(), || "second".into());
        let mut other = Tally::new().unwrap();
        other.fail("503".into(), || "third".into());
        other.fail("429".into(), || "slow down".into());
        all.merge(&other).unwrap();
        assert_eq!(all.failures["503"], Failures { count: 3, sample: "first".into() });
        assert_eq!(all.failures["429"].count, 1);
    }
}
