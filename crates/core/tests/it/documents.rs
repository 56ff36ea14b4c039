//! Parsing and writing of whole documents.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::document::TableMetadata;

use crate::support::{DOCUMENTS, commit, document, value};

fn broken(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let (_, text) = DOCUMENTS.iter().find(|(known, _)| *known == name).unwrap();
    let text = text.replace("1e400", "1");
    let mut value: Value = serde_json::from_str(&text).unwrap();
    change(&mut value);
    TableMetadata::parse(value.to_string().as_bytes()).unwrap_err().to_string()
}

/// Returns every value as text, with numbers as written and objects sorted by key.
fn canonical(text: &str) -> String {
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    match raw.get().as_bytes()[0] {
        b'{' => {
            let fields: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
                serde_json::from_str(text).unwrap();
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key:?}:{}", canonical(value.get()))).collect();
            format!("{{{}}}", fields.join(","))
        }
        b'[' => {
            let elements: Vec<&serde_json::value::RawValue> = serde_json::from_str(text).unwrap();
            let elements: Vec<String> = elements.iter().map(|value| canonical(value.get())).collect();
            format!("[{}]", elements.join(","))
        }
        b'"' => format!("{:?}", serde_json::from_str::<String>(text).unwrap()),
        _ => raw.get().to_owned(),
    }
}

#[test]
fn unchanged_document_is_written_with_the_same_values() {
    for (name, text) in DOCUMENTS {
        let document = TableMetadata::parse(text.as_bytes()).unwrap();
        let written = String::from_utf8(document.to_json()).unwrap();
        assert_eq!(canonical(&written), canonical(text), "{name}");
    }
}

#[test]
fn commit_keeps_unknown_fields() {
    for name in ["v2", "v3"] {
        let base = document(name);
        let after = commit(&base, &json!([{"action": "set-properties", "updates": {"a": "b"}}]));
        let (before, after) = (String::from_utf8(base.to_json()).unwrap(), String::from_utf8(after.to_json()).unwrap());
        let fields = |text: &str| -> std::collections::BTreeMap<String, String> {
            let fields: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(text).unwrap();
            fields.into_iter().map(|(key, value)| (key, canonical(value.get()))).collect()
        };
        let (before, mut after) = (fields(&before), fields(&after));
        assert_eq!(after.remove("last-updated-ms").unwrap(), "1800000000000");
        for (key, value) in before {
            if !["last-updated-ms", "properties", "metadata-log"].contains(&key.as_str()) {
                assert_eq!(after[&key], value, "{key} of {name}");
            }
        }
    }
}

#[test]
fn commit_to_an_old_v1_document_writes_its_lists() {
    let old = document("v1-legacy");
    assert_eq!(old.refs()["main"].snapshot_id, 638_933_773_299_822_130);
    assert_eq!((old.current_schema_id(), old.default_spec_id(), old.last_partition_id()), (0, 0, 1001));
    let new = value(&commit(&old, &json!([{"action": "set-properties", "updates": {"a": "b"}}])));
    assert_eq!(new["schema"], new["schemas"][0]);
    assert_eq!(new["partition-spec"], new["partition-specs"][0]["fields"]);
    assert_eq!(new["sort-orders"], json!([{"order-id": 0, "fields": []}]));
    assert_eq!(new["refs"]["main"]["snapshot-id"], 638_933_773_299_822_130_i64);
    assert!(new["table-uuid"].is_string(), "the table gets an id");
    assert!(new.get("last-sequence-number").is_none());
}

#[test]
fn document_without_a_required_field_of_its_version_is_refused() {
    for (name, keys) in [
        ("v1", &["format-version", "location", "last-updated-ms", "last-column-id", "current-schema-id"][..]),
        (
            "v2",
            &[
                "table-uuid",
                "last-sequence-number",
                "schemas",
                "partition-specs",
                "last-partition-id",
                "sort-orders",
                "default-spec-id",
                "default-sort-order-id",
            ][..],
        ),
        ("v3", &["next-row-id"][..]),
    ] {
        for key in keys {
            let error = broken(name, |value| {
                value.as_object_mut().unwrap().remove(*key);
            });
            assert!(error.contains(key), "{name} without {key}: {error}");
        }
    }
}

/// A change to a valid document.
type Change = fn(&mut Value);

