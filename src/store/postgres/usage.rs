//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl UsageStore for PostgresStore {
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken> {
        todo!()
    }
    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()> {
        todo!()
    }
    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64> {
        todo!()
    }
}
