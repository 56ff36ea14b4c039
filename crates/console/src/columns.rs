//! A schema as rows, and two schemas side by side.

use std::collections::HashMap;

use serde_json::Value;

use crate::texts as t;

/// The most rows of a schema.
pub const MAX_COLUMNS: usize = 5_000;

/// The deepest nesting that is shown.
const MAX_DEPTH: usize = 32;

/// A column, or a field inside of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// How deep it is nested; 0 for a column of the table.
    pub depth: usize,
    /// Its field id.
    pub id: i64,
    /// Its name, or `element`, `key` or `value`.
    pub name: String,
    /// Its type; `struct`, `list` and `map` have rows of their own below.
    pub kind: String,
    /// Whether it has a value in every row.
    pub is_required: bool,
    /// Its description.
    pub doc: String,
    /// Its default for written rows, as JSON.
    pub default: String,
}

/// Returns the rows of a schema, nested fields after their parents.
#[must_use]
pub fn columns(schema: &Value) -> Vec<Column> {
    let mut found = Vec::new();
    push_fields(schema, 0, &mut found);
    found
}

fn push_fields(parent: &Value, depth: usize, found: &mut Vec<Column>) {
    for field in parent["fields"].as_array().into_iter().flatten() {
        let column = Column {
            depth,
            id: field["id"].as_i64().unwrap_or_default(),
            name: text(&field["name"]),
            kind: kind(&field["type"]),
            is_required: field["required"].as_bool().unwrap_or_default(),
            doc: text(&field["doc"]),
            default: field
                .get("write-default")
                .filter(|value| !value.is_null())
                .map(Value::to_string)
                .unwrap_or_default(),
        };
        push(column, &field["type"], found);
    }
}

fn push(column: Column, of: &Value, found: &mut Vec<Column>) {
    let depth = column.depth + 1;
    if found.len() >= MAX_COLUMNS {
        return;
    }
    found.push(column);
    if depth > MAX_DEPTH {
        return;
    }
    let mut inner = |name: &'static str, id: &str, is_required: bool| {
        let column = Column {
            depth,
            id: of[id].as_i64().unwrap_or_default(),
            name: name.to_owned(),
            kind: kind(&of[name]),
            is_required,
            doc: String::new(),
            default: String::new(),
        };
        push(column, &of[name], found);
    };
    match of["type"].as_str() {
        Some("struct") => push_fields(of, depth, found),
        Some("list") => inner("element", "element-id", of["element-required"].as_bool().unwrap_or_default()),
        Some("map") => {
            inner("key", "key-id", true);
            inner("value", "value-id", of["value-required"].as_bool().unwrap_or_default());
        }
        _ => {}
    }
}

/// Returns a type's name. A nested type of a later format version is shown as its JSON.
fn kind(of: &Value) -> String {
    match of {
        Value::String(name) => name.clone(),
        Value::Object(fields) => {
            fields.get("type").and_then(Value::as_str).map_or_else(|| of.to_string(), str::to_owned)
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// How a column differs between two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is the same in both.
    Same,
    /// Only the newer schema has it.
    Added,
    /// Only the older schema has it.
    Removed,
    /// Its name, type or description differs.
    Changed,
}

impl Change {
    /// Returns the name of its style.
    #[must_use]
    pub const fn style(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }

    /// Returns its name for people. Nothing for no change.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Added => t::ADDED,
            Self::Removed => t::REMOVED,
            Self::Changed => t::CHANGED,
        }
    }
}

/// A row of two schemas side by side. At least one side has a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedRow {
    /// The column in the older schema.
    pub left: Option<Column>,
    /// The column in the newer schema.
    pub right: Option<Column>,
    /// How they differ.
    pub change: Change,
}

