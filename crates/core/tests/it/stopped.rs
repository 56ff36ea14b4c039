//! Commits that are stopped early.

use std::cell::Cell;

use serde_json::{Value, json};
use tidewater_core::commit::{CommitError, Context, TableCommit, apply_updates, create_from_updates};
use tidewater_core::stop::{Stop, Stopped};
use tidewater_core::view::{ViewCommit, apply_view_updates};

use crate::support::{context, document};

/// The number of steps before the stop, and the number of all steps.
const WANTED: usize = 5;
const UPDATES: usize = 1_000;

fn body() -> String {
    let update = |number| json!({ "action": "set-properties", "updates": { format!("k{number}"): "v" } });
    json!({ "requirements": [], "updates": (0..UPDATES).map(update).collect::<Vec<Value>>() }).to_string()
}

/// Runs work and stops it after a few steps. Checks that it ended then.
fn check_stops<T: std::fmt::Debug>(work: impl FnOnce(Stop<'_>) -> Result<T, CommitError>) {
    let steps = Cell::new(0);
    let is_over = || {
        steps.set(steps.get() + 1);
        steps.get() > WANTED
    };
    let stopped = work(Stop::when(&is_over)).unwrap_err();
    assert_eq!((stopped, steps.get()), (CommitError::Stopped(Stopped), WANTED + 1));
}

#[test]
fn stopped_commit_ends_between_updates() {
    let body = body();
    check_stops(|stop| TableCommit::parse_until(body.as_bytes(), stop));
    let updates = TableCommit::parse(body.as_bytes()).unwrap().updates;
    check_stops(|stop| apply_updates(&document("v2"), &updates, &Context { stop, ..context() }));
    check_stops(|stop| create_from_updates(&updates, "s3://b/t", &Context { stop, ..context() }));
    let changes = json!({ "table-changes": [{ "identifier": { "namespace": ["a"], "name": "t" },
        "requirements": [], "updates": serde_json::from_str::<Value>(&body).unwrap()["updates"] }] })
    .to_string();
    check_stops(|stop| TableCommit::parse_transaction_until(changes.as_bytes(), stop));
    let updates = ViewCommit::parse(body.as_bytes()).unwrap().updates;
    check_stops(|stop| apply_view_updates(&crate::views::view(), &updates, 1, stop));
}
