//! The preview of a roll-back: what a branch would no longer have.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidewater_console::frame::render;
use tidewater_console::snapshots::{History, MAIN};
use tidewater_console::table::RollbackPage;
use tidewater_console::{Call, Place, texts as t};

use super::door::Refusal;
use super::page::{Asked, Page};
use super::query::object_path;
use super::table::load;

/// The branch that is rolled back.
pub(super) const BRANCH: &str = MAIN;

/// Returns the body of a commit that changes a branch or tag. It fails if the branch or tag no longer points to `expected`.
pub(super) fn commit_of(name: &str, expected: Option<i64>, update: &Value) -> Value {
    let requirement = json!({ "type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": expected });
    json!({ "requirements": [requirement], "updates": [update] })
}

/// Returns the update that points the branch to a snapshot. `branch` has its type and retention, which stay.
pub(super) fn update_of(mut branch: Value, target: i64) -> Option<Value> {
    let fields = branch.as_object_mut()?;
    fields.insert("action".to_owned(), "set-snapshot-ref".into());
    fields.insert("ref-name".to_owned(), BRANCH.into());
    fields.insert("snapshot-id".to_owned(), target.into());
    Some(branch)
}

/// Shows what the branch `main` would lose by a roll-back to a snapshot, or have again if a roll-back is undone.
pub(super) async fn preview(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let target = asked.query.number("to").unwrap_or_default();
    let path = object_path(&place, "tables", &name);
    let read = |mut loaded: Value| {
        let mut metadata = loaded["metadata"].take();
        (History::parse(&metadata), metadata["refs"][BRANCH].take())
    };
    let (history, branch) = load(asked.door, &path, read).await?;
    let not_offered = || Refusal::new(StatusCode::CONFLICT, t::NOT_AN_ANCESTOR);
    let head = history.references.iter().find(|one| one.name == BRANCH).ok_or_else(not_offered)?.snapshot_id;
    // After a roll-back, the way forward undoes it.
    let (changed, is_forward) = match history.since(head, target) {
        Some(undone) => (undone, false),
        None => (history.since(target, head).ok_or_else(not_offered)?, true),
    };
    let changed =
        changed.into_iter().map(|one| [one.id.to_string(), one.time.clone(), one.operation.clone(), one.rows.clone()]);
    let target_time = history.find(target).map(|one| one.time.clone()).unwrap_or_default();
    let table = place.object("table", &name);
    let heading = if is_forward { t::ROLL_FORWARD } else { t::ROLL_BACK };
    let mut frame = place.crumbs(asked.frame(heading, Place::Catalog), true).crumb(&name, table.clone());
    frame.calls = asked.door.take_calls();
    if let Some(update) = update_of(branch, target) {
        let body = commit_of(BRANCH, Some(head), &update);
        let body = serde_json::to_string_pretty(&body).unwrap_or_default();
        frame.calls.push(Call { method: "POST".to_owned(), path, body: Some(body), command: None });
    }
    Ok(Page::Html(render(&RollbackPage {
        frame,
        branch: BRANCH.to_owned(),
        target,
        target_time,
        changed: changed.collect(),
        is_forward,
        head,
        back: table.with("show", "history").text(),
        place,
        name,
    })))
}
