//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;
use uuid::Uuid;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl ReportStore for PostgresStore {
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()> {
        todo!()
    }
    async fn report_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &ReportFilter,
        page: &TimedPage,
    ) -> Result<Page<KeptReport>> {
        todo!()
    }
    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        todo!()
    }
}
