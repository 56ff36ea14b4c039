//! The first rows of a table.

use askama::Template;
use serde_json::Value;

use crate::browse::Location;
use crate::format;
use crate::frame::Frame;
use crate::table::Tab;
use crate::texts::{self as t, care as c};

/// The most rows, columns and characters of a value that the page shows, whatever the API answers.
const MAX_ROWS: usize = 1_000;
const MAX_COLUMNS: usize = 100;
const MAX_CHARACTERS: usize = 300;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Whether its values are numbers.
    pub is_number: bool,
}

/// The first rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<RowsColumn>,
    /// The rows: a text for each column, `None` for null.
    pub rows: Vec<Vec<Option<String>>>,
    /// What the reader has to know about the rows.
    pub notes: Vec<String>,
}

impl Rows {
    /// Reads the API's answer.
    #[must_use]
    pub fn parse(answer: &Value) -> Self {
        let column = |one: &Value| {
            let kind = one["type"].as_str().unwrap_or_default().to_owned();
            let is_number = ["int", "long", "float", "double"].contains(&kind.as_str()) || kind.starts_with("decimal");
            RowsColumn { name: one["name"].as_str().unwrap_or_default().to_owned(), kind, is_number }
        };
        let list = |name: &str| answer[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let columns: Vec<RowsColumn> = list("columns").iter().take(MAX_COLUMNS).map(column).collect();
        let text = |value: &Value| value.as_str().map(|text| format::cut(text, MAX_CHARACTERS));
        let row = |row: &Value| (0..columns.len()).map(|at| text(&row[at])).collect();
        let rows: Vec<Vec<Option<String>>> = list("rows").iter().take(MAX_ROWS).map(row).collect();
        let mut notes = Vec::new();
        if answer["partial"].as_bool().unwrap_or_default() {
            notes.push(c::first_rows(rows.len()));
        }
        if answer["deletes-applied"].as_bool().unwrap_or_default() {
            notes.push(c::DELETES_APPLIED.to_owned());
        }
        let left_out: Vec<&str> = list("left-out").iter().take(MAX_COLUMNS).filter_map(Value::as_str).collect();
        if !left_out.is_empty() {
            notes.push(c::columns_left_out(&left_out.join(", ")));
        }
        Self { columns, rows, notes }
    }
}

/// The page with the first rows of a table.
#[derive(Debug, Template)]
#[template(path = "rows.html")]
pub struct RowsPage {
    /// The frame.
    pub frame: Frame,
    /// The namespace.
    pub place: Location,
    /// The table's name.
    pub name: String,
    /// The links to the sections of the table.
    pub tabs: Vec<Tab>,
    /// The rows.
    pub rows: Rows,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_shown_with_what_is_left_out() {
        let rows = Rows::parse(&json!({
            "columns": [{ "name": "id", "type": "long" }, { "name": "name", "type": "string" }],
            "rows": [["1", null], ["2", "x".repeat(1_000)], ["3"]],
            "left-out": ["anything"], "deletes-applied": true, "partial": true,
        }));
        assert_eq!(rows.columns.iter().map(|column| column.is_number).collect::<Vec<_>>(), [true, false]);
        assert_eq!(rows.rows[0], [Some("1".to_owned()), None]);
        assert_eq!(rows.rows[1][1].as_ref().map(|text| text.chars().count()), Some(MAX_CHARACTERS + 1));
        assert_eq!(rows.rows[2], [Some("3".to_owned()), None], "a row has a value for each column");
        assert_eq!(rows.notes.len(), 3);
        assert_eq!(Rows::parse(&json!(null)), Rows::default());
    }
}
