//! The pages about a table's files and its maintenance, with a name in every field.

use serde_json::json;

use super::{OFFER, frame};
use crate::browse::Location;
use crate::files::{FilesPage, FilesView, statistics_files};
use crate::frame::render;
use crate::rows::{Rows, RowsPage};
use crate::table::{Section, tabs};
use crate::upkeep::{Health, Level, MaintenancePage, RunPage, RunRow, policy};

/// Returns the pages.
pub(super) fn pages(name: &str) -> Vec<String> {
    let (place, text) = (Location::new(name, name), || name.to_owned());
    let health = json!({
        "data-files": 1, "sizes": [{ "below-bytes": 10, "files": 1 }, { "files": 0 }],
        "partitions": { "counted": 1, "largest": [{ "values": [{ "name": name, "value": name }], "data-files": 1 }] },
        "findings": [{ "message": name, "advice": name, "operation": name }],
    });
    let metadata = json!({ "statistics": [{ "statistics-path": name, "blob-metadata": [{ "type": name }] }] });
    let files = |health| FilesPage {
        frame: frame(name),
        place: place.clone(),
        name: text(),
        tabs: tabs(&place, name, Section::Files, OFFER),
        files: FilesView::parse(health),
        statistics: statistics_files(&metadata),
    };
    let run = |outcome: &str, dry: bool| {
        RunRow::parse(&json!({
            "id": name, "table": name, "operation": name, "dry-run": dry, "outcome": outcome, "message": name, "started-by": name,
            "files": 1, "kept": { name: 1 }, "more-items": true, "items": [{ "kind": name, "name": name, "reason": name }],
        }))
    };
    let maintenance = |table: String, health: Option<Health>| MaintenancePage {
        frame: frame(name),
        place: place.clone(),
        tabs: tabs(&place, name, Section::Maintenance, OFFER),
        name: table,
        heading: text(),
        no_health: health.is_none().then(text),
        health,
        policy: policy(&[Level { label: text(), own: json!({ "compact-files": { "enabled": true } }) }]),
        runs: Some(vec![run(name, true)]),
        more: Some(text()),
    };
    let run_page = |run| RunPage { frame: frame(name), place: place.clone(), name: text(), run };
    vec![
        render(&files(&health)),
        render(&files(&json!(null))),
        render(&maintenance(text(), Some(Health::parse(&health)))),
        render(&maintenance(String::new(), None)),
        render(&RowsPage {
            frame: frame(name),
            place: place.clone(),
            name: text(),
            tabs: tabs(&place, name, Section::Rows, OFFER),
            rows: Rows::parse(&json!({ "columns": [{ "name": name, "type": name }, { "name": name, "type": "long" }],
                "rows": [[name, null]], "left-out": [name] })),
        }),
        render(&run_page(run("running", false))),
        render(&run_page(run("succeeded", true))),
    ]
}
