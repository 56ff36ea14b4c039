//! The server's metrics, for Prometheus: their registry and their text. And the export of its traces.
//!
//! Each part keeps its own counters and histograms, and `app` registers them here. What a part knows anyway, such as the length of a
//! queue, is read at each scrape (`app/collect.rs`) and costs a request nothing.

mod health;
mod last_texts;
mod process;
mod quotas;
mod requests;
mod shared_text;
mod slow;
mod traces;

use std::fmt;

use parking_lot::RwLock;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use health::HealthMetrics;
use last_texts::LastTexts;
pub use quotas::{QuotaMetrics, QuotaUse};
pub use requests::{Answered, RequestMetrics, Shortcut, method_name};
pub use slow::{SlowRequest, SlowRequests};
pub use traces::Traces;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format that a client accepts, from its `Accept` header.
    #[must_use]
    pub fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns the media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics of a server.
pub struct Telemetry {
    registry: RwLock<Registry>,
    requests: RequestMetrics,
    quotas: QuotaMetrics,
    health: HealthMetrics,
    last_texts: LastTexts,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Creates the metrics of requests, of the process and of the build. Counts the requests of up to `organisations`
    /// organisations apart, and keeps slow ones in `slow`.
    #[must_use]
    pub fn new(organisations: usize, slow: SlowRequests) -> Self {
        let mut registry = Registry::default();
        let requests = RequestMetrics::new(organisations, slow);
        requests.register(&mut registry);
        let (quotas, health) = (QuotaMetrics::default(), HealthMetrics::default());
        if organisations > 0 {
            quotas.register(&mut registry);
            health.register(&mut registry);
        }
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("tidewater_build", "The program's version", build);
        registry.register_collector(Box::new(process::Process));
        Self { registry: RwLock::new(registry), requests, quotas, health, last_texts: LastTexts::default() }
    }

    /// Returns the metrics of requests.
    #[must_use]
    pub const fn requests(&self) -> &RequestMetrics {
        &self.requests
    }

    /// Returns the metrics of organisations' limits.
    #[must_use]
    pub const fn quotas(&self) -> &QuotaMetrics {
        &self.quotas
    }

    /// Returns the metrics of the health of organisations' tables.
    #[must_use]
    pub const fn health(&self) -> &HealthMetrics {
        &self.health
    }

    /// Adds metrics to the registry.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.write());
    }

    /// Writes all metrics as text.
    ///
    /// # Errors
    /// Fails if a metric cannot be written.
    pub fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        let (mut written, registry) = (String::new(), self.registry.read());
        match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
            Format::OpenMetrics => text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    #[test]
    fn text_has_the_format_that_the_client_accepts() {
        let telemetry = Telemetry::new(0, SlowRequests::new(0, Clock::System));
        let prometheus = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let newer = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted_by(newer), Format::OpenMetrics);
        assert_eq!(Format::accepted_by(prometheus), Format::Prometheus);
        assert!(telemetry.encode(Format::OpenMetrics).unwrap().ends_with("# EOF\n"));
        let text = telemetry.encode(Format::Prometheus).unwrap();
        assert!(!text.contains("# EOF") && text.contains("tidewater_build_info{version="), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }
}
