//! The keys that sign tokens.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::convert::not_inserted;
use super::events::{Scope, event_add};
use crate::base::secret::Secret;
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Resource, Result, SigningKey, SigningKeyStore,
};

pub(super) fn signing_key_list(connection: &Connection) -> Result<Vec<SigningKey>> {
    let mut statement = connection
        .prepare_cached("SELECT id, secret, created_ms FROM signing_key ORDER BY created_ms DESC, id DESC")?;
    statement
        .query_and_then([], |row| {
            Ok(SigningKey { id: row.get(0)?, secret: Secret::new(row.get(1)?), created_ms: row.get(2)? })
        })?
        .collect()
}

pub(super) fn signing_key_add(
    connection: &Connection,
    new: &SigningKey,
    only_if_none: bool,
    change: &Change,
) -> Result<Vec<SigningKey>> {
    let added = connection
        .prepare_cached(
            "INSERT INTO signing_key (id, secret, created_ms)
             SELECT ?1, ?2, ?3 WHERE NOT ?4 OR NOT EXISTS (SELECT 1 FROM signing_key)",
        )?
        .execute(params![new.id, new.secret.expose(), new.created_ms, only_if_none])
        .map_err(|error| not_inserted(error, Resource::Key))?;
    if added > 0 {
        let object = EventObject::new(ObjectKind::SigningKey, None, new.id.as_str());
        event_add(connection, change, Scope::SERVER, Operation::AddSigningKey, &object, &EventDetails::new())?;
    }
    signing_key_list(connection)
}

pub(super) fn signing_key_remove_before(
    connection: &Connection,
    created_before_ms: i64,
    change: &Change,
) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM signing_key WHERE created_ms < ?1
             AND id <> (SELECT id FROM signing_key ORDER BY created_ms DESC, id DESC LIMIT 1) RETURNING id",
        )?
        .query_map([created_before_ms], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    for id in &removed {
        let object = EventObject::new(ObjectKind::SigningKey, None, id.as_str());
        event_add(connection, change, Scope::SERVER, Operation::RemoveSigningKeys, &object, &EventDetails::new())?;
    }
    Ok(removed.len() as u64)
}

#[async_trait]
impl SigningKeyStore for SqliteStore {
    async fn signing_key_list(&self) -> Result<Vec<SigningKey>> {
        self.read_needed(None, signing_key_list).await
    }

    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| signing_key_add(connection, &new, only_if_none, &change)).await
    }

    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64> {
        let change = change.clone();
        self.write(move |connection| signing_key_remove_before(connection, created_before_ms, &change)).await
    }
}
