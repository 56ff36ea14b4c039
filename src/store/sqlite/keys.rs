//! Changes of API keys, and their rotation.

use rusqlite::{Connection, params};
use tidewater_core::ids::{KeyId, OrganisationId};

use super::events::event_add;
use super::tenants::{KEY, details, key_at, key_insert};
use crate::store::{
    ApiKey, Change, EventDetails, EventObject, KeyUpdate, ObjectKind, Operation, Resource, Result, StoreError,
};

/// A key that is not revoked.
fn usable(connection: &Connection, organisation: OrganisationId, id: KeyId) -> Result<ApiKey> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY} FROM api_key WHERE organisation = ?1 AND id = ?2 AND revoked_ms IS NULL"
    ))?;
    let mut rows = statement.query(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    rows.next()?.map(key_at).transpose()?.ok_or(StoreError::NotFound(Resource::Key))
}

fn object(key: &ApiKey) -> EventObject {
    EventObject::new(ObjectKind::Key, Some(key.id.0), key.name.as_str())
}

fn key_set(connection: &Connection, key: &ApiKey) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE api_key SET name = ?3, role = ?4, expires_ms = ?5, no_delete = ?6 WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![
            key.organisation.0.as_bytes(),
            key.id.0.as_bytes(),
            key.name,
            key.role.as_str(),
            key.expires_ms,
            key.no_delete,
        ])?;
    Ok(())
}

pub(super) fn key_update(
    connection: &Connection,
    organisation: OrganisationId,
    id: KeyId,
    update: &KeyUpdate,
    change: &Change,
) -> Result<ApiKey> {
    let before = usable(connection, organisation, id)?;
    let after = ApiKey {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        role: update.role.unwrap_or(before.role),
        expires_ms: update.expires_ms.unwrap_or(before.expires_ms),
        no_delete: update.no_delete.unwrap_or(before.no_delete),
        ..before.clone()
    };
    if after == before {
        return Ok(after);
    }
    key_set(connection, &after)?;
    let mut object = object(&before);
    if after.name != before.name {
        object = object.renamed(after.name.as_str());
    }
    let mut details = EventDetails::new();
    let mut tell = |name: &str, before: serde_json::Value, after: serde_json::Value| {
        if before != after {
            details.insert(name.to_owned(), serde_json::json!({ "before": before, "after": after }));
        }
    };
    tell("role", before.role.as_str().into(), after.role.as_str().into());
    tell("expires-ms", before.expires_ms.into(), after.expires_ms.into());
    tell("no-delete", before.no_delete.into(), after.no_delete.into());
    event_add(connection, change, organisation, Operation::UpdateKey, &object, &details)?;
    Ok(after)
}

pub(super) fn key_rotate(
    connection: &Connection,
    old: KeyId,
    ends_ms: i64,
    new: &ApiKey,
    change: &Change,
) -> Result<()> {
    let before = usable(connection, new.organisation, old)?;
    let expires_ms = Some(before.expires_ms.map_or(ends_ms, |expires_ms| expires_ms.min(ends_ms)));
    key_set(connection, &ApiKey { expires_ms, ..before.clone() })?;
    key_insert(connection, new)?;
    let details = details([("new-key-id", new.id.to_string().into()), ("old-expires-ms", expires_ms.into())]);
    event_add(connection, change, new.organisation, Operation::RotateKey, &object(&before), &details)
}
