//! Properties of every view document, and of every sequence of commits to a view.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::stop::Stop;
use tidewater_core::view::{
    CreateView, RegisterView, ViewCommit, ViewMetadata, apply_view_updates, check_view_requirements, create_view,
};

use crate::support::{NOW_MS, UUID, column, schema};

fn start() -> ViewMetadata {
    let body = json!({"name": "v", "schema": schema(&[column(1, "c0", "int")]), "properties": {},
        "view-version": version(0, &[0], 0)});
    create_view(&CreateView::parse(body.to_string().as_bytes()).unwrap(), "s3://b/v", UUID).unwrap()
}

fn version(schema_id: i32, dialects: &[u8], sql: u8) -> Value {
    let representations: Vec<Value> =
        dialects.iter().map(|n| json!({"type": "sql", "dialect": format!("d{n}"), "sql": format!("q{sql}")})).collect();
    json!({"version-id": sql, "timestamp-ms": 1, "schema-id": schema_id, "summary": {}, "default-namespace": ["n"],
        "representations": representations})
}

fn update() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-1..3_i32, prop::collection::vec(0..3_u8, 0..3), 0..6_u8)
            .prop_map(|(schema_id, dialects, sql)| json!({"action": "add-view-version", "view-version": version(schema_id, &dialects, sql)})),
        3 => (-1..8_i32).prop_map(|id| json!({"action": "set-current-view-version", "view-version-id": id})),
        2 => (0..4_i32).prop_map(|n| json!({"action": "add-schema", "schema": schema(&[column(1, &format!("c{n}"), "int")])})),
        1 => (0..5_i32).prop_map(|n| json!({"action": "set-properties", "updates": {"version.history.num-entries": n.to_string()}})),
        1 => any::<bool>().prop_map(|on| json!({"action": "set-properties", "updates": {"replace.drop-dialect.allowed": on.to_string()}})),
        1 => Just(json!({"action": "remove-properties", "removals": ["version.history.num-entries"]})),
        1 => (0..2_u8).prop_map(|n| json!({"action": "set-location", "location": format!("s3://b/v{n}")})),
    ]
}

fn apply(base: &ViewMetadata, updates: &[Value]) -> Option<ViewMetadata> {
    let commit = ViewCommit::parse(json!({ "updates": updates }).to_string().as_bytes()).unwrap();
    apply_view_updates(base, &commit.updates, NOW_MS, Stop::NEVER).ok().flatten()
}

fn invariants(after: &ViewMetadata) {
    let ids: HashSet<i32> = after.versions().map(tidewater_core::view::ViewVersion::id).collect();
    assert_eq!(ids.len(), after.versions().count());
    assert!(ids.contains(&after.current_version_id()));
    assert!(after.versions().all(|version| after.schema(version.schema_id()).is_some()));
    assert!(after.version_log().iter().all(|entry| ids.contains(&entry.version_id)));
    assert_eq!(after.version_log().last().map(|entry| entry.version_id), Some(after.current_version_id()));
    for (position, one) in after.schemas().enumerate() {
        assert!(after.schemas().skip(position + 1).all(|other| other.id() != one.id() && !other.same_columns(one)));
    }
}

/// Generates any JSON, as a later version of the specification may add it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{1,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// The view after any sequence of commits is consistent and parses to itself. No later commit changes it, accepted or
    /// refused.
    #[test]
    fn every_commit_makes_a_valid_view_and_keeps_its_base(
        commits in prop::collection::vec(prop::collection::vec(update(), 1..4), 1..15),
    ) {
        let mut view = start();
        for updates in commits {
            let before = view.to_json();
            let after = apply(&view, &updates);
            prop_assert_eq!(view.to_json(), before);
            if let Some(after) = after {
                invariants(&after);
                let read = ViewMetadata::parse(&after.to_json()).unwrap();
                prop_assert_eq!(read.to_json(), after.to_json());
                view = read;
            }
        }
    }

    /// A failed requirement is a conflict, and no update is applied.
    #[test]
    fn requirement_for_another_view_is_a_conflict(bytes in any::<[u8; 16]>(), good in 0..3_usize) {
        let view = start();
        let other = uuid::Uuid::from_bytes(bytes);
        prop_assume!(other != UUID);
        let mut requirements = vec![json!({"type": "assert-view-uuid", "uuid": UUID}); good];
        requirements.push(json!({"type": "assert-view-uuid", "uuid": other}));
        let commit = ViewCommit::parse(json!({"requirements": requirements, "updates": []}).to_string().as_bytes()).unwrap();
        prop_assert!(check_view_requirements(&commit.requirements, &view).is_err());
    }

    /// Unknown fields in any position are written unchanged, also after a commit.
    #[test]
    fn unknown_fields_are_kept(
        values in prop::collection::vec(anything(), 5),
        key in "x-[a-z\u{e4}\"\\\\]{1,8}",
    ) {
        let mut document: Value = serde_json::from_slice(&start().to_json()).unwrap();
        for (place, value) in ["", "/versions/0", "/versions/0/representations/0", "/schemas/0", "/version-log/0"].iter().zip(values) {
            document.pointer_mut(place).unwrap()[&key] = value;
        }
        let read = ViewMetadata::parse(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&read.to_json()).unwrap(), document.clone());
        let changed = apply(&read, &[json!({"action": "set-properties", "updates": {"a": "b"}})]).unwrap();
        document["properties"] = json!({"a": "b"});
        prop_assert_eq!(serde_json::from_slice::<Value>(&changed.to_json()).unwrap(), document);
    }

    #[test]
    fn arbitrary_text_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ViewMetadata::parse(&bytes);
        let _ = ViewCommit::parse(&bytes);
        let _ = CreateView::parse(&bytes);
        let _ = RegisterView::parse(&bytes);
    }

    /// A document or request with one value replaced by another is refused with an error, or accepted.
    #[test]
    fn damaged_document_or_request_does_not_panic(
        updates in prop::collection::vec(update(), 1..5),
        at in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        token in prop::sample::select(vec!["null", "-1", "0", "2147483647", "9223372036854775807", "\"\"", "[]", "{}", "1.5"]),
    ) {
        let damage = |mut text: String| {
            for at in &at {
                let colons: Vec<usize> = text.match_indices(':').map(|(position, _)| position + 1).collect();
                let start = colons[at.index(colons.len())];
                let end = text[start..].find([',', '}']).map_or(text.len(), |length| start + length);
                text.replace_range(start..end, token);
            }
            text
        };
        let body = json!({ "updates": updates }).to_string();
        let document = String::from_utf8(start().to_json()).unwrap();
        let bases = [ViewMetadata::parse(document.as_bytes()), ViewMetadata::parse(damage(document).as_bytes())];
        for base in bases.into_iter().flatten() {
            for body in [body.clone(), damage(body.clone())] {
                if let Ok(commit) = ViewCommit::parse(body.as_bytes())
                    && let Ok(Some(after)) = apply_view_updates(&base, &commit.updates, NOW_MS, Stop::NEVER)
                {
                    prop_assert!(ViewMetadata::parse(&after.to_json()).is_ok());
                }
            }
        }
    }
}
