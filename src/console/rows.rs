//! The first rows of a table.

use tidewater_console::Place;
use tidewater_console::frame::render;
use tidewater_console::link::encoded;
use tidewater_console::rows::{Rows, RowsPage};
use tidewater_console::table::{Section, tabs};

use super::door::Refusal;
use super::page::{Asked, Page};

/// Shows the first rows of a table.
pub(super) async fn show(asked: &Asked<'_>) -> Result<Page, Refusal> {
    let (place, name) = (asked.query.location(), asked.query.text("t").to_owned());
    let [warehouse, namespace, table] = [&*place.warehouse, &*place.key(), &*name].map(encoded);
    let path = format!("/management/v1/warehouses/{warehouse}/namespaces/{namespace}/tables/{table}/preview");
    let rows = asked.door.read(&path, |answer| Rows::parse(&answer)).await?;
    let mut frame = place.crumbs(asked.frame(&name, Place::Catalog), true);
    frame.calls = asked.door.take_calls();
    let tabs = tabs(&place, &name, Section::Rows, asked.offer());
    Ok(Page::Html(render(&RowsPage { frame, place, name, tabs, rows })))
}
