//! The maintenance of tables: health, policies and runs.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_console::browse::Location;
use tidewater_console::frame::render;
use tidewater_console::link::{Link, encoded};
use tidewater_console::table::{Section, tabs};
use tidewater_console::texts::care as c;
use tidewater_console::upkeep::{Health, Level, MaintenancePage, RunPage, RunRow, policy, policy_of_form, run_link};
use tidewater_console::{Frame, Place};

use super::door::Refusal;
use super::page::{Asked, Page, organisation_path};
use super::query::quoted;

/// The number of runs of a page.
const PAGE_SIZE: &str = "50";

/// The most levels of a namespace whose policies are read.
const MAX_LEVELS: usize = 32;

/// Returns the path of the maintenance of a warehouse's objects in the management API.
fn maintenance_path(asked: &Asked<'_>, place: &Location, below: &str) -> Link {
    let warehouse = encoded(&place.warehouse);
    Link::to(&organisation_path(asked, &format!("/warehouses/{warehouse}/maintenance/{below}")))
}

/// Returns the path of the health of a table.
pub(super) fn health_path(asked: &Asked<'_>, place: &Location, table: &str) -> String {
    maintenance_path(asked, place, "health").with("namespace", &place.key()).with("table", table).text()
}

fn policy_path(asked: &Asked<'_>, place: &Location, table: &str) -> String {
    let path = maintenance_path(asked, place, "policy");
    path.with_some("namespace", Some(&place.key())).with_some("table", Some(table)).text()
}

/// Adds the calls to a frame, each with the command that does the same.
pub(super) fn with_commands(asked: &Asked<'_>, mut frame: Frame, place: &Location, table: &str) -> Frame {
    let names =
        format!("--warehouse {} --org {}", quoted(&place.warehouse), quoted(&asked.door.session.who.organisation));
    let name = quoted(&place.dotted_with(table));
    frame.calls = asked.door.take_calls();
    for call in &mut frame.calls {
        let part = call.path.split_once("/maintenance/").map(|(_, part)| part.split('?').next().unwrap_or_default());
        call.command = match part {
            Some("health") => Some(format!("tidewater maintenance health {name} {names}")),
            Some("policy") if call.path.contains("table=") => {
                Some(format!("tidewater maintenance policy --table {name} {names}"))
            }
            Some("runs") if !table.is_empty() => Some(format!("tidewater maintenance list {name} {names}")),
            Some("runs") => Some(format!("tidewater maintenance list {names}")),
            Some("policy") if !call.path.contains('?') => Some(format!("tidewater maintenance policy {names}")),
            _ => None,
        };
    }
    frame
}

/// Shows the maintenance of a warehouse, namespace or table.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let levels = levels(asked, &place, &name).await?;
    let (mut health, mut no_health) = (None, None);
    if !name.is_empty() {
        match asked.door.get(&health_path(asked, &place, &name)).await {
            Ok(found) => health = Some(Health::parse(&found)),
            Err(refusal) if refusal.is_signed_out() => return Err(refusal),
            // Policies and runs can be shown without it.
            Err(refusal) => no_health = Some(refusal.message),
        }
    }
    let is_namespace = name.is_empty() && !place.levels.is_empty();
    let (runs, more) = if is_namespace { (None, None) } else { runs(asked, &place, &name).await? };
    let heading = match place.levels.last() {
        _ if !name.is_empty() => name.clone(),
        Some(last) => last.clone(),
        None => place.warehouse.clone(),
    };
    let frame = place.crumbs(asked.frame(&heading, Place::Catalog), !name.is_empty());
    Ok(Page::Html(render(&MaintenancePage {
        frame: with_commands(asked, frame, &place, &name),
        tabs: if name.is_empty() { Vec::new() } else { tabs(&place, &name, Section::Maintenance, asked.offer()) },
        heading,
        health,
        no_health,
        policy: policy(&levels),
        runs,
        more,
        place,
        name,
    })))
}

