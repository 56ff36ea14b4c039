//! The pages of operators: all organisations, the server, and its slow requests.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidewater_console::link::{Link, encoded};
use tidewater_console::records::{Records, RecordsPage, Row, text};
use tidewater_console::texts::operators as o;
use tidewater_console::usage::{Chart, MAX_DAYS};
use tidewater_console::{Call, Place, duration, operators as view, texts as t};

use super::door::Refusal;
use super::page::{Asked, Page, done};
use super::query::quoted;
use super::records::{PAGE_SIZE, Same, shown};

const ORGANISATIONS: &str = "/management/v1/organisations";

/// Shows the organisations whose name begins with a text.
pub(super) async fn organisations(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let prefix = asked.query.text("q").trim().to_owned();
    let first = || view::before(&prefix).map(|before| URL_SAFE_NO_PAD.encode(before));
    let token = asked.query.get("page").map(str::to_owned).or_else(first);
    let path = Link::to(ORGANISATIONS).with_some("page-token", token.as_deref()).with("page-size", PAGE_SIZE);
    let found = asked.door.get(&path.text()).await?;
    let tiers = view::tiers(&asked.door.get("/management/v1/tiers").await?);
    let own = Link::to("organisations").with_some("q", Some(&prefix));
    let mut page = page(asked, Place::Organisations, o::ORGANISATIONS);
    page.hint = o::ORGANISATIONS_HINT;
    page.search = Some(view::search(&prefix));
    page.lists.push(view::organisations(&found, &prefix, own));
    page.forms.push(view::create(tiers));
    let body = json!({ "name": "acme", "tier": "free" });
    let create = change("POST", ORGANISATIONS, Some(&body), "tidewater org create acme --tier free");
    Ok(shown(asked, page, vec![create]))
}

/// Shows an organisation, with its usage against its limits.
pub(super) async fn organisation(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let path = path_of(asked.query.text("name"));
    let one = asked.door.get(&path).await?;
    let now_ms = asked.door.api.now_ms();
    let day = |ms: i64| tidewater_console::format::time(ms).chars().take(10).collect::<String>();
    let from_ms = now_ms - (MAX_DAYS as i64 - 1) * 86_400_000;
    let usage = Link::to(&format!("{path}/usage")).with("from", &day(from_ms)).with("to", &day(now_ms)).text();
    let chart = Chart::parse(&asked.door.get(&usage).await?, now_ms);
    let tiers = view::tiers(&asked.door.get("/management/v1/tiers").await?);
    let name = text(&one, "name");
    let mut page = RecordsPage { kind: o::ORGANISATION, ..page(asked, Place::Organisations, &name) };
    page.frame = page.frame.crumb(o::ORGANISATIONS, Link::to("organisations"));
    page.facts = [view::facts(&one), chart.facts].concat();
    let row = |(day, requests): (String, String)| Row { name: day, cells: vec![requests], ..Row::default() };
    page.lists.push(Records {
        heading: t::REQUESTS_BY_DAY,
        columns: vec![t::DAY, t::REQUESTS],
        empty: t::empty::NO_REQUESTS,
        rows: chart.bars.into_iter().rev().map(|bar| row((bar.day, bar.requests))).collect(),
        ..Records::default()
    });
    page.forms = view::forms(&one, tiers);
    let quoted = quoted(&name);
    let suspend = json!({ "suspended": true });
    let same = vec![
        change("PATCH", &path, Some(&suspend), &format!("tidewater org suspend {quoted}")),
        change("DELETE", &path, None, &format!("tidewater org delete {quoted}")),
    ];
    Ok(shown(asked, page, same))
}

/// Shows the state of the server: its parts, and its work in the background.
pub(super) async fn server(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let status = asked.door.get("/management/v1/status").await?;
    let mut page = page(asked, Place::Server, o::SERVER);
    page.hint = o::SERVER_HINT;
    let uptime_s = status["uptime-s"].as_i64().unwrap_or_default();
    // Minutes are enough for a server that has run for some.
    let shown_s = if uptime_s < 120 { uptime_s } else { uptime_s - uptime_s % 60 };
    page.facts = view::server_facts(&status, duration::shown(shown_s.saturating_mul(1_000)));
    page.lists = vec![view::parts(&status), view::background(&status)];
    Ok(shown(asked, page, vec!["tidewater status".into()]))
}

/// Shows the slowest requests of the last hour.
pub(super) async fn slow_requests(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let found = asked.door.get("/management/v1/slow-requests").await?;
    let mut page = page(asked, Place::SlowRequests, o::SLOW_REQUESTS);
    page.hint = o::SLOW_REQUESTS_HINT;
    page.facts = view::slow_facts(&found);
    page.lists.push(view::slow_requests(&found));
    Ok(shown(asked, page, vec!["tidewater slow-requests".into()]))
}

fn page(asked: &Asked<'_>, place: Place, heading: &str) -> RecordsPage {
    RecordsPage::new(asked.frame(heading, place), heading)
}

fn change(method: &str, path: &str, body: Option<&Value>, command: &str) -> Same {
    let (body, command) = (body.map(Value::to_string), Some(command.to_owned()));
    Call { method: method.to_owned(), path: path.to_owned(), body, command }.into()
}

fn path_of(name: &str) -> String {
    format!("{ORGANISATIONS}/{}", encoded(name))
}

/// Makes a change to an organisation. Returns `None` for another change.
pub(super) async fn act(asked: &Asked<'_>) -> Option<Result<Page, Refusal>> {
    let form = asked.query;
    Some(match form.text("do") {
        "create-organisation" => create(asked).await,
        "rename-organisation" => {
            let name = form.text("new-name");
            update(asked, &json!({ "name": name }), name, "organisation-renamed").await
        }
        "set-tier" => update(asked, &json!({ "tier": form.text("tier") }), form.text("name"), "tier").await,
        "suspend-organisation" => suspend(asked, true, "organisation-suspended").await,
        "resume-organisation" => suspend(asked, false, "organisation-resumed").await,
        "delete-organisation" => delete(asked).await,
        "restore-organisation" => {
            let path = format!("{}/restore", path_of(form.text("name")));
            let restored = asked.door.change(Method::POST, &path, None).await;
            restored.map(|_| shows(form.text("name"), "organisation-restored"))
        }
        _ => return None,
    })
}

/// Leads to the page of an organisation.
fn shows(name: &str, word: &str) -> Page {
    done(&Link::to("organisation").with("name", name).text(), word)
}

async fn create(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (name, tier) = (asked.query.text("name"), asked.query.get("tier"));
    let body = json!({ "name": name, "tier": tier });
    asked.door.change(Method::POST, ORGANISATIONS, Some(&body)).await?;
    Ok(shows(name, "organisation-created"))
}

async fn update(asked: &Asked<'_>, body: &Value, name: &str, word: &str) -> Result<Page, Refusal> {
    asked.door.change(Method::PATCH, &path_of(asked.query.text("name")), Some(body)).await?;
    Ok(shows(name, word))
}

async fn suspend(asked: &Asked<'_>, suspended: bool, word: &str) -> Result<Page, Refusal> {
    update(asked, &json!({ "suspended": suspended }), asked.query.text("name"), word).await
}

/// Marks an organisation as deleted, if its name was entered again.
async fn delete(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (name, confirmed) = (asked.query.text("name"), asked.query.text("confirm"));
    if name.is_empty() || name != confirmed {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, o::NOT_CONFIRMED));
    }
    asked.door.change(Method::DELETE, &path_of(name), None).await?;
    Ok(shows(name, "organisation-deleted"))
}
