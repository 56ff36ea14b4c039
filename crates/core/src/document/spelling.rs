//! Compares a document as it was read with its form in the specification's spelling.

use serde_json::Value;

/// Optional fields that readers accept as null.
pub(super) const MAY_BE_NULL: [&str; 10] = [
    "last-partition-id",
    "current-snapshot-id",
    "doc",
    "schema-id",
    "first-row-id",
    "added-rows",
    "key-id",
    "encrypted-by-id",
    "default-catalog",
    "max-ref-age-ms",
];

/// Fields that other checks cover: a current snapshot or branch without a snapshot; the ids of the current schema, spec and
/// order; and the oldest fields, which v1 documents may have besides the lists.
const JUDGED_OTHERWISE: [&str; 5] =
    ["/current-snapshot-id", "/current-schema-id", "/default-spec-id", "/default-sort-order-id", "/partition-spec"];

/// Returns the parts of a document's text that readers may refuse although they mean the same as `written`: a known word in
/// other case, a null for an absent field, a missing field. A sentence for each.
///
/// Such a document can be parsed, and the next commit corrects it. A registered document stays as it is, so it must be
/// correct.
pub(crate) fn corrections(text: &[u8], written: &[u8]) -> Vec<String> {
    let (Ok(text), Ok(written)) = (serde_json::from_slice::<Value>(text), serde_json::from_slice::<Value>(written))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    compare("", &text, &written, &mut found);
    found
}

fn compare(place: &str, text: &Value, written: &Value, found: &mut Vec<String>) {
    match (text, written) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let is_ref = place == "/refs";
                let place = format!("{place}/{key}");
                match after.get(key) {
                    None if is_ref || JUDGED_OTHERWISE.contains(&place.as_str()) => {}
                    Some(_) if place == "/current-snapshot-id" => {}
                    Some(other) => compare(&place, value, other, found),
                    None if value.is_null() && MAY_BE_NULL.contains(&key.as_str()) => {}
                    None if value.is_null() => found.push(format!("{place} is null: leave it out")),
                    None => found.push(format!("{place} is not in the specification's form")),
                }
            }
            for key in after.keys().filter(|key| !before.contains_key(*key)) {
                // The current snapshot implies a `main` branch.
                let place_of_key = format!("{place}/{key}");
                if place != "/refs" && !JUDGED_OTHERWISE.contains(&place_of_key.as_str()) {
                    found.push(format!("{place_of_key} is missing"));
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (position, (value, other)) in before.iter().zip(after).enumerate() {
                compare(&format!("{place}/{position}"), value, other, found);
            }
        }
        _ if text == written => {}
        _ => found.push(format!(
            "{place} is {}, which the specification writes {}",
            super::json::excerpt(&text.to_string()),
            super::json::excerpt(&written.to_string())
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_reported_with_their_path() {
        let found = corrections(
            br#"{"refs":{},"a":[{"type":"LONG","doc":null,"x":null,"same":1}],"current-snapshot-id":null}"#,
            br#"{"refs":{"main":{}},"a":[{"type":"long","same":1}],"current-snapshot-id":null}"#,
        );
        assert_eq!(
            found,
            [r#"/a/0/type is "LONG", which the specification writes "long""#, "/a/0/x is null: leave it out"]
        );
    }
}
