//! The fingerprint of the master key.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use crate::store::{MasterKeyStore, Result};

pub(super) fn master_key_get(connection: &Connection) -> Result<Option<[u8; 16]>> {
    let found = connection.prepare_cached("SELECT fingerprint FROM master_key")?.query_row([], |row| row.get(0));
    Ok(found.optional()?)
}

pub(super) fn master_key_set(connection: &Connection, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO master_key (only_one, fingerprint) VALUES (1, ?1)
             ON CONFLICT (only_one) DO UPDATE SET fingerprint = excluded.fingerprint WHERE NOT ?2",
        )?
        .execute(params![fingerprint, only_if_none])?;
    Ok(())
}

#[async_trait]
impl MasterKeyStore for SqliteStore {
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>> {
        self.read(master_key_get)
    }

    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
        self.write(move |connection| master_key_set(connection, fingerprint, only_if_none)).await
    }
}
