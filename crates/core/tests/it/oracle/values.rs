//! The replacements of values, and the fields that are added to objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::text::as_is;

/// The highest field id that is not reserved (specification, "Reserved Field IDs").
const HIGHEST_FIELD_ID: i64 = 2_147_483_447;

const TYPES: [&str; 42] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ns",
    "timestamptz_ns",
    "string",
    "uuid",
    "binary",
    "unknown",
    "variant",
    "geometry",
    "geography",
    "decimal(9,2)",
    "decimal(38,38)",
    "decimal( 9 , 2 )",
    "decimal(39,2)",
    "decimal(0,0)",
    "decimal(2,3)",
    "decimal(9)",
    "decimal(-1,2)",
    "fixed[4]",
    "fixed[ 4 ]",
    "fixed[0]",
    "fixed[-1]",
    "fixed[x]",
    "fixed[99999999999]",
    "geometry(srid:4326)",
    "geometry()",
    "geometry( srid:1 )",
    "geography(OGC:CRS84, karney)",
    "geography(OGC:CRS84, KARNEY)",
    "geography(OGC:CRS84, foo)",
    "geography(OGC:CRS84,vincenty)",
    "strng",
    "struct",
    "list",
];

const TRANSFORMS: [&str; 28] = [
    "identity",
    "void",
    "year",
    "month",
    "day",
    "hour",
    "bucket[4]",
    "truncate[4]",
    "bucket[0]",
    "bucket[-1]",
    "truncate[0]",
    "bucket[2147483648]",
    "bucket[99999999999]",
    "bucket[ 4 ]",
    "bucket(4)",
    "bucket",
    "truncate",
    "BUCKET[4]",
    "Identity",
    "date",
    "date_hour",
    "zorder",
    "hilbert[3]",
    " day",
    "day ",
    "bucket[04]",
    "bucket[x]",
    "years",
];

const DEFAULTS: [&str; 14] = [
    "2024-02-29",
    "2024-02-30",
    "12:00:00",
    "25:00:00",
    "2024-02-29T12:00:00.000001",
    "2024-02-29T12:00:00.000001+00:00",
    "2024-02-29T12:00:00.000001+02:00",
    "2024-02-29T12:00:00.0000000001",
    "9c12d441-03fe-4693-9a96-a0705ddf69c1",
    "00ff",
    "00f",
    "12.34",
    "12.345",
    "zz",
];

const UUIDS: [&str; 6] = [
    "9C12D441-03FE-4693-9A96-A0705DDF69C1",
    "9c12d44103fe46939a96a0705ddf69c1",
    "{9c12d441-03fe-4693-9a96-a0705ddf69c1}",
    "urn:uuid:9c12d441-03fe-4693-9a96-a0705ddf69c1",
    "1-1-1-1-1",
    "00000000-0000-0000-0000-000000000000",
];

/// The other values in the document or request, for collisions.
pub(crate) struct Known {
    /// The values by key.
    by_key: BTreeMap<String, Vec<Value>>,
    /// All ids.
    ids: Vec<i64>,
    /// All names.
    names: Vec<String>,
}

impl Known {
    pub(crate) fn of(value: &Value) -> Self {
        let mut known = Self { by_key: BTreeMap::new(), ids: Vec::new(), names: Vec::new() };
        known.collect("", value);
        known
    }

    fn collect(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                if is_refs(fields) {
                    self.names.extend(fields.keys().cloned());
                }
                fields.iter().for_each(|(key, value)| self.collect(key, value));
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.collect(key, element)),
            leaf => {
                let of_key = self.by_key.entry(key.to_owned()).or_default();
                if !of_key.contains(leaf) && of_key.len() < 12 {
                    of_key.push(leaf.clone());
                }
                if is_id(key) {
                    let id = leaf.as_i64().filter(|id| !self.ids.contains(id) && self.ids.len() < 16);
                    self.ids.extend(id);
                }
                if is_name(key) {
                    self.names.extend(
                        leaf.as_str().filter(|name| !self.names.iter().any(|one| one == name)).map(String::from),
                    );
                }
            }
        }
    }
}

fn is_refs(fields: &Map<String, Value>) -> bool {
    fields.values().any(|value| value.get("snapshot-id").is_some() && value.get("type").is_some())
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("-id") || key.ends_with("-ids") || key == "fields"
}

fn is_name(key: &str) -> bool {
    ["name", "ref-name", "key-id"].contains(&key)
}

