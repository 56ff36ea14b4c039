//! Sends every route as every kind of caller, as the authorisation test does, and checks that each request left its audit record: a change its
//! event, and everything else a record. A route is added by the router, so a new one without a rule fails here.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::http::Method;
use tidewater::store::{AuditDecision, AuditFilter, AuditRecord, AuditType, EventFilter};

use super::callers::{COLUMNS, proof};
use super::requests::request;
use super::{World, changes, routes};
use crate::support::Catalog;

/// Routes that change nothing in the catalog, and have records.
const ADMINISTRATION: [&str; 8] = [
    "/preview",
    "/reload",
    "/backup",
    "/reseal",
    "/check",
    "/tables/check",
    "{subscription}/test",
    "/dead-letters/replay",
];

/// Routes that change nothing and whose method says otherwise.
const READS: [&str; 5] = ["/metrics", "/events", "/plan", "/plan/{plan-id}", "/tasks"];

/// Routes that revoke what somebody has: a role, or a privilege.
const REVOCATIONS: [&str; 7] = [
    "/restrictions/{principal-role}",
    "/trusted-engines/{principal}",
    "{principal-role}/principals/{principal}",
    "/principals/{principal}/principal-roles/{principal-role}",
    "/catalog-roles/{warehouse}/{catalog-role}",
    "{catalog-role}/principal-roles/{principal-role}",
    "{catalog-role}/grants",
];

/// Routes that need no credential and refuse nobody.
const OPEN: [&str; 4] = ["GET /health", "GET /ready", "GET /openapi.json", "GET /management/v1/sign-in"];

/// What a request left in the store.
struct Left {
    records: BTreeMap<String, AuditRecord>,
    events: Vec<String>,
}

impl Left {
    /// Reads what the requests of a catalog left.
    async fn read(catalog: &Catalog) -> Self {
        catalog.app.audit().write().await.unwrap();
        let store = catalog.app.store();
        let records = store.audit_list(None, &AuditFilter::default(), None, 200).await.unwrap().records;
        let events = store.event_list(None, &EventFilter::default(), None, 200).await.unwrap().events;
        Self {
            records: records
                .into_iter()
                .filter_map(|record| Some((record.entry.request_id.clone()?, record)))
                .collect(),
            events: events.into_iter().filter_map(|event| event.request_id.map(|id| id.to_string())).collect(),
        }
    }
}

/// Returns the kind of actor in the record of a caller's refusal.
fn actor_type(route: &str, column: &str) -> &'static str {
    match column {
        "nobody" | "garbage" => "anonymous",
        "operator" => "operator",
        "machine" if is_managed(route) => "command-line",
        "machine" => "anonymous",
        _ => "key",
    }
}

fn is_managed(route: &str) -> bool {
    route.contains(" /management/v1/") && !route.contains("/management/v1/warehouses") && !route.ends_with("/who-am-i")
        || route.contains(" /api/management/")
        || route.ends_with(" /metrics")
}

/// Returns what is wrong with the record of a refused request.
fn check_refusal(record: Option<&AuditRecord>, route: &str, column: &str, status: u16) -> Option<String> {
    let Some(record) = record else { return Some("left no record".to_owned()) };
    let entry = &record.entry;
    let is_right = entry.kind == AuditType::Refusal
        && entry.decision == AuditDecision::Denied
        && entry.status == Some(status)
        && entry.reason.as_deref().is_some_and(|reason| !reason.is_empty())
        && entry.operation != "unknown"
        && entry.actor_type == actor_type(route, column);
    (!is_right).then(|| format!("left {entry:?}"))
}

/// Returns what is wrong with what an allowed request left.
fn check_allowed(left: &Left, id: &str, route: &str) -> Option<String> {
    let record = left.records.get(id);
    let has_event = left.events.iter().any(|event| event == id);
    let expected = match route {
        _ if OPEN.contains(&route) => return record.map(|record| format!("left {record:?}")),
        "POST /v1/oauth/tokens" => AuditType::SignIn,
        _ if ADMINISTRATION.iter().any(|end| route.ends_with(end)) => AuditType::Administration,
        _ if route.starts_with("POST ") && route.ends_with("/maintenance/runs") => AuditType::Administration,
        // Removes no key, because none is old enough.
        "DELETE /management/v1/signing-keys" => return None,
        _ if route.starts_with("DELETE ") && route.ends_with("/dead-letters") => AuditType::Administration,
        // The roles were not assigned, and the privileges not granted, so nothing changes.
        _ if REVOCATIONS.iter().any(|end| route.ends_with(end)) && !route.starts_with("PUT ") && changes(route) => {
            return None;
        }
        _ if changes(route) && !READS.iter().any(|end| route.ends_with(end)) => {
            return (!has_event).then(|| "left no event".to_owned());
        }
        _ => AuditType::Read,
    };
    match record {
        None => Some("left no record".to_owned()),
        Some(record) if record.entry.kind != expected || record.entry.decision != AuditDecision::Allowed => {
            Some(format!("left {record:?}"))
        }
        Some(_) => None,
    }
}

#[tokio::test]
async fn every_route_leaves_a_record_for_every_caller() {
    let catalog = Catalog::with(|config| (config.audit.reads, config.audit.repeat_s) = (true, 0)).await;
    let mut world = World::over(catalog).await;
    let mut wrong = String::new();
    for route in routes(&world.catalog).await {
        let (method, _) = route.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut objects = world.objects(&route).await;
        let mut sent = Vec::new();
        for column in COLUMNS {
            if route.ends_with("/{organisation}/restore") && ["operator", "machine"].contains(&column) {
                objects.delete_organisation(&world.catalog).await;
            }
            let proof = proof(column, &world.strangers, &objects.organisation.keys);
            let (path, content) = request(&route, &objects, proof);
            let answer = proof.send(&world.catalog, method.clone(), &path, content).await;
            sent.push((column, answer.status.as_u16(), answer.header("x-request-id").to_owned()));
            if changes(&route) && answer.status.is_success() {
                objects = world.objects(&route).await;
            }
        }
        let left = Left::read(&world.catalog).await;
        for (column, status, id) in sent {
            let problem = match status {
                401 | 403 => check_refusal(left.records.get(&id), &route, column, status),
                // The organisation is hidden.
                404 if column == "other" && route.contains("{organisation}") => {
                    check_refusal(left.records.get(&id), &route, column, status)
                }
                200..300 => check_allowed(&left, &id, &route),
                _ => None,
            };
            if let Some(problem) = problem {
                writeln!(wrong, "{route} as '{column}' ({status}) {problem}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
