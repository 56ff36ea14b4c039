//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::properties::PropertyChanges;
use uuid::Uuid;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl ReceiptStore for PostgresStore {
    async fn receipt_get(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        key: Uuid,
        now_ms: i64,
    ) -> Result<Option<KeptAnswer>> {
        todo!()
    }
    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()> {
        todo!()
    }
    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64> {
        todo!()
    }
}

/// Fails with `Repeated` if the key of the change's receipt, if it has one, has an unexpired answer.
pub(super) async fn check_unused(
    transaction: &super::connection::Transaction,
    organisation: OrganisationId,
    change: &Change,
) -> std::result::Result<(), super::convert::Failure> {
    Ok(())
}

/// Stores the answer under the key of the change's receipt, if it has one.
pub(super) async fn add_of_change(
    transaction: &super::connection::Transaction,
    organisation: OrganisationId,
    change: &Change,
    answer: impl FnOnce() -> Answer,
) -> std::result::Result<(), super::convert::Failure> {
    Ok(())
}

impl PostgresStore {
    /// Returns `Repeated` if a change was refused because the same request was done meanwhile, and `error` otherwise.
    pub(super) async fn repeated_or(
        &self,
        organisation: OrganisationId,
        change: &Change,
        error: StoreError,
    ) -> StoreError {
        error
    }
}
