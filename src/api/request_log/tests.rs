//! Tests of the log lines of requests.

use super::*;
use crate::base::clock::Clock;
use crate::telemetry::{Format, SlowRequests, Telemetry};

#[test]
fn changes_refusals_and_administration_are_logged_at_info_and_reads_at_debug() {
    let level = |method: Method, path: &str, status: u16| {
        let route = path.replace("/tables/t", "/tables/{table}").replace("/tables/metrics", "/tables/{table}");
        level_of(&method, path, Some(&route), StatusCode::from_u16(status).unwrap())
    };
    for (method, path, status) in [
        (Method::POST, "/v1/namespaces", 200),
        (Method::DELETE, "/v1/namespaces/a", 204),
        (Method::POST, "/v1/oauth/tokens", 200),
        (Method::GET, "/management/v1/warehouses/w/dropped", 200),
        (Method::GET, "/api/management/v1/principals", 200),
        (Method::GET, "/v1/namespaces/a/tables/t", 403),
        (Method::GET, "/v1/config", 401),
        (Method::GET, "/v1/config", 429),
        (Method::POST, "/v1/namespaces/a/tables/t/sign", 403),
        (Method::POST, "/v1/namespaces/a/tables/t", 404),
        (Method::POST, "/v1/namespaces/a/tables/metrics", 200),
        (Method::HEAD, "/v1/namespaces/a/tables/t", 503),
    ] {
        assert_eq!(level(method.clone(), path, status), Level::INFO, "{method} {path} {status}");
    }
    for (method, path, status) in [
        (Method::GET, "/v1/namespaces/a/tables/t", 200),
        (Method::GET, "/v1/namespaces/a/tables/t", 304),
        (Method::HEAD, "/v1/namespaces/a/tables/t", 404),
        (Method::POST, "/v1/namespaces/a/tables/t/sign", 200),
        (Method::POST, "/v1/namespaces/a/tables/t/metrics", 204),
        (Method::OPTIONS, "/v1/config", 200),
        (Method::GET, "/ready", 503),
    ] {
        assert_eq!(level(method.clone(), path, status), Level::DEBUG, "{method} {path} {status}");
    }
}

#[test]
fn direct_request_that_is_dropped_is_counted_with_status_499() {
    let (id, method, uri) = (HeaderValue::from_static("r"), Method::GET, Uri::from_static("/v1/config"));
    let asked = LoggedRequest {
        id: &id,
        from: None,
        started: Instant::now(),
        method: &method,
        uri: &uri,
        version: Version::HTTP_11,
        client: ClientHeaders::Found { agent: None, forwarded_for: None },
        over_tls: None,
    };
    let (telemetry, facts, route) =
        (Telemetry::new(0, SlowRequests::new(0, Clock::System)), RequestFacts::default(), "/v1/config");
    for is_answered in [true, false] {
        drop(PendingDirect { asked: &asked, facts: &facts, route, metrics: telemetry.requests(), is_answered });
    }
    let text = telemetry.encode(Format::Prometheus).unwrap();
    let line = "duration_seconds_count{method=\"GET\",route=\"/v1/config\",status=\"499\"} 1\n";
    assert!(text.contains(line), "{text}");
}
