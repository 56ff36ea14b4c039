//! A hidden object is answered for as one that does not exist: same status, headers and text, in every route.

use axum::http::HeaderMap;
use serde_json::json;
use tidewater::base::clock::fresh_uuid;
use tidewater_core::access::{Privilege, Securable};

use super::matrix::{Names, Row, Table, request};
use super::team::{Team, namespace};
use crate::support::{Answer, Catalog, create_table, create_view};

/// What a principal may see, and the kinds of names that are hidden from it.
struct Case {
    sees: &'static str,
    hidden: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case { sees: "nothing", hidden: &["warehouse", "namespace", "table", "view", "dropped"] },
    Case { sees: "another table and another view of the namespace", hidden: &["table", "view", "dropped"] },
    Case { sees: "another namespace", hidden: &["namespace", "table", "view", "dropped"] },
    Case { sees: "the namespace", hidden: &["table", "view", "dropped"] },
];

/// Gives a team what it may see.
async fn show(team: &Team<'_>, case: &Case) {
    let b = namespace(&["a", "b"]);
    match case.sees {
        "nothing" => {}
        "another namespace" => team.grant_on(&["a", "bc"], Privilege::TableWriteData).await,
        "the namespace" => team.grant_on(&["a", "b"], Privilege::NamespaceReadProperties).await,
        _ => {
            let (table, view) = (team.table(&b, "sibling").await, team.table(&b, "sibling-view").await);
            team.grant(Securable::Table(table, None), Privilege::TableFullMetadata).await;
            team.grant(Securable::View(view, None), Privilege::ViewFullMetadata).await;
        }
    }
}

/// Returns the names with one that does not exist.
fn absent(names: &Names, kind: &str) -> Names {
    let mut names = names.clone();
    match kind {
        "warehouse" => names.warehouse = "absent".to_owned(),
        "namespace" => names.namespace = vec!["a".to_owned(), "absent".to_owned()],
        // The tables of a transaction are looked up in the order of their names.
        "table" => names.table = "t-absent".to_owned(),
        "view" => names.view = "absent".to_owned(),
        _ => (names.dropped, names.dropped_view) = (fresh_uuid().to_string(), fresh_uuid().to_string()),
    }
    names
}

/// Returns an answer's headers and text with the names of both requests written alike.
fn normal(answer: &Answer, asked: &Names) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    for changes in ["x-request-id", "content-length", "ratelimit", "x-ratelimit-remaining"] {
        headers.remove(changes);
    }
    let Names { warehouse, namespace, table, view, dropped, dropped_view, .. } = asked;
    let mut text = String::from_utf8_lossy(&answer.bytes).into_owned();
    for (name, instead) in [(dropped, "ID"), (dropped_view, "ID")] {
        text = text.replace(name, instead);
    }
    let namespace = namespace.join(".");
    for (name, instead) in [
        (format!("{namespace}.{table}"), "TABLE"),
        (format!("{namespace}.{view}"), "VIEW"),
        (format!(": {namespace}"), "NAMESPACE"),
        (format!("'{namespace}'"), "NAMESPACE"),
        (format!("'{namespace}.new'"), "NEW"),
        (format!(": {warehouse}\""), "WAREHOUSE"),
    ] {
        text = text.replace(&name, instead);
    }
    (answer.status.as_u16(), headers, text)
}

/// Returns the rows of the matrix, and commits that assert that the table does not exist. Leaves out the sign-in: its answer is a
/// new token.
fn rows() -> Vec<Row> {
    let mut rows = Table::read().rows;
    rows.retain(|row| row.route != "POST /v1/oauth/tokens");
    rows.push(Row::creating("POST /v1/namespaces/{namespace}/tables/{table}"));
    rows.push(Row::creating("POST /v1/transactions/commit"));
    rows
}

/// Creates the other objects of the rows. Returns the names of those that are to be hidden.
async fn objects(team: &Team<'_>) -> Names {
    const NAMESPACE: &str = "/v1/namespaces/a%1Fb";
    for (below, body) in [
        ("tables", create_table("sibling")),
        ("tables", create_table("dropped")),
        ("tables", create_table("gone")),
        ("views", create_view("sibling-view", "select 1")),
        ("views", create_view("dropped-view", "select 1")),
    ] {
        team.catalog.post(&team.admin, &format!("{NAMESPACE}/{below}"), &body).await.ok(200);
    }
    let gone = team.catalog.post(&team.admin, &format!("{NAMESPACE}/tables/gone/unregister"), &json!({})).await.ok(200);
    let b = namespace(&["a", "b"]);
    let names = Names {
        warehouse: "lake".to_owned(),
        namespace: vec!["a".to_owned(), "b".to_owned()],
        table: "t".to_owned(),
        view: "v".to_owned(),
        dropped: team.table(&b, "dropped").await.to_string(),
        dropped_view: team.table(&b, "dropped-view").await.to_string(),
        table_metadata: gone["metadata-location"].clone(),
        view_metadata: json!("file:///nowhere"),
    };
    for dropped in ["tables/dropped", "views/dropped-view"] {
        team.catalog.delete(&team.admin, &format!("{NAMESPACE}/{dropped}")).await.ok(204);
    }
    for role in ["principal-roles", "warehouses/lake/catalog-roles"] {
        let path = format!("/management/v1/organisations/acme/{role}");
        team.catalog.post(&team.admin, &path, &json!({ "name": "spare" })).await.ok(200);
    }
    names
}

#[tokio::test]
async fn hidden_object_is_answered_for_as_one_that_does_not_exist() {
    let mut compared = 0;
    for case in &CASES {
        let catalog = Catalog::new().await;
        let organisation = catalog.organisation("acme", "enterprise").await;
        catalog.warehouse(organisation, "lake").await;
        let team = Team::of(&catalog, organisation).await;
        let names = objects(&team).await;
        show(&team, case).await;
        for row in rows() {
            for kind in case.hidden {
                let other = absent(&names, kind);
                for prefix in row.prefixes().iter().copied() {
                    let ask = async |names: &Names| {
                        let answer = catalog.send(request(&row, names, &team.key, prefix)).await;
                        normal(&answer, names)
                    };
                    let (hidden, missing) = (ask(&names).await, ask(&other).await);
                    assert_eq!(hidden, missing, "{}: a {kind}, for a principal that sees {}", row.name(), case.sees);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}
