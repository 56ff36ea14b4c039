//! Operators.

use async_trait::async_trait;
use tidewater_core::ids::KeyId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{Scope, event_add};
use super::generations::raise_server;
use super::keys::digest;
use super::params::params;
use crate::store::{
    Change, EventDetails, EventObject, KeyDigest, ObjectKind, Operation, Operator, OperatorStore, Resource, Result,
    StoreError,
};

macro_rules! select_operator {
    ($rest:literal) => {
        concat!("SELECT id, name, digest, created_ms, last_used_ms, revoked_ms FROM operator ", $rest)
    };
}

fn operator_at(row: &Row) -> Result<Operator> {
    Ok(Operator {
        id: KeyId(get(row, 0)?),
        name: get(row, 1)?,
        digest: digest(row, 2)?,
        created_ms: get(row, 3)?,
        last_used_ms: get(row, 4)?,
        revoked_ms: get(row, 5)?,
    })
}

async fn create(transaction: &Transaction, new: &Operator, change: &Change) -> std::result::Result<(), Failure> {
    let added = transaction
        .count(
            "INSERT INTO operator (id, name, digest, created_ms, last_used_ms, revoked_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING 1",
            params![new.id.0, new.name, &new.digest.0[..], new.created_ms, new.last_used_ms, new.revoked_ms],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Operator).into());
    }
    let object = EventObject::new(ObjectKind::Operator, Some(new.id.0), new.name.as_str());
    raise_server(transaction).await?;
    event_add(transaction, change, Scope::SERVER, Operation::CreateOperator, &object, &EventDetails::new()).await
}

async fn revoke(transaction: &Transaction, id: KeyId, change: &Change) -> std::result::Result<(), Failure> {
    let known = transaction
        .query_first("SELECT name, revoked_ms IS NOT NULL FROM operator WHERE id = $1 FOR NO KEY UPDATE", params![id.0])
        .await?
        .ok_or(StoreError::NotFound(Resource::Operator))?;
    if get(&known, 1)? {
        return Ok(());
    }
    transaction.query("UPDATE operator SET revoked_ms = $2 WHERE id = $1", params![id.0, change.at_ms]).await?;
    let object = EventObject::new(ObjectKind::Operator, Some(id.0), get::<&str>(&known, 0)?);
    raise_server(transaction).await?;
    event_add(transaction, change, Scope::SERVER, Operation::RevokeOperator, &object, &EventDetails::new()).await
}

/// Records when operators' keys were last used. Locks the rows in one order, so that servers that do so at once never deadlock.
async fn touch(transaction: &Transaction, last_used_ms: &[(KeyId, i64)]) -> std::result::Result<(), Failure> {
    let ids: Vec<Uuid> = last_used_ms.iter().map(|(id, _)| id.0).collect();
    let times: Vec<i64> = last_used_ms.iter().map(|(_, used_ms)| *used_ms).collect();
    transaction
        .query(
            "WITH used (id, used_ms) AS (
                 SELECT id, max(used_ms) FROM unnest($1::uuid[], $2::bigint[]) AS one (id, used_ms) GROUP BY id
             ), locked AS (
                 SELECT operator.id, used.used_ms FROM operator JOIN used ON used.id = operator.id
                 ORDER BY operator.id FOR NO KEY UPDATE OF operator
             )
             UPDATE operator SET last_used_ms = greatest(operator.last_used_ms, locked.used_ms) FROM locked
             WHERE operator.id = locked.id",
            params![ids, times],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn operator_create(&self, new: &Operator, change: &Change) -> Result<()> {
        transact!(self, transaction => create(transaction, new, change))
    }

    async fn operator_list(&self) -> Result<Vec<Operator>> {
        let rows = self.read(select_operator!("ORDER BY created_ms, id"), params![]).await?;
        rows.iter().map(operator_at).collect()
    }

    async fn operator_by_digest(&self, digest: &KeyDigest) -> Result<Option<Operator>> {
        let row = self.read_first(select_operator!("WHERE digest = $1"), params![&digest.0[..]]).await?;
        row.as_ref().map(operator_at).transpose()
    }

    async fn operator_by_id(&self, id: KeyId) -> Result<Option<Operator>> {
        let row = self.read_first(select_operator!("WHERE id = $1"), params![id.0]).await?;
        row.as_ref().map(operator_at).transpose()
    }

    async fn operator_revoke(&self, id: KeyId, change: &Change) -> Result<()> {
        transact!(self, transaction => revoke(transaction, id, change))
    }

    async fn operator_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        if last_used_ms.is_empty() {
            return Ok(());
        }
        transact!(self, transaction => touch(transaction, last_used_ms))
    }
}
