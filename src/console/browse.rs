//! Warehouses, namespaces, and the dropped objects.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidewater_console::browse::{
    BinPage, BrowsePage, DroppedRow, HomePage, Kind, LEVELS, Listing, Lists, Location, Search, WarehouseRow, names,
};
use tidewater_console::frame::render;
use tidewater_console::link::{Link, encoded};
use tidewater_console::table::properties;
use tidewater_console::{Place, texts as t};

use super::door::{Door, Refusal};
use super::page::{Asked, Page};
use super::query::{namespace_path, quoted, warehouse_path};

/// The number of entries of a page of each list.
const PAGE_SIZE: &str = "100";

/// Shows the warehouses.
pub(super) async fn home(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let warehouses = warehouses(asked.door).await?;
    let mut frame = asked.frame(t::WAREHOUSES, Place::Catalog);
    frame.calls = asked.door.take_calls();
    frame.calls.iter_mut().for_each(|call| call.command = Some(command(asked.door)));
    Ok(Page::Html(render(&HomePage { frame, warehouses })))
}

fn command(door: &Door) -> String {
    match door.session.who.is_admin() {
        true => format!("tidewater warehouse list --org {}", quoted(&door.session.who.organisation)),
        false => "tidewater who-am-i".to_owned(),
    }
}

/// Lists the warehouses that the caller may see. An admin's list has their roots.
pub(super) async fn warehouses(door: &Door) -> Result<Vec<WarehouseRow>, Refusal> {
    if door.session.who.is_admin() {
        let path = format!("/management/v1/organisations/{}/warehouses", encoded(&door.session.who.organisation));
        let found = door.get(&path).await?;
        return Ok(found["warehouses"].as_array().into_iter().flatten().map(WarehouseRow::parse).collect());
    }
    let caller = door.get("/management/v1/who-am-i").await?;
    let names = caller["warehouses"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    Ok(names.map(WarehouseRow::named).collect())
}

/// Shows a warehouse or a namespace, or only its lists.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (door, query) = (asked.door, asked.query);
    let (place, text) = (query.location(), query.text("q"));
    let search = Search::parse(text);
    let mut at = place.clone();
    at.levels.extend(search.levels.iter().cloned());
    let lists = match lists(asked, &at, &search).await {
        // A search may name what does not exist.
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND && !search.levels.is_empty() => Lists::new(Vec::new()),
        found => found?,
    };
    if query.text("part") == "lists" {
        return Ok(Page::Html(render(&lists)));
    }
    let mut shown = Vec::new();
    let mut heading = place.warehouse.clone();
    if let Some(last) = place.levels.last() {
        heading.clone_from(last);
        shown = match door.get(&namespace_path(&place, "")).await {
            Ok(namespace) => properties(&namespace["properties"]),
            // Some may list a namespace and not read its properties.
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN => Vec::new(),
            Err(refusal) => return Err(refusal),
        };
    }
    let own = place.link().text();
    let mut frame = place.crumbs(asked.frame(&heading, Place::Catalog), false);
    frame.calls = door.take_calls();
    let of_place = match place.levels.is_empty() {
        true => format!("tidewater namespace list --warehouse {}", quoted(&place.warehouse)),
        false => {
            format!("tidewater namespace show {} --warehouse {}", quoted(&place.dotted()), quoted(&place.warehouse))
        }
    };
    if let Some(call) = frame.calls.last_mut() {
        call.command = Some(of_place);
    }
    let bin = Link::to("bin").with("w", &place.warehouse).with_some("ns", Some(&place.key())).text();
    let search = text.to_owned();
    Ok(Page::Html(render(&BrowsePage { frame, place, heading, search, lists, properties: shown, bin, own })))
}

/// Shows the lists of a namespace, to be inserted into a tree.
pub(super) async fn tree(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let lists = lists(asked, &asked.query.location(), &Search::default()).await?;
    Ok(Page::Html(render(&lists)))
}

