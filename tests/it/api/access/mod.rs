//! Who may do what, route by route: every route of the OpenAPI document, which another test compares with the router, is asked
//! by every kind of caller. `table.txt` has the answers.
//!
//! For a new route, add its line to `table.txt` and its request to `requests.rs`. For a new kind of caller, add its column and
//! its credential to `Callers`.

mod callers;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use axum::http::Method;
use serde_json::Value;

use self::callers::{COLUMNS, Callers};
use self::requests::{Objects, request};
use crate::support::{Answer, Catalog};

const TABLE: &str = include_str!("table.txt");

/// A caller that is not tried yet.
const NOT_TRIED: &str = "-";

/// The rows of `table.txt`: each route with the expected status by the caller's column.
fn rows() -> BTreeMap<String, Vec<&'static str>> {
    let mut lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().skip(2).collect();
    assert_eq!(columns, COLUMNS, "the columns of table.txt");
    let mut rows = BTreeMap::new();
    for line in lines {
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells.len(), COLUMNS.len() + 2, "a cell for each column: {line}");
        let row = rows.insert(format!("{} {}", cells[0], cells[1]), cells[2..].to_vec());
        assert!(row.is_none(), "twice: {line}");
    }
    rows
}

/// Every route: the operations of the OpenAPI document, and those with a prefix also without it.
async fn routes(catalog: &Catalog) -> BTreeSet<String> {
    let document = catalog.get("", "/openapi.json").await.ok(200);
    let documented = super::openapi::operations(&document).into_iter();
    documented.flat_map(|route| [route.replacen("/{prefix}", "", 1), route]).collect()
}

/// Whether an answer is what the door says to whoever does not pass, in the shape of the specification.
#[track_caller]
fn check_refusal(route: &str, answer: &Answer) {
    if route == "POST /v1/oauth/tokens" && answer.status == 401 {
        assert_eq!(answer.json()["error"], "invalid_client", "{route}");
        return;
    }
    let kind = match answer.status.as_u16() {
        401 => "NotAuthorizedException",
        403 => "ForbiddenException",
        _ => return,
    };
    if !route.starts_with("HEAD ") {
        assert_eq!(answer.json()["error"]["type"], kind, "{route}");
    }
}

/// What an admin sees of the objects that a route is about.
async fn seen(catalog: &Catalog, callers: &Callers, objects: &Objects) -> Vec<Value> {
    let namespace = format!("/v1/namespaces/{}", objects.namespace);
    let mut seen = Vec::new();
    for path in ["", "/tables", "/views", "/tables/t", "/views/v"] {
        seen.push(catalog.get(&callers.admin, &format!("{namespace}{path}")).await.ok(200));
    }
    seen.push(catalog.get(&callers.admin, "/management/v1/warehouses/lake/dropped").await.ok(200));
    seen
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let catalog = Catalog::new().await;
    let callers = Callers::new(&catalog).await;
    let (rows, routes) = (rows(), routes(&catalog).await);
    let named: BTreeSet<String> = rows.keys().cloned().collect();
    let without_row: Vec<_> = routes.difference(&named).collect();
    let without_route: Vec<_> = named.difference(&routes).collect();
    assert!(without_row.is_empty(), "routes without a row in table.txt: {without_row:#?}");
    assert!(without_route.is_empty(), "rows of table.txt without a route: {without_route:#?}");

    let mut wrong = String::new();
    for (route, expected) in &rows {
        let changes = !route.starts_with("GET ") && !route.starts_with("HEAD ");
        let mut objects = Objects::new(&catalog, &callers, route).await;
        let before = seen(&catalog, &callers, &objects).await;
        let mut found = Vec::new();
        for (column, expected) in COLUMNS.iter().zip(expected) {
            let Some(credential) = callers.credential(column) else {
                assert_eq!(*expected, NOT_TRIED, "{route}: there is no '{column}' to try it as");
                found.push(NOT_TRIED.to_owned());
                continue;
            };
            // The callers before these two change nothing.
            if *column == "writer" {
                assert_eq!(seen(&catalog, &callers, &objects).await, before, "{route} changed something for a caller");
            } else if *column == "admin" && changes {
                objects = Objects::new(&catalog, &callers, route).await;
            }
            let (method, template) = route.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let (path, body) = request(&method, template, &objects, credential);
            let answer = callers.send(&catalog, credential, method, &path, body).await;
            if answer.status.as_u16().to_string() == *expected {
                check_refusal(route, &answer);
            }
            found.push(answer.status.as_u16().to_string());
        }
        if found != *expected {
            writeln!(wrong, "{route} is answered {}, not {}", found.join(" "), expected.join(" ")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
