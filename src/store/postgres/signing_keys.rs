//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl SigningKeyStore for PostgresStore {
    async fn signing_key_list(&self) -> Result<Vec<SigningKey>> {
        todo!()
    }
    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>> {
        todo!()
    }
    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64> {
        todo!()
    }
}
