//! The matrix of privileges. Sends the request of every route as a principal for every privilege in every place, as owners, and
//! without a grant, and compares the answers with `privileges.txt`.
//!
//! For a new route, add its row to `privileges.txt`. If grants can allow it, add its body to `requests.rs`, and to
//! `World::undo` how to undo it.

mod expected;
mod requests;
mod world;

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use tidewater_core::access::Privilege;

use self::expected::{Expected, Holding};
pub(super) use self::expected::{Row, Table};
pub(super) use self::requests::{Names, request};
use self::world::{Holder, World};
use super::routes;
use crate::support::Answer;

/// How many refused requests run at the same time.
const AT_ONCE: usize = 16;

/// Returns what is wrong with an answer, if anything.
fn fault(expected: &Expected, answer: &Answer, is_head: bool) -> Option<String> {
    let status = answer.status.as_u16();
    let error = || if is_head { serde_json::Value::Null } else { answer.json()["error"].clone() };
    let wrong = match expected {
        // That a function does not exist is also an answer to an allowed request.
        Expected::Allowed(404) => {
            let kinds = ["NoSuchFunctionException", "NoSuchPlanIdException", "NoSuchPlanTaskException"];
            status != 404 || !kinds.iter().any(|kind| error()["type"] == *kind)
        }
        Expected::Allowed(allowed) => status != *allowed,
        Expected::Missing(privilege) => {
            let message = format!("You lack the privilege {privilege} on ");
            status != 403 || !is_head && !error()["message"].as_str().unwrap_or_default().starts_with(&message)
        }
        Expected::Role => {
            status != 403 || !error()["message"].as_str().unwrap_or_default().starts_with("Your key's role is 'none'")
        }
        Expected::Hidden(kind) => status != 404 || !is_head && error()["type"] != *kind,
    };
    wrong.then(|| format!("expected {expected:?}, got {status} {}", String::from_utf8_lossy(&answer.bytes)))
}

impl World {
    async fn ask(&self, row: &Row, holder: &Holder, prefix: bool) -> Answer {
        self.catalog.send(request(row, &self.names, &holder.key, prefix)).await
    }

    /// Sends a row's request as every principal. Returns the wrong answers, and the number of requests.
    ///
    /// Sends the refused requests first, which must change nothing, then the allowed ones.
    async fn check(&self, table: &Table, row: &Row, prefix: bool) -> (Vec<String>, usize) {
        let is_head = row.route.starts_with("HEAD ");
        let cells = self.holders.iter().map(|holder| (holder, table.expected(row, &holder.holdings)));
        let (allowed, refused): (Vec<_>, Vec<_>) =
            cells.partition(|(_, expected)| matches!(expected, Expected::Allowed(_)));
        let count = allowed.len() + refused.len();
        let wrong = |holder: &Holder, fault| {
            let path = if prefix { " (with a prefix)" } else { "" };
            format!("{}{path} with {}: {fault}", row.name(), holder.name())
        };
        let before = if row.changes() { self.state().await } else { Vec::new() };
        let answers = stream::iter(&refused).map(|(holder, expected)| async move {
            let answer = self.ask(row, holder, prefix).await;
            fault(expected, &answer, is_head).map(|fault| wrong(holder, fault))
        });
        let mut all: Vec<String> = answers.buffered(AT_ONCE).filter_map(std::future::ready).collect().await;
        // Later requests would not find their objects.
        let is_unchanged = !row.changes() || before == self.state().await;
        assert!(is_unchanged, "{}: a refused request changed something:\n{}", row.name(), all.join("\n"));
        for (holder, expected) in &allowed {
            let answer = self.ask(row, holder, prefix).await;
            match fault(expected, &answer, is_head) {
                None => self.undo(row, &answer).await,
                Some(fault) => all.push(wrong(holder, fault)),
            }
        }
        (all, count)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_allowed_with_the_privileges_in_the_table_and_refused_with_all_others() {
    let (table, world) = (Table::read(), World::new().await);
    let named: BTreeSet<String> = table.rows.iter().flat_map(Row::routes).collect();
    let routed = routes(&world.catalog).await;
    let without_row: Vec<_> = routed.difference(&named).collect();
    let without_route: Vec<_> = named.difference(&routed).collect();
    assert!(without_row.is_empty(), "routes without a row in privileges.txt: {without_row:#?}");
    assert!(without_route.is_empty(), "rows of privileges.txt without a route: {without_route:#?}");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for row in &table.rows {
        for prefix in row.prefixes() {
            let (found, asked) = world.check(&table, row, *prefix).await;
            wrong.extend(found);
            count += asked;
        }
    }
    let (shown, total) = (wrong.len().min(40), wrong.len());
    assert!(wrong.is_empty(), "{total} of {count} answers are wrong:\n{}", wrong[..shown].join("\n"));
    assert!(count > 15_000, "{count} requests");
}

#[test]
fn every_privilege_has_a_route_that_needs_it() {
    let table = Table::read();
    let known: BTreeSet<_> = Privilege::ALL.iter().map(|privilege| privilege.as_str()).collect();
    assert_eq!(table.privileges(), known, "the privileges of privileges.txt");
    for privilege in Privilege::ALL {
        let held = [Holding { privilege: privilege.as_str(), place: "warehouse" }];
        let is_allowed = |row: &&Row| matches!(table.expected(row, &held), Expected::Allowed(_));
        let is_refused = |row: &Row| !matches!(table.expected(row, &[]), Expected::Allowed(_));
        let row = table.rows.iter().filter(|row| row.needs_grants()).find(is_allowed);
        assert!(row.is_some_and(is_refused), "no route is allowed by {privilege} and refused without it");
    }
}
