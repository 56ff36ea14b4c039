//! Tables and views.

use axum::http::StatusCode;
use serde_json::Value;
use tidewater_console::Place;
use tidewater_console::browse::Location;
use tidewater_console::committers::{Committers, MAX_EVENTS, MAX_NAMES, TableName};
use tidewater_console::frame::render;
use tidewater_console::link::Link;
use tidewater_console::snapshots::History;
use tidewater_console::snippets::Catalog;
use tidewater_console::table::{Content, Fact, Section, TablePage, document, facts, properties, schema, tabs, vended};
use tidewater_console::table_snippets::table_snippets;
use tidewater_console::view::{ViewPage, current_columns, versions};

use super::door::{Door, Refusal};
use super::manage::KEY;
use super::page::{Asked, Page, organisation_path};
use super::query::{object_path, quoted};

/// Loads a table's metadata and works on it. A table with very many snapshots is read with those of its branches and tags only.
///
/// # Errors
/// The API's refusal.
pub(super) async fn load<T: Send + 'static>(
    door: &Door,
    path: &str,
    work: impl FnOnce(Value) -> T + Clone + Send + 'static,
) -> Result<T, Refusal> {
    match door.read(path, work.clone()).await {
        Err(refusal) if refusal.status == StatusCode::PAYLOAD_TOO_LARGE => {
            door.read(&Link::to(path).with("snapshots", "refs").text(), work).await
        }
        loaded => loaded,
    }
}

/// Shows a section of a table.
pub(super) async fn table(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (door, query) = (asked.door, asked.query);
    let (place, name) = (query.location(), query.text("t").to_owned());
    let section = Section::parse(query.get("show"));
    let (left, right) = (query.number("left"), query.number("right"));
    let path = object_path(&place, "tables", &name);
    let (facts, content) = load(door, &path, move |mut loaded| {
        let metadata = loaded["metadata"].take();
        (facts(&metadata), content(section, &metadata, (left, right)))
    })
    .await?;
    let content = match section {
        Section::Credentials => Content::Credentials(vended(&door.credentials(&format!("{path}/credentials")).await?)),
        Section::Connect => {
            let catalog = Catalog { uri: asked.address, warehouse: &place.warehouse, token: KEY };
            Content::Connect(table_snippets(&catalog, &place, &name), asked.address.to_owned())
        }
        _ => content,
    };
    let content = match content {
        // The events of a table are for admins, as in the API. Others see the engines alone.
        Content::History(history) if door.session.who.is_admin() => {
            Content::History(history.with_committers(committers(asked, &place, &name).await?))
        }
        content => content,
    };
    Ok(Page::Html(table_page(asked, place, name, (section, facts, content))))
}

/// Returns the principals of a table's newest commits, also of those under its earlier names, or the API's message if it does not give
/// its events.
///
/// # Errors
/// The sign-in has ended.
async fn committers(asked: &Asked<'_>, place: &Location, name: &str) -> Result<Result<Committers, String>, Refusal> {
    let mut found = Committers::default();
    // Events have the plain names of their objects.
    let mut of = TableName::new(format!("{}.{name}", place.levels.join(".")));
    for _ in 0..MAX_NAMES {
        let path = Link::to(&organisation_path(asked, "/events"))
            .with("warehouse", &place.warehouse)
            .with("object", &of.name)
            .with_some("until", of.until_ms.map(|until_ms| until_ms.to_string()).as_deref())
            .with("page-size", &MAX_EVENTS.to_string());
        match asked.door.get(&path.text()).await {
            Ok(events) => match found.add(&events, &of) {
                Some(before) => of = before,
                None => break,
            },
            Err(refusal) if refusal.is_signed_out() => return Err(refusal),
            Err(refusal) => return Ok(Err(refusal.message)),
        }
    }
    Ok(Ok(found))
}

fn content(section: Section, metadata: &Value, (left, right): (Option<i64>, Option<i64>)) -> Content {
    match section {
        Section::Schema => Content::Schema(schema(metadata, left, right)),
        Section::History => Content::History(History::parse(metadata)),
        Section::Properties => Content::Properties(properties(&metadata["properties"])),
        // These are read from elsewhere: the credentials by another request, the others by pages of their own.
        Section::Credentials | Section::Connect | Section::Rows | Section::Files | Section::Maintenance => {
            Content::Credentials(Vec::new())
        }
        Section::Metadata => {
            let (text, is_cut) = document(metadata);
            Content::Metadata(text, is_cut)
        }
    }
}

fn table_page(
    asked: &Asked<'_>,
    place: Location,
    name: String,
    (section, facts, content): (Section, Vec<Fact>, Content),
) -> String {
    let mut frame = place.crumbs(asked.frame(&name, Place::Catalog), true);
    frame.calls = asked.door.take_calls();
    if let Some(call) = frame.calls.first_mut() {
        let (table, warehouse) = (quoted(&place.dotted_with(&name)), quoted(&place.warehouse));
        call.command = Some(format!("tidewater table show {table} --warehouse {warehouse}"));
    }
    render(&TablePage {
        frame,
        tabs: tabs(&place, &name, section, asked.offer()),
        facts,
        content,
        own: asked.own.to_owned(),
        rollback: place.object("roll-back", &name).text(),
        place,
        name,
    })
}

/// Shows a view.
pub(super) async fn view(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let read = |mut loaded: Value| {
        let metadata = loaded["metadata"].take();
        let properties = properties(&metadata["properties"]);
        (current_columns(&metadata), versions(&metadata), properties, document(&metadata))
    };
    let (columns, versions, properties, document) = asked.door.read(&object_path(&place, "views", &name), read).await?;
    let mut frame = place.crumbs(asked.frame(&name, Place::Catalog), true);
    frame.calls = asked.door.take_calls();
    if let Some(call) = frame.calls.first_mut() {
        let (view, warehouse) = (quoted(&place.dotted_with(&name)), quoted(&place.warehouse));
        call.command = Some(format!("tidewater view show {view} --warehouse {warehouse}"));
    }
    let own = asked.own.to_owned();
    Ok(Page::Html(render(&ViewPage { frame, place, name, columns, versions, properties, document, own })))
}
