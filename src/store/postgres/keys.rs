//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl KeyStore for PostgresStore {
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()> {
        todo!()
    }
    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
        todo!()
    }
    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
        todo!()
    }
    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
        todo!()
    }
    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()> {
        todo!()
    }
    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        todo!()
    }
}
