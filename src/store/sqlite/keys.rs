//! API keys.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use super::SqliteStore;
use super::convert::{id, not_inserted, role};
use super::entities::entity_touch;
use super::events::{details, event_add};
use super::organisations::{ORGANISATION, organisation_at};
use crate::store::{
    ApiKey, Change, EventDetails, EventObject, KeyDigest, KeyStore, KeyUpdate, ObjectKind, Operation, Organisation,
    Resource, Result, StoreError,
};

const KEY: &str = "api_key.id, api_key.organisation, api_key.name, api_key.role, api_key.digest, \
                   api_key.created_ms, api_key.expires_ms, api_key.last_used_ms, api_key.revoked_ms, api_key.no_delete, api_key.principal, \
                   api_key.acts_for_users";
const KEY_COLUMNS: usize = 12;

fn key_at(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: id(KeyId, row.get(0)?),
        organisation: id(OrganisationId, row.get(1)?),
        name: row.get(2)?,
        role: role(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        digest: KeyDigest(row.get(4)?),
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        last_used_ms: row.get(7)?,
        revoked_ms: row.get(8)?,
        no_delete: row.get(9)?,
        principal: id(PrincipalId, row.get(10)?),
        acts_for_users: row.get(11)?,
    })
}

pub(super) fn key_create(connection: &Connection, new: &ApiKey, change: &Change) -> Result<()> {
    check_name_free(connection, new, change.at_ms)?;
    key_insert(connection, new)?;
    let object = EventObject::new(ObjectKind::Key, Some(new.id.0), new.name.as_str());
    let details = details([("role", new.role.as_str().into()), ("expires-ms", new.expires_ms.into())]);
    event_add(connection, change, new.organisation, Operation::CreateKey, &object, &details)
}

/// Fails if another key of the organisation that is usable at `now_ms` has the key's name.
fn check_name_free(connection: &Connection, key: &ApiKey, now_ms: i64) -> Result<()> {
    let is_taken = connection
        .prepare_cached(
            "SELECT 1 FROM api_key
             WHERE organisation = ?1 AND name = ?2 AND id <> ?3 AND revoked_ms IS NULL
                   AND (expires_ms IS NULL OR expires_ms > ?4)",
        )?
        .exists(params![key.organisation.0.as_bytes(), key.name, key.id.0.as_bytes(), now_ms])?;
    if is_taken { Err(StoreError::AlreadyExists(Resource::Key)) } else { Ok(()) }
}

/// Adds a key, without an event.
fn key_insert(connection: &Connection, new: &ApiKey) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO api_key (organisation, id, name, role, digest, created_ms, expires_ms, last_used_ms, revoked_ms,
                                  no_delete, principal, acts_for_users)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            new.organisation.0.as_bytes(),
            new.id.0.as_bytes(),
            new.name,
            new.role.as_str(),
            new.digest.0,
            new.created_ms,
            new.expires_ms,
            new.last_used_ms,
            new.revoked_ms,
            new.no_delete,
            new.principal.0.as_bytes(),
            new.acts_for_users,
        ])
        .map_err(|error| not_inserted(error, Resource::Key))?;
    upsert_principal(connection, new)?;
    Ok(())
}

pub(super) fn key_list(connection: &Connection, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {KEY} FROM api_key WHERE organisation = ?1 ORDER BY created_ms, id"))?;
    statement.query_and_then([organisation.0.as_bytes()], key_at)?.collect()
}

pub(super) fn key_by_digest(connection: &Connection, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
    key_where(connection, "api_key.digest = ?1", &digest.0)
}

pub(super) fn key_by_id(connection: &Connection, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
    key_where(connection, "api_key.id = ?1", id.0.as_bytes())
}

fn key_where(connection: &Connection, condition: &str, value: &[u8]) -> Result<Option<(ApiKey, Organisation)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY}, {ORGANISATION} FROM api_key JOIN organisation ON organisation.id = api_key.organisation \
         WHERE {condition}"
    ))?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(|row| Ok((key_at(row)?, organisation_at(row, KEY_COLUMNS)?))).transpose()
}

pub(super) fn key_revoke(
    connection: &Connection,
    organisation: OrganisationId,
    id: KeyId,
    change: &Change,
) -> Result<()> {
    let known: Option<(String, bool)> = connection
        .prepare_cached("SELECT name, revoked_ms IS NOT NULL FROM api_key WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, is_revoked) = known.ok_or(StoreError::NotFound(Resource::Key))?;
    if is_revoked {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE api_key SET revoked_ms = ?3 WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes(), change.at_ms])?;
    let object = EventObject::new(ObjectKind::Key, Some(id.0), name);
    event_add(connection, change, organisation, Operation::RevokeKey, &object, &EventDetails::new())
}

