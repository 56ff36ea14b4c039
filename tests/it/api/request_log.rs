//! Tests of the log line of each request.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidewater_core::access::Role;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;

use crate::support::{Catalog, create_table, create_view};

/// The log of this thread since the start.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(level: &str) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(level))
            .with_writer(move || writer.clone())
            .json()
            .flatten_event(true)
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        tracing::callsite::rebuild_interest_cache();
        (log, guard)
    }

    /// Returns the lines about requests since the last call.
    fn requests(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "tidewater::api::request_log").collect()
    }
}

#[tokio::test]
async fn change_has_one_line_with_caller_object_and_status() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let (log, _guard) = Log::start("info");
    let answer = catalog.post(&tenant.key, "/v1/main/namespaces/ns/tables", &create_table("made")).await;
    let [line] = &log.requests()[..] else { panic!("one line") };
    let said = |field: &str| line[field].as_str().unwrap_or_else(|| panic!("{field} in {line}"));
    assert_eq!((said("level"), said("message"), said("method")), ("INFO", "answered", "POST"));
    assert_eq!((said("organisation"), said("key")), ("acme", "test"));
    assert_eq!(said("key_id").len(), 36);
    assert_eq!(said("request_id"), answer.header("x-request-id"));
    assert_eq!(said("route"), "/v1/{prefix}/namespaces/{namespace}/tables");
    assert_eq!((said("warehouse"), said("namespace"), said("object")), ("main", "ns", "made"));
    assert_eq!(line["status"], 200);
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{line}");
    assert!(!line.to_string().contains(&tenant.key));
}

#[tokio::test]
async fn log_line_names_an_object_from_the_body() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let (log, _guard) = Log::start("info");
    let name = |name: &str| json!({ "namespace": ["ns"], "name": name });
    let commit = |name: &str| {
        json!({ "identifier": { "namespace": ["ns"], "name": name }, "requirements": [],
                "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] })
    };
    let rename = json!({ "source": name("t"), "destination": name("u") });
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["a", "b"] })).await;
    catalog.post(&tenant.key, "/v1/tables/rename", &rename).await.ok(204);
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    catalog.post(&tenant.key, "/v1/transactions/commit", &json!({ "table-changes": [commit("u")] })).await.ok(204);
    let objects: Vec<_> = log.requests().iter().map(|line| line["object"].clone()).collect();
    assert_eq!(objects, ["a.b", "ns.t to ns.u", "v", "ns.u"]);
}

#[tokio::test]
async fn refusals_administration_and_signing_in_are_logged_and_plain_reads_are_not() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let (log, _guard) = Log::start("info");
    let table = "/v1/namespaces/ns/tables/t";
    catalog.get(&reader, table).await.ok(200);
    catalog.get(&reader, "/v1/namespaces/ns/tables/none").await.error(404, "NoSuchTableException");
    catalog.get(&reader, "/v1/namespaces").await.ok(200);
    assert_eq!(log.requests(), Vec::<Value>::new());

    catalog.delete(&reader, table).await.error(403, "ForbiddenException");
    catalog.get("flx_none", table).await.error(401, "NotAuthorizedException");
    catalog.get(&tenant.key, "/management/v1/warehouses/main/dropped").await.ok(200);
    let form = format!("grant_type=client_credentials&client_secret={}", tenant.key);
    let sign_in = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
    catalog.send(sign_in.body(Body::from(form)).unwrap()).await.ok(200);
    let lines = log.requests();
    let seen: Vec<_> =
        lines.iter().map(|line| (line["status"].as_u64().unwrap(), line["organisation"].as_str())).collect();
    assert_eq!(seen, [(403, Some("acme")), (401, None), (200, Some("acme")), (200, Some("acme"))]);
    assert_eq!((&lines[0]["object"], &lines[1]["object"]), (&json!("t"), &json!("t")));
    assert_eq!(lines[2]["route"], "/management/v1/warehouses/{warehouse}/dropped");
    assert!(lines.iter().all(|line| !line.to_string().contains(&tenant.key) && !line.to_string().contains(&reader)));
}

#[tokio::test]
async fn reads_are_logged_at_debug_with_the_views_that_refer_to_a_table() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let (log, _guard) = Log::start("info,tidewater::api::request_log=debug");
    catalog.get(&tenant.key, "/v1/main/namespaces/ns/tables/t?referenced-by=db%1Fv1").await.ok(200);
    let [line] = &log.requests()[..] else { panic!("one line") };
    assert_eq!((&line["level"], &line["referenced_by"]), (&json!("DEBUG"), &json!("db.v1")));
    assert_eq!(line["route"], "/v1/{prefix}/namespaces/{namespace}/tables/{table}");
    assert_eq!((&line["organisation"], &line["object"]), (&json!("acme"), &json!("t")));
}

#[tokio::test]
async fn client_text_in_a_log_line_is_shortened_and_escaped() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (log, _guard) = Log::start("info,tidewater::api=debug");
    let name = format!("x%0A{}{}", tenant.key, "y".repeat(5_000));
    let path = format!("/v1/namespaces/ns/tables/{name}?referenced-by={name}");
    let headers = [("user-agent", "a".repeat(5_000)), ("x-forwarded-for", "1.2.3.4, ".repeat(500))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    catalog.with_headers(&tenant.key, Method::DELETE, &path, &headers).await;
    let [line] = &log.requests()[..] else { panic!("one line") };
    let text = line.to_string();
    assert!(text.len() < 3_000 && !text.contains(&tenant.key), "{text}");
    assert!(!text.contains("\\n") && line["object"].as_str().unwrap().starts_with("x\u{fffd}flx_***"), "{text}");
}

#[tokio::test]
async fn request_of_a_disconnected_client_is_logged_as_not_answered() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (log, _guard) = Log::start("info");
    // The body is read after the sign-in, and never ends.
    let (reads, is_read) = tokio::sync::oneshot::channel();
    let never = Body::from_stream(futures_util::stream::once(async move {
        reads.send(()).unwrap();
        std::future::pending::<Result<&'static str, io::Error>>().await
    }));
    let request = Request::post("/v1/namespaces").header("authorization", format!("Bearer {}", tenant.key));
    let mut sent = Box::pin(catalog.send(request.body(never).unwrap()));
    tokio::select! {
        _ = sent.as_mut() => panic!("the request was answered without its body"),
        read = is_read => read.unwrap(),
    }
    drop(sent);
    let [line] = &log.requests()[..] else { panic!("one line") };
    assert!(line["message"].as_str().unwrap().starts_with("not answered") && line.get("status").is_none(), "{line}");
    assert_eq!((&line["organisation"], &line["route"]), (&json!("acme"), &json!("/v1/namespaces")));
}

#[tokio::test]
async fn log_lines_for_refused_sign_ins_of_an_address_are_limited() {
    let catalog = Catalog::new().await;
    let (log, _guard) = Log::start("info");
    for number in 0..40 {
        catalog.get(&format!("rubbish{number}"), "/v1/config").await.error(401, "NotAuthorizedException");
        catalog.get("rubbish", "/v1/namespaces/ns/tables/t").await.error(401, "NotAuthorizedException");
    }
    assert_eq!(log.requests().len(), 10);
}
