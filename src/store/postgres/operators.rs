//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::KeyId;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn operator_create(&self, new: &Operator, change: &Change) -> Result<()> {
        todo!()
    }
    async fn operator_list(&self) -> Result<Vec<Operator>> {
        todo!()
    }
    async fn operator_by_digest(&self, digest: &KeyDigest) -> Result<Option<Operator>> {
        todo!()
    }
    async fn operator_revoke(&self, id: KeyId, change: &Change) -> Result<()> {
        todo!()
    }
    async fn operator_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        todo!()
    }
}
