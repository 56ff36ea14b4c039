//! Helpers of several tests.

use serde_json::{Value, json};
use tidewater_core::commit::{
    CommitError, Context, CreateTable, Outcome, TableCommit, apply_updates, check_requirements, create_table,
};
use tidewater_core::document::TableMetadata;
use tidewater_core::stop::Stop;
use uuid::Uuid;

/// The time of commits in tests, later than every document.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

pub(crate) const UUID: Uuid = Uuid::from_u128(0x0198_c9c2_6f5e_7d3e_9a5e_5a0f_6f1b_2c3d);

pub(crate) const DOCUMENTS: [(&str, &str); 5] = [
    ("v1-legacy", include_str!("../documents/v1-legacy.json")),
    ("v1", include_str!("../documents/v1.json")),
    ("v2", include_str!("../documents/v2.json")),
    ("v2-minimal", include_str!("../documents/v2-minimal.json")),
    ("v3", include_str!("../documents/v3.json")),
];

/// A v3 document that early versions of this catalog accepted: unknown types, other spellings, nulls.
pub(crate) const LENIENT: &str = include_str!("../documents/v3-lenient.json");

pub(crate) fn context() -> Context<'static> {
    Context {
        now_ms: NOW_MS,
        table_uuid: UUID,
        previous_metadata_location: Some("s3://b/t/metadata/00000.json"),
        stop: Stop::NEVER,
    }
}

pub(crate) fn document(name: &str) -> TableMetadata {
    let (_, text) = DOCUMENTS.iter().find(|(known, _)| *known == name).unwrap();
    TableMetadata::parse(text.as_bytes()).unwrap()
}

pub(crate) fn value(document: &TableMetadata) -> Value {
    serde_json::from_slice(&document.to_json()).unwrap()
}

pub(crate) fn updates(updates: &Value) -> TableCommit {
    TableCommit::parse(json!({ "requirements": [], "updates": updates }).to_string().as_bytes()).unwrap()
}

/// Returns the document after a commit of these updates, or `None` if nothing changed.
pub(crate) fn try_commit(base: &TableMetadata, changes: &Value) -> Result<Option<TableMetadata>, CommitError> {
    try_commit_in(base, changes, &context())
}

pub(crate) fn try_commit_in(
    base: &TableMetadata,
    changes: &Value,
    context: &Context<'_>,
) -> Result<Option<TableMetadata>, CommitError> {
    let body = json!({ "requirements": [], "updates": changes }).to_string();
    let commit = TableCommit::parse(body.as_bytes())?;
    Ok(match apply_updates(base, &commit.updates, context)? {
        Outcome::Unchanged => None,
        Outcome::Changed(document) => Some(*document),
    })
}

pub(crate) fn commit(base: &TableMetadata, changes: &Value) -> TableMetadata {
    try_commit(base, changes).unwrap().expect("the commit changes something")
}

pub(crate) fn refused(base: &TableMetadata, changes: &Value) -> String {
    match try_commit(base, changes) {
        Err(CommitError::BadRequest(message)) => message,
        other => panic!("expected a bad request, got {other:?}"),
    }
}

pub(crate) fn conflict(base: &TableMetadata, changes: &Value) -> String {
    match try_commit(base, changes) {
        Err(CommitError::Conflict(message)) => message,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub(crate) fn requirement(base: Option<&TableMetadata>, requirement: &Value) -> Result<(), String> {
    let body = json!({ "requirements": [requirement], "updates": [] }).to_string();
    let commit = TableCommit::parse(body.as_bytes()).unwrap();
    check_requirements(&commit.requirements, base).map_err(|error| error.to_string())
}

pub(crate) fn try_create(request: &Value) -> Result<TableMetadata, CommitError> {
    create_table(&CreateTable::parse(request.to_string().as_bytes())?, "s3://b/t", &context())
}

pub(crate) fn create(request: &Value) -> TableMetadata {
    try_create(request).unwrap()
}

pub(crate) fn column(id: i32, name: &str, kind: &str) -> Value {
    json!({"id": id, "name": name, "required": false, "type": kind})
}

pub(crate) fn schema(columns: &[Value]) -> Value {
    json!({"type": "struct", "fields": columns})
}

/// Returns a table `x long, y string`, unpartitioned, of this format version.
pub(crate) fn table(format_version: u8) -> TableMetadata {
    create(&json!({
        "name": "t",
        "schema": schema(&[column(1, "x", "long"), column(2, "y", "string")]),
        "properties": {"format-version": format_version.to_string()},
    }))
}

/// Returns an `add-snapshot` of format v2.
pub(crate) fn add_snapshot(id: i64, parent: Option<i64>, sequence_number: i64) -> Value {
    let mut snapshot = json!({"snapshot-id": id, "sequence-number": sequence_number, "timestamp-ms": NOW_MS,
        "manifest-list": format!("s3://b/t/metadata/snap-{id}.avro"), "summary": {"operation": "append"}, "schema-id": 0});
    if let Some(parent) = parent {
        snapshot["parent-snapshot-id"] = parent.into();
    }
    json!({"action": "add-snapshot", "snapshot": snapshot})
}

pub(crate) fn set_main(id: i64) -> Value {
    set_ref("main", "branch", id)
}

pub(crate) fn set_ref(name: &str, kind: &str, id: i64) -> Value {
    json!({"action": "set-snapshot-ref", "ref-name": name, "type": kind, "snapshot-id": id})
}
