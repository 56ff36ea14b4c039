//! The files of a table.

use axum::http::StatusCode;
use tidewater_console::Place;
use tidewater_console::files::{FilesPage, FilesView, statistics_files};
use tidewater_console::frame::render;
use tidewater_console::table::{Section, tabs};

use super::door::Refusal;
use super::page::{Asked, Page};
use super::query::object_path;
use super::table::load;
use super::upkeep::{health_path, with_commands};

/// Shows the files of a table by size and by partition, and its statistics files.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let health = asked.door.get(&health_path(asked, &place, &name)).await?;
    let path = object_path(&place, "tables", &name);
    let statistics = match load(asked.door, &path, |loaded| statistics_files(&loaded["metadata"])).await {
        // The document is larger than a page reads; the figures are not in it.
        Err(refusal) if refusal.status == StatusCode::PAYLOAD_TOO_LARGE => Vec::new(),
        found => found?,
    };
    let frame = place.crumbs(asked.frame(&name, Place::Catalog), true);
    Ok(Page::Html(render(&FilesPage {
        frame: with_commands(asked, frame, &place, &name),
        tabs: tabs(&place, &name, Section::Files, asked.offer()),
        files: FilesView::parse(&health),
        statistics,
        place,
        name,
    })))
}
