//! Tables for the tests of restrictions.

use crate::document::TableMetadata;

/// Columns 1 `id` (required long), 2 `country` (string), 3 `ssn` (required string), 4 `born` (date), 5 `place` (struct of 6 `town`),
/// 7 `tags` (list of 8), 9 `scores` (map from 10 to 11), 12 `salary` (int).
pub(super) const FIELDS: &str = r#"
    {"id": 1, "name": "id", "required": true, "type": "long"},
    {"id": 2, "name": "country", "required": false, "type": "string"},
    {"id": 3, "name": "ssn", "required": true, "type": "string"},
    {"id": 4, "name": "born", "required": false, "type": "date"},
    {"id": 5, "name": "place", "required": false, "type": {"type": "struct", "fields": [
        {"id": 6, "name": "town", "required": false, "type": "string"}]}},
    {"id": 7, "name": "tags", "required": false, "type": {"type": "list", "element-id": 8, "element-required": true,
        "element": "string"}},
    {"id": 9, "name": "scores", "required": false, "type": {"type": "map", "key-id": 10, "key": "string", "value-id": 11,
        "value-required": false, "value": "int"}},
    {"id": 12, "name": "salary", "required": false, "type": "int"}"#;

/// Returns a schema with these fields.
pub(super) fn schema_json(id: i32, fields: &str) -> String {
    format!(r#"{{"type": "struct", "schema-id": {id}, "fields": [{fields}]}}"#)
}

/// Returns a table with these schemas, of which the last is the current one, and a spec with these fields.
pub(super) fn table(schemas: &[&str], spec_fields: &str) -> TableMetadata {
    let current = schemas.len() - 1;
    let schemas: Vec<String> = (0..).zip(schemas).map(|(id, fields)| schema_json(id, fields)).collect();
    let text = format!(
        r#"{{"format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "file:///t",
            "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 20, "current-schema-id": {current},
            "schemas": [{}], "default-spec-id": 0, "partition-specs": [{{"spec-id": 0, "fields": [{spec_fields}]}}],
            "last-partition-id": 1001, "default-sort-order-id": 0, "sort-orders": [{{"order-id": 0, "fields": []}}]}}"#,
        schemas.join(",")
    );
    TableMetadata::parse(text.as_bytes()).unwrap()
}