#[test]
fn inconsistent_document_is_refused() {
    let cases: [(&str, Change, &str); 10] = [
        ("v2", |v| v["format-version"] = 4.into(), "Cannot read unsupported version 4"),
        ("v2", |v| v["format-version"] = 0.into(), "Cannot read unsupported version 0"),
        ("v2", |v| v["current-schema-id"] = 9.into(), "Cannot find schema with current-schema-id=9"),
        ("v2", |v| v["default-spec-id"] = 9.into(), "default-spec-id=9"),
        ("v2", |v| v["default-sort-order-id"] = 9.into(), "default-sort-order-id=9"),
        ("v2", |v| v["current-snapshot-id"] = (-1).into(), "Current snapshot is not set, but main branch exists"),
        ("v2", |v| v["last-sequence-number"] = 33.into(), "sequence number 34 greater than last sequence number 33"),
        ("v2", |v| v["snapshots"][1]["snapshot-id"] = v["snapshots"][0]["snapshot-id"].clone(), "appears twice"),
        ("v2", |v| v["last-updated-ms"] = 1_555_100_000_000_i64.into(), "before last snapshot log entry"),
        ("v2", |v| v["properties"]["a"] = 1.into(), "'properties' must be a map of strings"),
    ];
    for (name, change, expected) in cases {
        let error = broken(name, change);
        assert!(error.contains(expected), "expected '{expected}', got '{error}'");
    }
}

#[test]
fn invalid_schema_is_refused() {
    let cases: [(Change, &str); 6] = [
        (|v| v["fields"][1]["id"] = 1.into(), "multiple fields for id 1"),
        (|v| v["fields"][1]["name"] = "x".into(), "multiple fields for name x"),
        (|v| v["fields"][2]["name"] = "address.city".into(), "multiple fields for name address.city"),
        (|v| v["identifier-field-ids"] = json!([99]), "field does not exist"),
        (|v| v["identifier-field-ids"] = json!([13]), "not a required field"),
        (|v| v["identifier-field-ids"] = json!([4]), "not a primitive type field"),
    ];
    for (change, expected) in cases {
        let error = broken("v2", |value| change(&mut value["schemas"][1]));
        assert!(error.contains(expected), "expected '{expected}', got '{error}'");
    }
}

#[test]
fn deeply_nested_types_are_refused_without_exhausting_the_stack() {
    for depth in [10_usize, 60, 100, 50_000] {
        let open = r#"{"type":"list","element-id":1,"element-required":false,"element":"#;
        let nested = format!("{}\"long\"{}", open.repeat(depth), "}".repeat(depth));
        let text = format!(r#"{{"type":"struct","fields":[{{"id":1,"name":"a","required":false,"type":{nested}}}]}}"#);
        let error = tidewater_core::document::Schema::parse(&text).unwrap_err().to_string();
        let expected = if depth < 64 { "multiple fields for id 1" } else { "nested deeper than 64" };
        assert!(error.contains(expected), "{depth}: {error}");
    }
}

#[test]
fn schema_with_too_long_full_names_is_refused() {
    let mut fields: Vec<String> =
        (2..2000).map(|id| format!(r#"{{"id":{id},"name":"c{id}","required":false,"type":"long"}}"#)).collect();
    let name = "n".repeat(50_000);
    let inner = fields.join(",");
    fields.clear();
    let text = format!(
        r#"{{"type":"struct","fields":[{{"id":1,"name":"{name}","required":false,"type":{{"type":"struct","fields":[{inner}]}}}}]}}"#
    );
    let error = tidewater_core::document::Schema::parse(&text).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

#[test]
fn size_is_at_least_that_of_the_kept_text() {
    for (name, _) in DOCUMENTS {
        let document = document(name);
        assert!(document.size_bytes() > document.snapshots().iter().map(|snapshot| snapshot.json.len()).sum());
        assert!(document.size_bytes() < 100_000);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = TableMetadata::parse(&bytes);
    }

    /// Replaces a few bytes, or a value, of real documents. If one still parses, it is written and parsed again unchanged.
    #[test]
    fn damaged_document_is_refused_or_written_unchanged(
        which in 0..DOCUMENTS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        token in prop::sample::select(vec!["null", "-1", "9223372036854775807", "\"\"", "[]", "{}", "true", "1.5"]),
        replace_value in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let text = DOCUMENTS[which].1;
        let bytes = if replace_value {
            let colons: Vec<usize> = text.match_indices(": ").map(|(position, _)| position + 2).collect();
            let start = colons[at.index(colons.len())];
            let end = text[start..].find([',', '}', '\n']).map_or(text.len(), |length| start + length);
            format!("{}{token}{}", &text[..start], &text[end..]).into_bytes()
        } else {
            let mut bytes = text.as_bytes().to_vec();
            for (position, byte) in damage {
                let position = position.index(bytes.len());
                bytes[position] = byte;
            }
            bytes
        };
        if let Ok(document) = TableMetadata::parse(&bytes) {
            let written = document.to_json();
            let again = TableMetadata::parse(&written).unwrap();
            prop_assert_eq!(again.to_json(), written);
        }
    }
}
