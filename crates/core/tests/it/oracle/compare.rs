//! Compares two documents, and checks that ours has the specification's spelling.

use serde_json::Value;

use super::case::Operation;

/// Later times come from the test run: each side reads the clock.
const NOW_SINCE_MS: i64 = 1_760_000_000_000;

/// Returns the first difference between two documents of the reference implementation: its place, and both values.
pub(crate) fn difference(operation: Operation, ours: &str, theirs: &str) -> Option<String> {
    let [mut ours, mut theirs] = [ours, theirs].map(|text| serde_json::from_str::<Value>(text).unwrap());
    // Our commit gives a v1 table without an id a new one; Java does not.
    if operation.makes_an_id() || (operation == Operation::Commit && theirs["table-uuid"].is_null()) {
        for document in [&mut ours, &mut theirs] {
            document.as_object_mut().unwrap().retain(|key, _| key != "table-uuid" && key != "view-uuid");
        }
    }
    first_difference("", &comparable(operation, ours), &comparable(operation, theirs))
}

/// Removes values that every writer generates, and sorts the lists.
fn comparable(operation: Operation, mut document: Value) -> Value {
    let fields = document.as_object_mut().unwrap();
    if operation != Operation::Table && operation != Operation::View {
        fields.remove("last-updated-ms");
        fields.remove("metadata-log");
    }
    // Java keeps them in an unordered map.
    for files in ["statistics", "partition-statistics"] {
        if let Some(files) = fields.get_mut(files).and_then(Value::as_array_mut) {
            files.sort_by_key(|file| file["snapshot-id"].as_i64());
        }
    }
    for log in ["snapshot-log", "version-log"] {
        for entry in fields.get_mut(log).and_then(Value::as_array_mut).into_iter().flatten() {
            if entry["timestamp-ms"].as_i64().is_some_and(|time| (NOW_SINCE_MS..2 * NOW_SINCE_MS).contains(&time)) {
                entry["timestamp-ms"] = "now".into();
            }
        }
    }
    document
}

fn first_difference(place: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let [ours, theirs] = [ours, theirs].map(|fields| fields.get(key).unwrap_or(&Value::Null));
                first_difference(&format!("{place}/{key}"), ours, theirs)
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|(ours, theirs)| first_difference(&format!("{place}/*"), ours, theirs))
        }
        (ours, theirs) if ours == theirs => None,
        (ours, theirs) => Some(format!("{place}: ours {ours}, Java {theirs}")),
    }
}

/// Returns where our document differs from Java's: a value in another spelling, or an optional null. Ignores fields that
/// Java does not know, since it does not write them.
pub(crate) fn spelling(written: &str, by_java: &str) -> Option<String> {
    let written: Value = match serde_json::from_str(written) {
        Ok(written) => written,
        Err(error) => return Some(format!("/: not JSON: {error}")),
    };
    spelled_otherwise("", &written, &serde_json::from_str(by_java).unwrap())
}

fn spelled_otherwise(place: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours.iter().find_map(|(key, value)| {
            let place = format!("{place}/{key}");
            match theirs.get(key) {
                Some(theirs) => spelled_otherwise(&place, value, theirs),
                None if value.is_null() && !key.starts_with("x-") => Some(format!("{place}: null is written")),
                None => None,
            }
        }),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|(ours, theirs)| spelled_otherwise(&format!("{place}/*"), ours, theirs))
        }
        (ours, theirs) if ours == theirs => None,
        (ours, theirs) => Some(format!("{place}: ours {ours}, Java {theirs}")),
    }
}
