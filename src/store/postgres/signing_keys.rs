//! The keys that sign tokens.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{NewEvent, Scope, event_add, events_add};
use super::generations::{raise_all, raise_server};
use super::params::params;
use super::state_rows::{CatalogLock, lock_catalog};
use crate::base::secret::Secret;
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Resource, Result, SigningKey, SigningKeyStore, StoreError,
};

const NEWEST_FIRST: &str = "SELECT id, secret, created_ms FROM signing_key ORDER BY created_ms DESC, id DESC";

fn signing_key_at(row: &Row) -> Result<SigningKey> {
    let secret: &[u8] = get(row, 1)?;
    let secret = secret.try_into().map_err(|_| StoreError::Corrupt("signing_key.secret: not 32 bytes".to_owned()))?;
    Ok(SigningKey { id: get(row, 0)?, secret: Secret::new(secret), created_ms: get(row, 2)? })
}

async fn signing_key_add(
    transaction: &Transaction,
    new: &SigningKey,
    only_if_none: bool,
    change: &Change,
) -> std::result::Result<Vec<SigningKey>, Failure> {
    lock_catalog(transaction, CatalogLock::SigningKeys).await?;
    let list = async || {
        let rows = transaction.query(NEWEST_FIRST, params![]).await?;
        rows.iter().map(|row| Ok(signing_key_at(row)?)).collect::<std::result::Result<Vec<_>, Failure>>()
    };
    if only_if_none {
        let known = list().await?;
        if !known.is_empty() {
            return Ok(known);
        }
    }
    let added = transaction
        .count(
            "INSERT INTO signing_key (id, secret, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
            params![new.id, &new.secret.expose()[..], new.created_ms],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Key).into());
    }
    let object = EventObject::new(ObjectKind::SigningKey, None, new.id.as_str());
    event_add(transaction, change, Scope::SERVER, Operation::AddSigningKey, &object, &EventDetails::new()).await?;
    raise_server(transaction).await?;
    list().await
}

async fn signing_key_remove_before(
    transaction: &Transaction,
    created_before_ms: i64,
    change: &Change,
) -> std::result::Result<u64, Failure> {
    lock_catalog(transaction, CatalogLock::SigningKeys).await?;
    let removed = transaction
        .query(
            "DELETE FROM signing_key WHERE created_ms < $1
             AND id <> (SELECT id FROM signing_key ORDER BY created_ms DESC, id DESC LIMIT 1) RETURNING id",
            params![created_before_ms],
        )
        .await?;
    if !removed.is_empty() {
        // Every server has to refuse the tokens of the removed keys.
        raise_all(transaction).await?;
    }
    let event = |id: &str| NewEvent {
        operation: Operation::RemoveSigningKeys,
        object: EventObject::new(ObjectKind::SigningKey, None, id),
        details: EventDetails::new(),
    };
    let events = removed.iter().map(|row| Ok(event(get(row, 0)?))).collect::<Result<Vec<_>>>()?;
    events_add(transaction, change, Scope::SERVER, &events).await?;
    Ok(removed.len() as u64)
}

#[async_trait]
impl SigningKeyStore for PostgresStore {
    async fn signing_key_list(&self) -> Result<Vec<SigningKey>> {
        self.read_needed(NEWEST_FIRST, params![]).await?.iter().map(signing_key_at).collect()
    }

    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>> {
        transact!(self, transaction => signing_key_add(transaction, new, only_if_none, change))
    }

    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64> {
        transact!(self, transaction => signing_key_remove_before(transaction, created_before_ms, change))
    }
}