/// Returns what is set on the object itself and on those around it, the nearest first.
async fn levels(asked: &Asked<'_>, place: &Location, table: &str) -> Result<Vec<Level>, Refusal> {
    let mut levels = Vec::new();
    if !table.is_empty() {
        levels.push(level(asked, place, table, c::THIS_TABLE.to_owned()).await?);
    }
    let mut around = place.clone();
    for _ in 0..MAX_LEVELS {
        if around.levels.is_empty() {
            break;
        }
        let label = if levels.is_empty() { c::THIS_NAMESPACE.to_owned() } else { c::of_namespace(&around.dotted()) };
        levels.push(level(asked, &around, "", label).await?);
        around.levels.pop();
    }
    around.levels.clear();
    let label = if levels.is_empty() { c::THIS_WAREHOUSE.to_owned() } else { c::of_warehouse(&around.warehouse) };
    levels.push(level(asked, &around, "", label).await?);
    Ok(levels)
}

async fn level(asked: &Asked<'_>, place: &Location, table: &str, label: String) -> Result<Level, Refusal> {
    let mut found = asked.door.get(&policy_path(asked, place, table)).await?;
    Ok(Level { label, own: found["own"].take() })
}

type Runs = (Option<Vec<RunRow>>, Option<String>);

async fn runs(asked: &Asked<'_>, place: &Location, table: &str) -> Result<Runs, Refusal> {
    let namespace = place.key();
    let path = maintenance_path(asked, place, "runs")
        .with_some("namespace", Some(&namespace).filter(|_| !table.is_empty()).map(String::as_str))
        .with_some("table", Some(table))
        .with_some("page-token", asked.query.get("page"))
        .with("page-size", PAGE_SIZE);
    let found = asked.door.get(&path.text()).await?;
    let rows = found["runs"].as_array().into_iter().flatten().map(RunRow::parse).collect();
    let more = found["next-page-token"].as_str().map(|token| place.maintenance(table).with("page", token).text());
    Ok((Some(rows), more))
}

/// Shows a run.
pub(super) async fn run(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let path = maintenance_path(asked, &place, "runs").with("run-id", asked.query.text("id")).text();
    let found = asked.door.get(&path).await?;
    let Some(run) = found["runs"].get(0).map(RunRow::parse) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, c::MISSING_RUN));
    };
    let mut frame = place.crumbs(asked.frame(&run.operation, Place::Catalog), true);
    if !name.is_empty() {
        frame = frame.crumb(&name, place.object("table", &name));
    }
    let mut frame = frame.crumb(c::MAINTENANCE, place.maintenance(&name));
    frame.calls = asked.door.take_calls();
    if let Some(call) = frame.calls.last_mut() {
        let (warehouse, organisation) = (quoted(&place.warehouse), quoted(&asked.door.session.who.organisation));
        call.command = Some(format!(
            "tidewater maintenance show {} --warehouse {warehouse} --org {organisation}",
            quoted(&run.id)
        ));
    }
    Ok(Page::Html(render(&RunPage { frame, place, name, run })))
}

/// Starts an operation on a table, and goes on to the page of its run.
pub(super) async fn start(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (form, place, table) = (asked.query, asked.query.location(), asked.query.text("t"));
    let body = json!({
        "identifier": { "namespace": place.levels, "name": table },
        "operation": form.text("operation"),
        "dry-run": form.get("dry").is_some(),
    });
    let started = asked.door.change(Method::POST, &maintenance_path(asked, &place, "runs").text(), Some(&body)).await?;
    Ok(Page::To(run_link(&place, table, started["run-id"].as_str().unwrap_or_default())))
}

/// Sets the policy of a form in place of the one before.
pub(super) async fn set_policy(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let policy = policy_of_form(|name| asked.query.get(name));
    put_policy(asked, &policy.map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))?, "policy").await
}

/// Removes the policy of an object, so that it inherits everything.
pub(super) async fn clear_policy(asked: &Asked<'_>) -> Result<Page, Refusal> {
    put_policy(asked, &json!({}), "policy-cleared").await
}

async fn put_policy(asked: &Asked<'_>, policy: &Value, done: &str) -> Result<Page, Refusal> {
    let (place, table) = (asked.query.location(), asked.query.text("t"));
    asked.door.change(Method::PUT, &policy_path(asked, &place, table), Some(policy)).await?;
    Ok(Page::To(place.maintenance(table).with("done", done).text()))
}
