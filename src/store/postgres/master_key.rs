//! The fingerprint of the master key.

use async_trait::async_trait;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::params::params;
use crate::store::{MasterKeyStore, Result, StoreError};

/// Stores the fingerprint. The primary key has one value, so of two servers that do so at once, the second finds the row of the first.
async fn master_key_set(
    transaction: &Transaction,
    fingerprint: [u8; 16],
    only_if_none: bool,
) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "INSERT INTO master_key (only_one, fingerprint) VALUES (true, $1)
             ON CONFLICT (only_one) DO UPDATE SET fingerprint = excluded.fingerprint WHERE NOT $2",
            params![&fingerprint[..], only_if_none],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl MasterKeyStore for PostgresStore {
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>> {
        let Some(row) = self.read_first("SELECT fingerprint FROM master_key", params![]).await? else {
            return Ok(None);
        };
        let fingerprint: &[u8] = get(&row, 0)?;
        let fingerprint = fingerprint.try_into();
        fingerprint.map(Some).map_err(|_| StoreError::Corrupt("master_key.fingerprint: not 16 bytes".to_owned()))
    }

    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
        transact!(self, transaction => master_key_set(transaction, fingerprint, only_if_none))
    }
}