pub(super) fn key_touch(connection: &Connection, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE api_key SET last_used_ms = ?2 WHERE id = ?1 AND (last_used_ms IS NULL OR last_used_ms < ?2)",
    )?;
    for (id, used_ms) in last_used_ms {
        statement.execute(params![id.0.as_bytes(), used_ms])?;
    }
    Ok(())
}

/// Returns a key that is not revoked.
fn unrevoked_key(connection: &Connection, organisation: OrganisationId, id: KeyId) -> Result<ApiKey> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY} FROM api_key WHERE organisation = ?1 AND id = ?2 AND revoked_ms IS NULL"
    ))?;
    let mut rows = statement.query(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    rows.next()?.map(key_at).transpose()?.ok_or(StoreError::NotFound(Resource::Key))
}

/// Adds the principal of a key, or renames it after the key.
fn upsert_principal(connection: &Connection, key: &ApiKey) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO principal (organisation, id, name, created_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (organisation, id) DO UPDATE SET name = excluded.name",
        )?
        .execute(params![key.organisation.0.as_bytes(), key.principal.0.as_bytes(), key.name, key.created_ms])?;
    Ok(())
}

fn object(key: &ApiKey) -> EventObject {
    EventObject::new(ObjectKind::Key, Some(key.id.0), key.name.as_str())
}

fn key_set(connection: &Connection, key: &ApiKey) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE api_key SET name = ?3, role = ?4, expires_ms = ?5, no_delete = ?6, acts_for_users = ?7
             WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![
            key.organisation.0.as_bytes(),
            key.id.0.as_bytes(),
            key.name,
            key.role.as_str(),
            key.expires_ms,
            key.no_delete,
            key.acts_for_users,
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
    let before = unrevoked_key(connection, organisation, id)?;
    let after = ApiKey {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        role: update.role.unwrap_or(before.role),
        expires_ms: update.expires_ms.unwrap_or(before.expires_ms),
        no_delete: update.no_delete.unwrap_or(before.no_delete),
        acts_for_users: update.acts_for_users.unwrap_or(before.acts_for_users),
        ..before.clone()
    };
    if after == before {
        return Ok(after);
    }
    if after.takes_name(&before, change.at_ms) {
        check_name_free(connection, &after, change.at_ms)?;
    }
    key_set(connection, &after)?;
    upsert_principal(connection, &after)?;
    entity_touch(connection, organisation, after.principal.0, change.at_ms)?;
    let mut object = object(&before);
    if after.name != before.name {
        object = object.renamed(after.name.as_str());
    }
    let mut details = EventDetails::new();
    let mut add_change = |name: &str, before: serde_json::Value, after: serde_json::Value| {
        if before != after {
            details.insert(name.to_owned(), serde_json::json!({ "before": before, "after": after }));
        }
    };
    add_change("role", before.role.as_str().into(), after.role.as_str().into());
    add_change("expires-ms", before.expires_ms.into(), after.expires_ms.into());
    add_change("no-delete", before.no_delete.into(), after.no_delete.into());
    add_change("acts-for-users", before.acts_for_users.into(), after.acts_for_users.into());
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
    let before = unrevoked_key(connection, new.organisation, old)?;
    let succeeded = connection
        .prepare_cached("UPDATE api_key SET successor = ?3 WHERE organisation = ?1 AND id = ?2 AND successor IS NULL")?
        .execute(params![new.organisation.0.as_bytes(), old.0.as_bytes(), new.id.0.as_bytes()])?;
    if succeeded == 0 {
        return Err(StoreError::AlreadyExists(Resource::Key));
    }
    let expires_ms = Some(before.expires_ms.map_or(ends_ms, |expires_ms| expires_ms.min(ends_ms)));
    key_set(connection, &ApiKey { expires_ms, ..before.clone() })?;
    key_insert(connection, new)?;
    let details = details([("new-key-id", new.id.to_string().into()), ("old-expires-ms", expires_ms.into())]);
    event_add(connection, change, new.organisation, Operation::RotateKey, &object(&before), &details)
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| key_create(connection, &new, &change)).await
    }

    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
        self.read_list(Some(organisation), move |connection| key_list(connection, organisation)).await
    }

    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
        self.read(|connection| key_by_digest(connection, digest))
    }

    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
        self.read(|connection| key_by_id(connection, id))
    }

    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| key_revoke(connection, organisation, id, &change)).await
    }

    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        let last_used_ms = last_used_ms.to_vec();
        self.write(move |connection| key_touch(connection, &last_used_ms)).await
    }
}
