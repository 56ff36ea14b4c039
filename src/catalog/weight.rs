//! How much work a request asks for, as bytes of the JSON that it came as: enough to tell heavy requests from small ones.

use tidewater_core::commit::{CreateTable, TableCommit, TableUpdate};
use tidewater_core::document::{Properties, Schema};
use tidewater_core::view::{CreateView, ViewCommit, ViewUpdate};

/// What an update or requirement takes at least.
const LEAST_BYTES: usize = 64;

/// What an id in a list takes.
const ID_BYTES: usize = 20;

/// The bytes of commits.
pub(super) fn commits_bytes(commits: &[TableCommit]) -> u64 {
    let of = |commit: &TableCommit| {
        LEAST_BYTES * commit.requirements.len() + commit.updates.iter().map(update_bytes).sum::<usize>()
    };
    commits.iter().map(of).sum::<usize>() as u64
}

/// The bytes of a request to create a table.
pub(super) fn create_bytes(request: &CreateTable) -> u64 {
    (schema_bytes(&request.schema) + properties_bytes(&request.properties)) as u64
}

/// The bytes of a commit to a view.
pub(super) fn view_commit_bytes(commit: &ViewCommit) -> u64 {
    commit.updates.iter().map(view_update_bytes).sum::<usize>() as u64
}

/// The bytes of a request to create a view.
pub(super) fn create_view_bytes(request: &CreateView) -> u64 {
    let version = request.version.json().len();
    (schema_bytes(&request.schema) + version + properties_bytes(&request.properties)) as u64
}

fn update_bytes(update: &TableUpdate) -> usize {
    LEAST_BYTES
        + match update {
            TableUpdate::AddSchema(schema) => schema_bytes(schema),
            TableUpdate::AddSpec(spec) => spec.json().len(),
            TableUpdate::AddSortOrder(order) => order.json().len(),
            TableUpdate::AddSnapshot { json, .. }
            | TableUpdate::SetStatistics { json, .. }
            | TableUpdate::SetPartitionStatistics { json, .. }
            | TableUpdate::AddEncryptionKey { json, .. } => json.len(),
            TableUpdate::RemoveSnapshots(ids) => ID_BYTES * ids.len(),
            TableUpdate::RemovePartitionSpecs(ids) | TableUpdate::RemoveSchemas(ids) => ID_BYTES * ids.len(),
            TableUpdate::SetProperties(properties) => properties_bytes(properties),
            TableUpdate::RemoveProperties(keys) => keys.iter().map(String::len).sum(),
            _ => 0,
        }
}

fn view_update_bytes(update: &ViewUpdate) -> usize {
    LEAST_BYTES
        + match update {
            ViewUpdate::AddSchema(schema) => schema_bytes(schema),
            ViewUpdate::AddViewVersion(version) => version.json().len(),
            ViewUpdate::SetProperties(properties) => properties_bytes(properties),
            ViewUpdate::RemoveProperties(keys) => keys.iter().map(String::len).sum(),
            _ => 0,
        }
}

fn schema_bytes(schema: &Schema) -> usize {
    schema.json().len()
}

fn properties_bytes(properties: &Properties) -> usize {
    properties.iter().map(|(key, value)| key.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The bytes of a commit, and of the body that it was read from.
    fn both(updates: &serde_json::Value) -> (u64, u64) {
        let body = json!({ "requirements": [], "updates": updates }).to_string();
        let commit = TableCommit::parse(body.as_bytes()).unwrap();
        (commits_bytes(&[commit]), body.len() as u64)
    }

    #[test]
    fn weight_of_a_commit_is_near_the_size_of_its_body() {
        let fields: Vec<_> = (1..1_000)
            .map(|id| json!({ "id": id, "name": format!("column{id}"), "required": false, "type": "long" }))
            .collect();
        let spec: Vec<_> = (1_000..2_000)
            .map(|id| json!({ "source-id": 1, "field-id": id, "name": format!("p{id}"), "transform": "identity" }))
            .collect();
        let properties: serde_json::Map<_, _> =
            (0..1_000).map(|number| (format!("key{number}"), json!("a value of some length"))).collect();
        let removals: Vec<_> =
            (0..1_000).map(|id| json!({ "action": "remove-snapshots", "snapshot-ids": [id] })).collect();
        for updates in [
            json!([{ "action": "add-schema", "schema": { "type": "struct", "fields": fields } }]),
            json!([{ "action": "add-spec", "spec": { "fields": spec } }]),
            json!([{ "action": "set-properties", "updates": properties }]),
            json!([{ "action": "remove-snapshots", "snapshot-ids": (0..10_000_i64).map(|id| id << 50).collect::<Vec<_>>() }]),
            json!(removals),
        ] {
            let (weight, body) = both(&updates);
            assert!(weight > body / 3 && weight < body * 3, "{weight} of {body}: {:.60}", updates.to_string());
        }
    }
}