/// Reads a page of each list of a place, or the next page of one of them.
async fn lists(asked: &Asked<'_>, at: &Location, search: &Search) -> Result<Lists, Refusal> {
    let query = asked.query;
    let kinds: &[Kind] =
        if at.levels.is_empty() { &[Kind::Namespace] } else { &[Kind::Namespace, Kind::Table, Kind::View] };
    let next = kinds.iter().find(|kind| query.get(kind.parameter()).is_some());
    let mut listings = Vec::new();
    for kind in kinds.iter().filter(|kind| next.is_none_or(|next| next == *kind)) {
        match list(asked, at, *kind, search).await {
            Ok(listing) => listings.push(listing),
            // A role may list tables and no views.
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN && kinds.len() > 1 => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(Lists::new(listings))
}

async fn list(asked: &Asked<'_>, at: &Location, kind: Kind, search: &Search) -> Result<Listing, Refusal> {
    let token = match asked.query.get(kind.parameter()) {
        Some(token) => token.to_owned(),
        None => first_token(at, kind, search),
    };
    let (path, parent) = match kind {
        Kind::Namespace => (warehouse_path(&at.warehouse, "/namespaces"), Some(at.key())),
        Kind::Table => (namespace_path(at, "/tables"), None),
        Kind::View => (namespace_path(at, "/views"), None),
    };
    let path = Link::to(&path)
        .with_some("parent", parent.as_deref())
        .with("pageToken", &token)
        .with("pageSize", PAGE_SIZE)
        .text();
    let found = asked.door.get(&path).await?;
    let (mut names, mut next) = names(kind, &found);
    // A search ends at the first name that does not begin with its text.
    if names.last().is_some_and(|last| !search.matches(last)) {
        next = None;
    }
    names.retain(|name| search.matches(name));
    let page = |token: String| {
        let is_search = asked.query.get("q").is_some();
        let place = if is_search { asked.query.location() } else { at.clone() };
        place.link().with_some("q", asked.query.get("q")).with(kind.parameter(), &token).text()
    };
    Ok(Listing::new(at, kind, &names, next.map(page)))
}

/// Returns the token of the first page: empty, or of the position before the first match of a search.
fn first_token(at: &Location, kind: Kind, search: &Search) -> String {
    let Some(before) = search.before() else { return String::new() };
    let position = match kind {
        Kind::Namespace if !at.levels.is_empty() => format!("{}{LEVELS}{before}", at.key()),
        _ => before,
    };
    URL_SAFE_NO_PAD.encode(position)
}

/// Shows the dropped tables and views of a warehouse or namespace.
pub(super) async fn bin(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (query, place) = (asked.query, asked.query.location());
    let path = format!("/management/v1/warehouses/{}/dropped", encoded(&place.warehouse));
    let path = Link::to(&path)
        .with_some("namespace", Some(&place.key()))
        .with_some("page-token", query.get("page"))
        .with("page-size", PAGE_SIZE);
    let found = asked.door.get(&path.text()).await?;
    let dropped = found["dropped"].as_array().into_iter().flatten().map(DroppedRow::parse).collect();
    let link = Link::to("bin").with("w", &place.warehouse).with_some("ns", Some(&place.key()));
    let more = found["next-page-token"].as_str().map(|token| link.with("page", token).text());
    let mut frame = place.crumbs(asked.frame(t::BIN, Place::Catalog), true);
    frame.calls = asked.door.take_calls();
    if let Some(call) = frame.calls.last_mut() {
        let namespace = if place.levels.is_empty() { String::new() } else { format!(" {}", quoted(&place.dotted())) };
        call.command = Some(format!("tidewater table dropped{namespace} --warehouse {}", quoted(&place.warehouse)));
    }
    Ok(Page::Html(render(&BinPage { frame, warehouse: place.warehouse, dropped, more })))
}
