//! Warehouses, namespaces, and the dropped objects.

use axum::http::StatusCode;
use tidewater_console::browse::{
    BinPage, BrowsePage, DroppedRow, HomePage, Kind, Listing, Lists, Location, WarehouseRow, names,
};
use tidewater_console::frame::render;
use tidewater_console::link::{Link, encoded};
use tidewater_console::table::properties;
use tidewater_console::{Place, texts as t};

use super::door::{Door, Refusal};
use super::page::{Asked, Page, organisation_path};
use super::query::{namespace_path, quoted, warehouse_path};

/// The number of entries of a page of each list.
const PAGE_SIZE: &str = "100";

/// The most pages of a search that are read for one page of the console. A page of a search compares thousands of names.
const MOST_SEARCHED_PAGES: usize = 5;

/// The number of objects after which a page of a search ends.
const FULL_SEARCH: usize = 100;

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
    let (place, text) = (query.location(), query.text("q").trim());
    let lists = if text.is_empty() { lists(asked, &place).await? } else { search(asked, &place, text).await? };
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
    let warehouse = quoted(&place.warehouse);
    let command = match (text, place.levels.is_empty()) {
        ("", true) => format!("tidewater namespace list --warehouse {warehouse}"),
        ("", false) => format!("tidewater namespace show {} --warehouse {warehouse}", quoted(&place.dotted())),
        (text, _) => {
            // One call stands for all of a search.
            frame.calls.truncate(1);
            format!("tidewater table find {} --warehouse {warehouse}", quoted(text))
        }
    };
    if let Some(call) = frame.calls.last_mut() {
        call.command = Some(command);
    }
    let bin = Link::to("bin").with("w", &place.warehouse).with_some("ns", Some(&place.key())).text();
    let search = text.to_owned();
    Ok(Page::Html(render(&BrowsePage { frame, place, heading, search, lists, properties: shown, bin, own })))
}

/// Finds the objects of a warehouse by a part of their names.
async fn search(asked: &Asked<'_>, place: &Location, text: &str) -> Result<Lists, Refusal> {
    let path = organisation_path(asked, &format!("/warehouses/{}/search", encoded(&place.warehouse)));
    let path = Link::to(&path).with("name", text).with("page-size", PAGE_SIZE);
    let (mut objects, mut token) = (Vec::new(), asked.query.get("page").map(str::to_owned));
    for _ in 0..MOST_SEARCHED_PAGES {
        let found = asked.door.get(&path.clone().with_some("page-token", token.as_deref()).text()).await?;
        objects.extend(found["objects"].as_array().into_iter().flatten().cloned());
        token = found["next-page-token"].as_str().map(str::to_owned);
        if token.is_none() || objects.len() >= FULL_SEARCH {
            break;
        }
    }
    let further = token.map(|token| place.link().with("q", text).with("page", &token).text());
    Ok(Lists::of_search(Listing::found(&place.warehouse, &objects), further))
}

/// Shows the lists of a namespace, to be inserted into a tree.
pub(super) async fn tree(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let lists = lists(asked, &asked.query.location()).await?;
    Ok(Page::Html(render(&lists)))
}

/// Reads a page of each list of a place, or the next page of one of them.
async fn lists(asked: &Asked<'_>, at: &Location) -> Result<Lists, Refusal> {
    let query = asked.query;
    let kinds: &[Kind] =
        if at.levels.is_empty() { &[Kind::Namespace] } else { &[Kind::Namespace, Kind::Table, Kind::View] };
    let next = kinds.iter().find(|kind| query.get(kind.parameter()).is_some());
    let mut listings = Vec::new();
    for kind in kinds.iter().filter(|kind| next.is_none_or(|next| next == *kind)) {
        match list(asked, at, *kind).await {
            Ok(listing) => listings.push(listing),
            // A role may list tables and no views.
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN && kinds.len() > 1 => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(Lists::new(listings))
}

async fn list(asked: &Asked<'_>, at: &Location, kind: Kind) -> Result<Listing, Refusal> {
    let token = asked.query.get(kind.parameter()).unwrap_or_default();
    let (path, parent) = match kind {
        Kind::Namespace => (warehouse_path(&at.warehouse, "/namespaces"), Some(at.key())),
        Kind::Table => (namespace_path(at, "/tables"), None),
        Kind::View => (namespace_path(at, "/views"), None),
    };
    let path = Link::to(&path)
        .with_some("parent", parent.as_deref())
        .with("pageToken", token)
        .with("pageSize", PAGE_SIZE)
        .text();
    let found = asked.door.get(&path).await?;
    let (names, next) = names(kind, &found);
    let page = |token: String| at.link().with(kind.parameter(), &token).text();
    Ok(Listing::new(at, kind, &names, next.map(page)))
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
    let dropped = found["dropped"].as_array().into_iter().flatten();
    let dropped = dropped.map(|one| DroppedRow::parse(&place.warehouse, one)).collect();
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
