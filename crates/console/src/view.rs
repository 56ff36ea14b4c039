//! The page of a view.

use askama::Template;
use serde_json::Value;

use crate::browse::Location;
use crate::columns::{Column, columns};
use crate::format;
use crate::frame::Frame;
use crate::texts as t;

/// The most versions that the page shows: the newest ones.
const MAX_VERSIONS: usize = 50;

/// The text of a view in a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    /// The dialect.
    pub dialect: String,
    /// The query.
    pub sql: String,
}

/// A version of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its id.
    pub id: i64,
    /// When it was made.
    pub time: String,
    /// The engine that made it.
    pub engine: String,
    /// Whether it is the current one.
    pub is_current: bool,
    /// Its texts.
    pub representations: Vec<Representation>,
}

/// The page of a view.
#[derive(Debug, Template)]
#[template(path = "view.html")]
pub struct ViewPage {
    /// The frame.
    pub frame: Frame,
    /// The namespace.
    pub place: Location,
    /// The view's name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its versions, the newest first.
    pub versions: Vec<Version>,
    /// Its properties.
    pub properties: Vec<(String, String)>,
    /// The metadata document, and whether it was cut.
    pub document: (String, bool),
    /// The link to this page.
    pub own: String,
}

/// Reads the columns of the current version.
#[must_use]
pub fn current_columns(metadata: &Value) -> Vec<Column> {
    let current = metadata["current-version-id"].as_i64();
    let versions = metadata["versions"].as_array().into_iter().flatten();
    let schema = versions.filter(|one| one["version-id"].as_i64() == current).find_map(|one| one["schema-id"].as_i64());
    let mut schemas = metadata["schemas"].as_array().into_iter().flatten();
    schemas.find(|one| one["schema-id"].as_i64() == schema).map(columns).unwrap_or_default()
}

/// Reads the newest versions.
#[must_use]
pub fn versions(metadata: &Value) -> Vec<Version> {
    let current = metadata["current-version-id"].as_i64();
    let all = metadata["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut versions: Vec<Version> = all.iter().map(|one| version(one, current)).collect();
    versions.sort_by_key(|one| std::cmp::Reverse(one.id));
    versions.truncate(MAX_VERSIONS);
    versions
}

fn version(one: &Value, current: Option<i64>) -> Version {
    let summary = |name: &str| one["summary"][name].as_str().unwrap_or_default();
    let engine = [summary("engine-name"), summary("engine-version")].join(" ");
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let representations = one["representations"].as_array().into_iter().flatten();
    Version {
        id: one["version-id"].as_i64().unwrap_or_default(),
        time: one["timestamp-ms"].as_i64().map(format::time).unwrap_or_default(),
        engine: format::cut(engine.trim(), 40),
        is_current: one["version-id"].as_i64() == current,
        representations: representations
            .map(|one| Representation { dialect: text(one, "dialect"), sql: text(one, "sql") })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_shown_newest_first_with_their_texts() {
        let metadata = json!({
            "current-version-id": 2,
            "schemas": [{ "schema-id": 5, "fields": [{ "id": 1, "name": "a", "type": "int" }] }],
            "versions": [
                { "version-id": 1, "timestamp-ms": 0, "schema-id": 5, "summary": {}, "representations": [] },
                { "version-id": 2, "timestamp-ms": 0, "schema-id": 5, "summary": { "engine-name": "spark" },
                  "representations": [{ "type": "sql", "dialect": "spark", "sql": "SELECT 1" }] },
            ],
        });
        let shown = versions(&metadata);
        assert_eq!((shown[0].id, shown[0].is_current, shown[0].engine.as_str()), (2, true, "spark"));
        assert_eq!((shown[0].representations[0].sql.as_str(), shown[1].is_current), ("SELECT 1", false));
        assert_eq!(current_columns(&metadata)[0].name, "a");
        assert!(versions(&json!(null)).is_empty() && current_columns(&json!({ "versions": [{}] })).is_empty());
    }
}