/// Compares two schemas by field ids, so a renamed column is one row. Removed columns stand before the next column that both have.
#[must_use]
pub fn compare(left: &Value, right: &Value) -> Vec<ComparedRow> {
    let (left, right) = (columns(left), columns(right));
    let of_right: HashMap<i64, &Column> = right.iter().map(|column| (column.id, column)).collect();
    let of_left: HashMap<i64, usize> = left.iter().enumerate().map(|(at, column)| (column.id, at)).collect();
    let removed = |column: &Column| ComparedRow { left: Some(column.clone()), right: None, change: Change::Removed };
    let mut rows = Vec::new();
    let mut next_left = 0;
    for column in &right {
        let Some(at) = of_left.get(&column.id).copied() else {
            rows.push(ComparedRow { left: None, right: Some(column.clone()), change: Change::Added });
            continue;
        };
        while next_left < at {
            if !of_right.contains_key(&left[next_left].id) {
                rows.push(removed(&left[next_left]));
            }
            next_left += 1;
        }
        next_left = next_left.max(at + 1);
        let change = if left[at] == *column { Change::Same } else { Change::Changed };
        rows.push(ComparedRow { left: Some(left[at].clone()), right: Some(column.clone()), change });
    }
    rows.extend(left.iter().skip(next_left).filter(|column| !of_right.contains_key(&column.id)).map(removed));
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(id: i64, name: &str, of: &Value) -> Value {
        json!({ "id": id, "name": name, "required": false, "type": of })
    }

    #[test]
    fn nested_fields_are_rows_below_their_parents() {
        let point = json!({ "type": "struct", "fields": [field(4, "x", &json!("double"))] });
        let list = json!({ "type": "list", "element-id": 3, "element": point, "element-required": true });
        let map = json!({ "type": "map", "key-id": 6, "key": "string", "value-id": 7, "value": "int", "value-required": false });
        let schema =
            json!({ "fields": [field(1, "id", &json!("long")), field(2, "points", &list), field(5, "tags", &map)] });
        let rows = columns(&schema);
        let shown: Vec<(usize, i64, &str, &str, bool)> =
            rows.iter().map(|row| (row.depth, row.id, row.name.as_str(), row.kind.as_str(), row.is_required)).collect();
        assert_eq!(
            shown,
            [
                (0, 1, "id", "long", false),
                (0, 2, "points", "list", false),
                (1, 3, "element", "struct", true),
                (2, 4, "x", "double", false),
                (0, 5, "tags", "map", false),
                (1, 6, "key", "string", true),
                (1, 7, "value", "int", false),
            ]
        );
    }

    #[test]
    fn schema_of_another_shape_has_rows_without_values() {
        for odd in [json!(null), json!([]), json!({ "fields": 7 }), json!({ "fields": [] })] {
            assert!(columns(&odd).is_empty());
        }
        assert_eq!(columns(&json!({ "fields": [null] })).len(), 1);
        let mut deep = json!("long");
        for id in 0..100 {
            deep = json!({ "type": "list", "element-id": id, "element": deep });
        }
        assert_eq!(columns(&json!({ "fields": [field(1, "deep", &deep)] })).len(), MAX_DEPTH + 1);
        let many: Vec<Value> = (0..6_000).map(|id| field(id, "c", &json!("int"))).collect();
        assert_eq!(columns(&json!({ "fields": many })).len(), MAX_COLUMNS);
    }

    #[test]
    fn schemas_are_compared_by_field_ids() {
        let left = json!({ "fields": [field(1, "a", &json!("int")), field(2, "b", &json!("int")), field(3, "c", &json!("int"))] });
        let right = json!({ "fields": [field(4, "d", &json!("int")), field(1, "a", &json!("long")), field(3, "c", &json!("int"))] });
        let rows = compare(&left, &right);
        let shown: Vec<(Option<i64>, Option<i64>, Change)> = rows
            .iter()
            .map(|row| (row.left.as_ref().map(|one| one.id), row.right.as_ref().map(|one| one.id), row.change))
            .collect();
        assert_eq!(
            shown,
            [
                (None, Some(4), Change::Added),
                (Some(1), Some(1), Change::Changed),
                (Some(2), None, Change::Removed),
                (Some(3), Some(3), Change::Same),
            ]
        );
        assert!(compare(&left, &left).iter().all(|row| row.change == Change::Same));
        assert!(compare(&left, &json!({})).iter().all(|row| row.change == Change::Removed));
    }
}
