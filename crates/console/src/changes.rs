//! Events in words: what was done, to which object, and what changed.

use serde_json::Value;

use crate::format;
use crate::records::text;
use crate::texts::changes as c;

/// The longest text of a detail, in characters.
const MAX_DETAIL: usize = 100;

/// The most details, and the most items of a list in one.
const MAX_DETAILS: usize = 8;
const MAX_ITEMS: usize = 5;

/// Details that say nothing to people. The event's JSON has them.
const LEFT_OUT: [&str; 5] = ["levels", "new-levels", "pointer-before", "pointer-after", "requirements"];

/// Returns what an event of the API's list tells, as a sentence without its end.
#[must_use]
pub fn words(event: &Value) -> String {
    let (object, new_name) = (text(event, "object"), text(event, "new-name"));
    let mut sentence = c::done(&text(event, "operation"), &text(event, "object-type"), &object);
    if !new_name.is_empty() && new_name != object {
        sentence = c::to(&sentence, &new_name);
    }
    let fields = event["details"].as_object().into_iter().flatten();
    let details: Vec<String> = fields.filter_map(|(name, value)| detail(name, value)).take(MAX_DETAILS).collect();
    if details.is_empty() { sentence } else { format!("{sentence}: {}", details.join("; ")) }
}

/// Returns a detail in words. `None` if it has none.
fn detail(name: &str, value: &Value) -> Option<String> {
    if LEFT_OUT.contains(&name) {
        return None;
    }
    match (name, value) {
        ("updates", Value::Object(kinds)) => {
            let count = |count: &Value| count.as_u64().unwrap_or_default();
            let kinds: Vec<(&str, u64)> = kinds.iter().map(|(kind, number)| (kind.as_str(), count(number))).collect();
            let all = kinds.iter().fold(0, |all: u64, (_, count)| all.saturating_add(*count));
            (all > 0).then(|| c::updates(all, &kinds))
        }
        ("snapshot-ids", Value::Array(ids)) => {
            let ids: Vec<String> = ids.iter().take(MAX_ITEMS).map(Value::to_string).collect();
            (!ids.is_empty()).then(|| c::snapshots(&ids))
        }
        (_, Value::Object(fields)) => {
            let (before, after) = (fields.get("before")?, fields.get("after")?);
            Some(format!("{name} {} → {}", shown(name, before)?, shown(name, after)?))
        }
        _ => Some(format!("{name} {}", shown(name, value)?)),
    }
}

/// Returns a value as a short text. `None` for an object, and for a list with one.
fn shown(name: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => c::NOTHING.to_owned(),
        Value::Bool(yes) => if *yes { crate::texts::YES } else { crate::texts::NO }.to_owned(),
        Value::Number(number) if name.ends_with("-ms") => number.as_i64().map(format::time)?,
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => return None,
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().take(MAX_ITEMS).map(|item| shown(name, item)).collect();
            let more = if items.len() > MAX_ITEMS { ", …" } else { "" };
            format!("{}{more}", texts?.join(", "))
        }
        Value::Object(_) => return None,
    };
    Some(format::cut(&text, MAX_DETAIL))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(operation: &str, kind: &str, details: Value) -> String {
        words(&json!({ "operation": operation, "object-type": kind, "object": "sales.orders", "details": details }))
    }

    #[test]
    fn commit_has_its_snapshots_and_the_number_of_its_updates() {
        let details = json!({
            "updates": { "add-snapshot": 1, "set-snapshot-ref": 2 }, "requirements": { "assert-ref-snapshot-id": 1 },
            "snapshot-ids": [7, 8], "pointer-after": "s3://b/m",
        });
        assert_eq!(
            of("update-table", "table", details),
            "Committed to table sales.orders: 3 updates (add-snapshot, 2 set-snapshot-ref); snapshots 7, 8"
        );
        let one = json!({ "updates": { "set-properties": 1 }, "maintenance": "compact-files" });
        assert_eq!(
            of("update-table", "table", one),
            "Committed to table sales.orders: 1 update (set-properties); maintenance compact-files"
        );
    }

    #[test]
    fn rename_has_both_names() {
        let event = json!({ "operation": "rename-table", "object-type": "table", "object": "a.b", "new-name": "a.c", "details": {} });
        assert_eq!(words(&event), "Renamed table a.b to a.c");
        let restored =
            json!({ "operation": "restore-view", "object-type": "view", "object": "a.b", "new-name": "a.b" });
        assert_eq!(words(&restored), "Restored view a.b");
    }

    #[test]
    fn changes_have_the_value_before_and_after() {
        let details =
            json!({ "role": { "before": "reader", "after": "writer" }, "expires-ms": { "before": null, "after": 0 } });
        assert_eq!(
            of("update-key", "key", details),
            "Changed key sales.orders: role reader → writer; expires-ms nothing → 1970-01-01 00:00:00 UTC"
        );
    }

    #[test]
    fn part_of_an_object_names_the_object_too() {
        assert_eq!(
            of("add-grant", "catalog-role", json!({ "privilege": "TABLE_READ_DATA", "on": "a.b" })),
            "Added grant of catalog role sales.orders: privilege TABLE_READ_DATA; on a.b"
        );
        assert_eq!(
            of("set-tier", "organisation", json!({ "before": "free", "after": "pro" })),
            "Set tier of organisation sales.orders: before free; after pro"
        );
    }

    #[test]
    fn unknown_operations_and_details_are_shown_as_they_are() {
        assert_eq!(of("paint", "wall", json!({ "x": { "y": 1 } })), "paint wall sales.orders");
        assert_eq!(words(&json!(null)).trim(), "");
        let long = of("drop-table", "table", json!({ "list": [1, 2, 3, 4, 5, 6], "text": "x".repeat(500), "no": [] }));
        assert!(long.contains("list 1, 2, 3, 4, 5, …") && long.chars().count() < 200, "{long}");
    }
}
