//! Requests that an organisation used of its daily budget.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::error::Result;

/// Requests taken from a day's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageTaken {
    /// The number of requests granted, at most the number wanted.
    pub granted: u64,
    /// The day's total, these included.
    pub total: u64,
}

/// Counts the requests that an organisation takes from its daily budget.
///
/// A take or a return whose future is dropped may happen or not, and the caller cannot find out which. Requests that were
/// taken stay counted. A read whose future is dropped has no effect.
#[async_trait]
pub trait UsageStore: Send + Sync + 'static {
    /// Takes up to `wanted` requests from the rest of an organisation's budget of `limit` requests a day, in one atomic
    /// statement. `day` counts from 1970-01-01 (UTC). Without a limit, all `wanted` requests are granted and counted. Returns
    /// the number granted, which may be less than `wanted` or 0 at the end of the budget, and the day's total afterwards.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist.
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken>;

    /// Returns unspent requests to the budget. The day's total never falls below 0.
    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()>;

    /// Returns the number of requests taken on a day.
    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64>;
}
