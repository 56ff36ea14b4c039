//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl MasterKeyStore for PostgresStore {
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>> {
        todo!()
    }
    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
        todo!()
    }
}
