//! Operators.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::KeyId;

use super::SqliteStore;
use super::convert::{id, not_inserted};
use super::events::{Scope, event_add};
use crate::store::{
    Change, EventDetails, EventObject, KeyDigest, ObjectKind, Operation, Operator, OperatorStore, Resource, Result,
    StoreError,
};

const OPERATOR: &str = "SELECT id, name, digest, created_ms, last_used_ms, revoked_ms FROM operator";

#[async_trait]
impl OperatorStore for SqliteStore {
    async fn operator_create(&self, new: &Operator, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| create(connection, &new, &change)).await
    }

    async fn operator_list(&self) -> Result<Vec<Operator>> {
        self.read_list(None, |connection| {
            let mut statement = connection.prepare_cached(&format!("{OPERATOR} ORDER BY created_ms, id"))?;
            Ok(statement.query_map([], operator_at)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn operator_by_digest(&self, digest: &KeyDigest) -> Result<Option<Operator>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{OPERATOR} WHERE digest = ?1"))?;
            Ok(statement.query_row([digest.0], operator_at).optional()?)
        })
    }

    async fn operator_by_id(&self, id: KeyId) -> Result<Option<Operator>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{OPERATOR} WHERE id = ?1"))?;
            Ok(statement.query_row([id.0.as_bytes()], operator_at).optional()?)
        })
    }

    async fn operator_revoke(&self, id: KeyId, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| revoke(connection, id, &change)).await
    }

    async fn operator_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        let last_used_ms = last_used_ms.to_vec();
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "UPDATE operator SET last_used_ms = ?2 WHERE id = ?1 AND (last_used_ms IS NULL OR last_used_ms < ?2)",
            )?;
            for (id, used_ms) in &last_used_ms {
                statement.execute(params![id.0.as_bytes(), used_ms])?;
            }
            Ok(())
        })
        .await
    }
}

fn operator_at(row: &Row<'_>) -> rusqlite::Result<Operator> {
    Ok(Operator {
        id: id(KeyId, row.get(0)?),
        name: row.get(1)?,
        digest: KeyDigest(row.get(2)?),
        created_ms: row.get(3)?,
        last_used_ms: row.get(4)?,
        revoked_ms: row.get(5)?,
    })
}

fn create(connection: &Connection, new: &Operator, change: &Change) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO operator (id, name, digest, created_ms, last_used_ms, revoked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            new.id.0.as_bytes(),
            new.name,
            new.digest.0,
            new.created_ms,
            new.last_used_ms,
            new.revoked_ms
        ])
        .map_err(|error| not_inserted(error, Resource::Operator))?;
    let object = EventObject::new(ObjectKind::Operator, Some(new.id.0), new.name.as_str());
    event_add(connection, change, Scope::SERVER, Operation::CreateOperator, &object, &EventDetails::new())
}

fn revoke(connection: &Connection, id: KeyId, change: &Change) -> Result<()> {
    let known: Option<(String, bool)> = connection
        .prepare_cached("SELECT name, revoked_ms IS NOT NULL FROM operator WHERE id = ?1")?
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, is_revoked) = known.ok_or(StoreError::NotFound(Resource::Operator))?;
    if is_revoked {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE operator SET revoked_ms = ?2 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), change.at_ms])?;
    let object = EventObject::new(ObjectKind::Operator, Some(id.0), name);
    event_add(connection, change, Scope::SERVER, Operation::RevokeOperator, &object, &EventDetails::new())
}
