//! Metrics of requests to the API: durations by method, route and status, and counts by organisation.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tidewater_core::ids::OrganisationId;

use super::slow::SlowRequests;
use crate::base::measure::durations;

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its route, with the names of parameters. `None` if no route matched.
    pub route: Option<&'a str>,
    /// The answer's status. `None` if the client disconnected before there was one.
    pub status: Option<StatusCode>,
    /// How long it took.
    pub took: Duration,
}

/// The labels by which requests are told apart. Routes come from the router, and other methods share one name, so the number of series
/// is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OrganisationLabels {
    pub(super) organisation: String,
}

/// The name for requests that no route matched.
const NO_ROUTE: &str = "none";

/// The status of requests without an answer: the one that nginx logs for them.
const NOT_ANSWERED: u16 = 499;

/// The organisations that are not counted apart. No organisation can have this name.
const OTHERS: &str = "(other)";

/// Metrics of requests. Clones share them.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    durations: Family<Labels, Histogram>,
    by_organisation: Arc<Organisations>,
    slow: Arc<SlowRequests>,
}

impl RequestMetrics {
    pub(super) fn new(organisations: usize, slow: SlowRequests) -> Self {
        let by_organisation =
            Organisations { most: organisations, counts: Family::default(), known: RwLock::default() };
        let (by_organisation, slow) = (Arc::new(by_organisation), Arc::new(slow));
        Self { durations: Family::new_with_constructor(durations), by_organisation, slow }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Duration of requests, from their head to the head of their answer";
        registry.register("http_server_request_duration_seconds", help, self.durations.clone());
        if self.by_organisation.most > 0 {
            let help = "Requests of authenticated callers";
            registry.register("tidewater_organisation_requests", help, self.by_organisation.counts.clone());
        }
    }

    /// Returns the slowest recent requests.
    #[must_use]
    pub fn slow(&self) -> &SlowRequests {
        &self.slow
    }

    /// Counts a request.
    pub fn answered(&self, request: &Answered<'_>) {
        self.series(request).observe(request.took.as_secs_f64());
    }

    /// Counts a request of an organisation.
    pub fn of_organisation(&self, id: OrganisationId, name: &str) {
        self.by_organisation.count(id, name);
    }

    /// Returns the organisations that are counted apart, with the names in their series.
    #[must_use]
    pub fn organisations(&self) -> Vec<(OrganisationId, String)> {
        let known = self.by_organisation.known.read();
        known.iter().map(|(id, counted)| (*id, counted.name.clone())).collect()
    }

    fn series(&self, request: &Answered<'_>) -> Histogram {
        self.durations.get_or_create_owned(&Labels {
            method: method_name(request.method),
            route: request.route.unwrap_or(NO_ROUTE).to_owned(),
            status: request.status.map_or(NOT_ANSWERED, |status| status.as_u16()),
        })
    }
}

/// Returns a method's name, or `other` for those that the API does not have.
#[must_use]
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The series of a frequent route, for its two frequent statuses: found once, so that a load from memory searches nothing.
#[derive(Debug, Default)]
pub struct Shortcut {
    ok: OnceLock<Histogram>,
    not_modified: OnceLock<Histogram>,
}

impl Shortcut {
    /// Counts a request of this route.
    pub fn answered(&self, metrics: &RequestMetrics, request: &Answered<'_>) {
        let series = match request.status {
            Some(StatusCode::OK) => &self.ok,
            Some(StatusCode::NOT_MODIFIED) => &self.not_modified,
            _ => return metrics.answered(request),
        };
        series.get_or_init(|| metrics.series(request)).observe(request.took.as_secs_f64());
    }
}

/// Counts of requests by organisation: the first organisations that are seen are counted apart, up to a limit.
#[derive(Debug)]
struct Organisations {
    most: usize,
    counts: Family<OrganisationLabels, Counter>,
    known: RwLock<HashMap<OrganisationId, Counted>>,
}

/// An organisation that is counted apart.
#[derive(Debug)]
struct Counted {
    /// The name in its series: that of its first request.
    name: String,
    requests: Counter,
}

impl Organisations {
    fn count(&self, id: OrganisationId, name: &str) {
        if self.most == 0 {
            return;
        }
        if let Some(counted) = self.known.read().get(&id) {
            counted.requests.inc();
            return;
        }
        let mut known = self.known.write();
        let label = if known.len() < self.most { name } else { OTHERS };
        let counter = self.counts.get_or_create_owned(&OrganisationLabels { organisation: label.to_owned() });
        counter.inc();
        if label == name {
            known.insert(id, Counted { name: name.to_owned(), requests: counter });
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;
    use uuid::Uuid;

    use super::*;
    use crate::base::clock::Clock;

    fn none_slow() -> SlowRequests {
        SlowRequests::new(0, Clock::System)
    }

    fn text(metrics: &RequestMetrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        text
    }

    fn answered<'a>(method: &'a Method, route: Option<&'a str>, status: Option<StatusCode>) -> Answered<'a> {
        Answered { method, route, status, took: Duration::from_millis(2) }
    }

    #[test]
    fn requests_are_counted_by_method_route_and_status() {
        let (metrics, shortcut) = (RequestMetrics::new(0, none_slow()), Shortcut::default());
        let load = answered(&Method::GET, Some("/v1/{prefix}/namespaces"), Some(StatusCode::OK));
        metrics.answered(&load);
        shortcut.answered(&metrics, &load);
        shortcut.answered(&metrics, &Answered { status: Some(StatusCode::NOT_FOUND), ..load });
        let odd = Method::from_bytes(b"BREW").unwrap();
        metrics.answered(&answered(&odd, None, None));
        let text = text(&metrics);
        for (method, route, status, count) in [
            ("GET", "/v1/{prefix}/namespaces", 200, 2),
            ("GET", "/v1/{prefix}/namespaces", 404, 1),
            ("other", "none", 499, 1),
        ] {
            let labels = format!("{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
            let line = format!("http_server_request_duration_seconds_count{labels} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!text.contains("organisation"), "{text}");
    }

    #[test]
    fn organisations_beyond_the_limit_share_a_series() {
        let metrics = RequestMetrics::new(2, none_slow());
        for (number, name) in [(1, "a"), (2, "other"), (3, "c"), (4, "d"), (1, "a")] {
            metrics.of_organisation(OrganisationId(Uuid::from_u128(number)), name);
        }
        let text = text(&metrics);
        for (name, count) in [("a", 2), ("other", 1), ("(other)", 2)] {
            let line = format!("tidewater_organisation_requests_total{{organisation=\"{name}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