/// Returns the replacements of a value under this key.
pub(crate) fn replacements(key: &str, value: &Value, known: &Known) -> Vec<Value> {
    let mut new = vec![Value::Null];
    match value {
        Value::String(text) => strings(key, text, known, &mut new),
        Value::Number(number) => numbers(key, number.as_i64(), number, known, &mut new),
        Value::Bool(flag) => new.extend([json!(!flag), json!(flag.to_string()), json!(1), json!({})]),
        Value::Array(elements) => {
            new.extend([json!([]), json!({}), json!("x"), json!(1), json!([elements]), json!(elements.first())]);
        }
        Value::Object(_) => new.extend([json!({}), json!([]), json!("x"), json!(1), json!([value])]),
        Value::Null => {}
    }
    if key == "type" {
        new.extend(types_with_fields());
    }
    let mut distinct: Vec<Value> = Vec::new();
    for one in new {
        if one != *value && !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

fn strings(key: &str, text: &str, known: &Known, new: &mut Vec<Value>) {
    let title = text.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }).collect();
    let texts: [String; 9] = [
        text.to_uppercase(),
        title,
        format!(" {text}"),
        format!("{text} "),
        format!("{text}\t"),
        String::new(),
        format!("{text}x"),
        text.replace('-', "_").replace('/', "//"),
        format!("{text}é\u{0}"),
    ];
    new.extend(texts.map(Value::from));
    new.extend([json!(7), json!(true), json!({}), json!([]), json!([text]), as_is(r#""\ud800""#)]);
    new.extend(known.by_key.get(key).into_iter().flatten().cloned());
    let dictionary: &[&str] = match key {
        "type" | "element" | "key" | "value" => &TYPES,
        "transform" => &TRANSFORMS,
        "initial-default" | "write-default" => &DEFAULTS,
        "uuid" | "table-uuid" | "view-uuid" => &UUIDS,
        "direction" => &["asc", "desc", "ascending", "DESC"],
        "null-order" => &["nulls-first", "nulls-last", "nulls_first", "nulls first", "NULLS-LAST"],
        "encrypted-key-metadata" | "key-metadata" => &["!", "c2VjcmV", "_-8=", "c2VjcmV0\n"],
        "format-version" => &["1", "2", "3", "4", "0", "x", "2.0"],
        "location" => &["s3://b/t/", "s3://b/t//", "/", "relative"],
        "operation" => &["append", "replace", "overwrite", "delete", "APPEND"],
        _ => &[],
    };
    new.extend(dictionary.iter().map(|text| json!(text)));
    if key == "type" && ["branch", "tag"].contains(&text) {
        new.extend([json!("branch"), json!("tag"), json!("BRANCH"), json!("Tag")]);
    }
    if is_name(key) {
        new.extend(known.names.iter().map(|name| json!(name)));
        new.extend([json!("main"), json!("a.b"), json!("_file"), json!("_row_id"), json!("address.city")]);
    }
    if ["initial-default", "write-default"].contains(&key) {
        new.extend([json!(5), json!(5_000_000_000_i64), json!(0.5), json!(false), as_is("1e400")]);
    }
}

fn numbers(key: &str, value: Option<i64>, number: &serde_json::Number, known: &Known, new: &mut Vec<Value>) {
    new.extend([-2, -1, 0, 1, 2, 5, HIGHEST_FIELD_ID, HIGHEST_FIELD_ID + 1, 2_147_483_540].map(Value::from));
    new.extend(
        [i64::from(i32::MAX), i64::from(i32::MAX) + 1, i64::MAX, i64::MIN, i64::from(i32::MIN)].map(Value::from),
    );
    new.extend(value.into_iter().flat_map(|value| [value.wrapping_add(1), value.wrapping_sub(1)]).map(Value::from));
    new.extend(["9223372036854775808", "99999999999999999999999", "1.0", "1e0", "1.5", "-0", "1e400"].map(as_is));
    new.extend([as_is(&format!("{number}.0")), json!(number.to_string()), json!(true), json!({}), json!([number])]);
    new.extend(known.by_key.get(key).into_iter().flatten().cloned());
    if is_id(key) {
        new.extend(known.ids.iter().map(|id| json!(id)));
    }
    if key == "format-version" {
        new.extend([0, 1, 2, 3, 4, 5].map(Value::from));
    }
    if ["initial-default", "write-default"].contains(&key) {
        new.extend([json!("5"), json!(""), json!(5_000_000_000_i64), json!(0.5), json!(false)]);
    }
}

fn types_with_fields() -> Vec<Value> {
    vec![
        nested_lists(40),
        nested_lists(130),
        json!({"type": "foo"}),
        json!({"type": "struct", "fields": []}),
        json!({"type": "STRUCT", "fields": []}),
        json!({"type": "struct"}),
        json!({"type": "string"}),
        json!({"type": "struct", "fields": [{"id": 90, "name": "a", "required": false, "type": "int"}]}),
        json!({"type": "struct", "fields": [{"id": 1, "name": "a", "required": false, "type": "int"}]}),
        json!({"type": "list", "element-id": 90, "element-required": false, "element": "int"}),
        json!({"type": "list", "element-id": 90, "element-required": false, "element": "strng"}),
        json!({"type": "list", "element-id": 1, "element-required": false, "element": "int"}),
        json!({"type": "list", "element-required": false, "element": "int"}),
        json!({"type": "list", "element-id": 90, "element": "int"}),
        json!({"type": "map", "key-id": 90, "key": "int", "value-id": 91, "value-required": false, "value": "int"}),
        json!({"type": "map", "key-id": 90, "key": "int", "value-id": 90, "value-required": false, "value": "int"}),
        json!({"type": "map", "key-id": 90, "key": {"type": "struct", "fields": []}, "value-id": 91, "value-required": false,
            "value": "int"}),
        json!({"type": "map", "key-id": 90, "key": "int", "value-id": 91, "value": "int"}),
        json!({"type": "map", "key-id": 90, "key": "int", "value-id": 91, "value-required": "false", "value": "variant"}),
    ]
}

/// Returns nested lists.
fn nested_lists(depth: usize) -> Value {
    (0..depth).fold(json!("int"), |element, level| {
        json!({"type": "list", "element-id": 1000 + level, "element-required": false, "element": element})
    })
}

/// A kind of object: the fields that identify it, and its optional fields.
type Kind = (&'static [&'static str], &'static [&'static str]);

const KINDS: [Kind; 12] = [
    (&["id", "name", "required"], &["doc", "initial-default", "write-default"]),
    (&["name", "transform"], &["field-id", "source-ids"]),
    (&["transform", "direction"], &["source-ids"]),
    (
        &["snapshot-id", "timestamp-ms", "summary"],
        &["sequence-number", "parent-snapshot-id", "manifests", "schema-id", "first-row-id", "added-rows", "key-id"],
    ),
    (&["snapshot-id", "type"], &["min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"]),
    (&["statistics-path", "blob-metadata"], &["key-metadata"]),
    (&["sequence-number", "fields"], &["properties"]),
    (&["key-id", "encrypted-key-metadata"], &["encrypted-by-id", "properties"]),
    (&["version-id", "representations"], &["default-catalog"]),
    (
        &["format-version", "last-column-id"],
        &[
            "table-uuid",
            "last-sequence-number",
            "properties",
            "current-snapshot-id",
            "snapshots",
            "snapshot-log",
            "metadata-log",
            "sort-orders",
            "default-sort-order-id",
            "refs",
            "statistics",
            "partition-statistics",
            "encryption-keys",
            "next-row-id",
            "schema",
            "partition-spec",
        ],
    ),
    (&["view-uuid"], &["properties"]),
    (&["name", "schema"], &["location", "partition-spec", "write-order", "stage-create", "properties"]),
];

/// Returns the fields to add to the object under `key`: the optional ones that it lacks, and two unknown ones.
pub(crate) fn additions(key: &str, fields: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let mut added = vec![("x-unknown", json!({"kept": [1, null]})), ("x-null", Value::Null)];
    let is_blob = key == "blob-metadata";
    let kinds = KINDS.iter().filter(|(telling, _)| telling.iter().all(|key| fields.contains_key(*key)));
    let mut optional: Vec<&str> = kinds
        .filter(|(telling, _)| !is_blob || telling.contains(&"fields"))
        .flat_map(|(_, keys)| *keys)
        .copied()
        .collect();
    if ["schema", "schemas"].contains(&key) {
        optional.extend(["schema-id", "identifier-field-ids"]);
    }
    for key in optional.into_iter().filter(|key| !fields.contains_key(*key)) {
        added.extend([(key, Value::Null), (key, json!("x")), (key, json!(1)), (key, json!([1]))]);
        added.extend([(key, json!({})), (key, json!([])), (key, json!(-1)), (key, json!([1, 2]))]);
    }
    added
}
