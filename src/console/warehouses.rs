//! Warehouses: their storage, its test, and options.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_console::link::{Link, encoded};
use tidewater_console::records::{RecordsPage, text};
use tidewater_console::texts::people as p;
use tidewater_console::{Call, Place, texts as t, warehouses as view};

use super::door::Refusal;
use super::page::{Asked, Page, done, organisation_path};
use super::query::quoted;
use super::records::{change, paged, shown};

/// Shows the warehouses with their settings.
pub(super) async fn list(asked: &Asked<'_>) -> Result<Page, Refusal> {
    overview(asked, None).await
}

/// Shows the warehouses, and the result of a test of a storage.
async fn overview(asked: &Asked<'_>, check: Option<&Value>) -> Result<Page, Refusal> {
    let path = organisation_path(asked, "/warehouses");
    let found = asked.door.get(&paged(asked, &path)).await?;
    let mut page = RecordsPage::new(asked.frame(p::MANAGE_WAREHOUSES, Place::Warehouses), p::MANAGE_WAREHOUSES);
    page.lists.extend(check.map(view::steps));
    page.lists.push(view::list(&found));
    page.forms.push(view::create());
    let create = change(asked, "POST", &path, "tidewater warehouse create lake --root file:///srv/lake");
    let create = Call { body: Some(json!({ "name": "lake", "root": "file:///srv/lake" }).to_string()), ..create };
    Ok(shown(asked, page, vec!["tidewater warehouse list".into(), create.into()]))
}

/// Shows a warehouse.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    page(asked, asked.query.text("name"), None).await
}

/// Shows a warehouse, and the result of a test of its storage.
async fn page(asked: &Asked<'_>, name: &str, check: Option<&Value>) -> Result<Page, Refusal> {
    let path = path_of(asked, name, "");
    let one = asked.door.get(&path).await?;
    let mut frame = asked.frame(name, Place::Warehouses).crumb(t::WAREHOUSES, Link::to("warehouses"));
    frame.own = Link::to("warehouse").with("name", name).text();
    let mut page = RecordsPage { kind: t::WAREHOUSE, ..RecordsPage::new(frame, name) };
    page.facts = view::facts(&one);
    page.document = Some(view::storage_of(&one));
    page.lists.extend(check.map(view::steps));
    page.forms = view::forms(&one);
    let name = quoted(name);
    let check = change(asked, "POST", &format!("{path}/check"), &format!("tidewater warehouse check {name}"));
    let storage = format!("tidewater warehouse set-storage {name} --storage s3.toml");
    let storage = Call {
        body: Some(json!({ "storage": { "type": "s3", "region": "eu-central-1" } }).to_string()),
        ..change(asked, "PATCH", &path, &storage)
    };
    Ok(shown(asked, page, vec![format!("tidewater warehouse show {name}").into(), check.into(), storage.into()]))
}

/// Makes a change to warehouses. Returns `None` for another change.
pub(super) async fn act(asked: &Asked<'_>) -> Option<Result<Page, Refusal>> {
    match asked.query.text("do") {
        "create-warehouse" => Some(create(asked).await),
        "check-warehouse" => Some(check(asked).await),
        "set-storage" => Some(set_storage(asked).await),
        "set-options" => Some(set_options(asked).await),
        "make-default" => Some(update(asked, &json!({ "default": true }), "default").await),
        "delete-warehouse" => Some(delete(asked).await),
        _ => None,
    }
}

/// Creates a warehouse, or only tests its storage. Shows the result of the test.
async fn create(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let form = asked.query;
    let is_test = form.get("dry-run").is_some();
    let mut body = json!({
        "name": form.text("name"), "root": form.text("root"), "default": form.get("default").is_some(), "dry-run": is_test,
    });
    if let Some(storage) = storage_of(asked)? {
        body["storage"] = storage;
    }
    let made = asked.door.change(Method::POST, &organisation_path(asked, "/warehouses"), Some(&body)).await?;
    let check = Some(&made["check"]);
    if is_test { overview(asked, check).await } else { page(asked, &text(&made, "name"), check).await }
}

/// Tests the storage of a warehouse.
async fn check(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let name = asked.query.text("warehouse");
    let result = asked.door.change(Method::POST, &path_of(asked, name, "/check"), None).await?;
    page(asked, name, Some(&result)).await
}

async fn set_storage(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let storage = storage_of(asked)?.ok_or_else(not_json)?;
    update(asked, &json!({ "storage": storage }), "storage").await
}

async fn set_options(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let form = asked.query;
    let options = json!({
        "purge": form.text("purge"), "scan-planning-mode": form.text("planning"), "no-delete": form.get("no-delete").is_some(),
    });
    update(asked, &json!({ "options": options }), "options").await
}

async fn update(asked: &Asked<'_>, body: &Value, word: &str) -> Result<Page, Refusal> {
    asked.door.change(Method::PATCH, &path_of(asked, asked.query.text("warehouse"), ""), Some(body)).await?;
    Ok(done(asked.own, word))
}

async fn delete(asked: &Asked<'_>) -> Result<Page, Refusal> {
    asked.door.change(Method::DELETE, &path_of(asked, asked.query.text("warehouse"), ""), None).await?;
    Ok(done("warehouses", "deleted"))
}

/// Returns the storage settings of a form. `None` if there are none.
fn storage_of(asked: &Asked<'_>) -> Result<Option<Value>, Refusal> {
    let Some(text) = asked.query.get("storage").filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let settings: Value = serde_json::from_str(text).map_err(|_| not_json())?;
    if settings.is_object() { Ok(Some(settings)) } else { Err(not_json()) }
}

fn not_json() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, p::NOT_JSON)
}

/// Returns the path of a warehouse in the management API.
fn path_of(asked: &Asked<'_>, name: &str, below: &str) -> String {
    organisation_path(asked, &format!("/warehouses/{}{below}", encoded(name)))
}
