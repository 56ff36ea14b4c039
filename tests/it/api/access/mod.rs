//! The authorisation test. Sends every route of the OpenAPI document (which another test compares with the router) as every
//! kind of caller, and compares the statuses with `table.txt`.
//!
//! For a new route, add its line to `table.txt` and its request to `requests.rs`. For a new kind of caller, add its column and
//! its proof to `callers.rs`.

mod attacks;
mod callers;
mod events;
mod grants;
mod lists;
mod matrix;
mod objects;
mod oracle;
mod polaris;
mod races;
mod random;
mod requests;
mod s3;
mod team;
mod vending;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use axum::http::Method;

use self::callers::{COLUMNS, Strangers, proof};
use self::objects::{Objects, Organisation};
use self::requests::request;
use crate::support::{Answer, Catalog};

const TABLE: &str = include_str!("table.txt");

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

/// Returns every route: the operations of the OpenAPI document, and those with a prefix also without it.
async fn routes(catalog: &Catalog) -> BTreeSet<String> {
    let document = catalog.get("", "/openapi.json").await.ok(200);
    let documented = super::openapi::operations(&document).into_iter();
    documented.flat_map(|route| [route.replacen("/{prefix}", "", 1), route]).collect()
}

/// Checks that a response is the refusal for callers without permission, in the shape of the specification.
#[track_caller]
fn check_refusal(route: &str, column: &str, answer: &Answer) {
    if route == "POST /v1/oauth/tokens" && answer.status == 401 {
        assert_eq!(answer.json()["error"], "invalid_client", "{route}");
        return;
    }
    let kind = match answer.status.as_u16() {
        401 => "NotAuthorizedException",
        403 => "ForbiddenException",
        // The organisation itself is hidden, not the object in it.
        404 if column == "other" && (route.contains("{organisation}") || polaris::is_managed(route)) => {
            "NotFoundException"
        }
        _ => return,
    };
    if !route.starts_with("HEAD ") {
        assert_eq!(answer.json()["error"]["type"], kind, "{route}");
    }
}

/// A catalog, and the objects that all rows share.
struct World {
    catalog: Catalog,
    strangers: Strangers,
    acme: Arc<Organisation>,
    /// The number of created sets of objects.
    made: usize,
}

impl World {
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let strangers = Strangers::new(&catalog).await;
        let acme = Organisation::new(&catalog, "acme".to_owned()).await;
        Self { catalog, strangers, acme, made: 0 }
    }

    /// Creates the objects of a route. If the route may change the organisation, its keys or its warehouses, they get their own
    /// organisation.
    async fn objects(&mut self, route: &str) -> Objects {
        self.made += 1;
        let organisation = if changes(route) && (route.contains(" /management/") || polaris::is_managed(route)) {
            Organisation::new(&self.catalog, format!("acme-{}", self.made)).await
        } else {
            Arc::clone(&self.acme)
        };
        Objects::new(&self.catalog, organisation, self.made, route).await
    }

    /// Sends a route as every caller. Returns the statuses by column.
    ///
    /// Creates the objects again after a change. A refused request must change nothing.
    async fn ask(&mut self, route: &str) -> Vec<String> {
        let (method, _) = route.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut objects = self.objects(route).await;
        let mut before = objects.seen(&self.catalog).await;
        let mut found = Vec::new();
        for column in COLUMNS {
            // While an organisation is deleted, all its keys are refused, so that only these columns reach the decision.
            if route.ends_with("/{organisation}/restore") && ["operator", "machine"].contains(&column) {
                objects.delete_organisation(&self.catalog).await;
            }
            let proof = proof(column, &self.strangers, &objects.organisation.keys);
            let (path, content) = request(route, &objects, proof);
            let answer = proof.send(&self.catalog, method.clone(), &path, content).await;
            check_refusal(route, column, &answer);
            found.push(answer.status.as_u16().to_string());
            if !changes(route) {
                continue;
            }
            if answer.status.is_success() {
                objects = self.objects(route).await;
                before = objects.seen(&self.catalog).await;
            } else {
                let after = objects.seen(&self.catalog).await;
                assert_eq!(after, before, "{route} was refused for '{column}' but changed something");
            }
        }
        found
    }
}

fn changes(route: &str) -> bool {
    !route.starts_with("GET ") && !route.starts_with("HEAD ")
}

#[tokio::test]
async fn every_route_answers_every_caller_with_the_status_in_the_table() {
    let mut world = World::new().await;
    let (rows, routes) = (rows(), routes(&world.catalog).await);
    let named: BTreeSet<String> = rows.keys().cloned().collect();
    let without_row: Vec<_> = routes.difference(&named).collect();
    let without_route: Vec<_> = named.difference(&routes).collect();
    assert!(without_row.is_empty(), "routes without a row in table.txt: {without_row:#?}");
    assert!(without_route.is_empty(), "rows of table.txt without a route: {without_route:#?}");

    let mut wrong = String::new();
    for (route, expected) in &rows {
        let found = world.ask(route).await;
        if found != *expected {
            writeln!(wrong, "{route} returned {}, expected {}", found.join(" "), expected.join(" ")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
