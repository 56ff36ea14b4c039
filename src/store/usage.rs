//! How many requests an organisation took on a day.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::error::Result;

/// What was taken of a day's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageTaken {
    /// How many requests may be served for it.
    pub granted: u64,
    /// The day's total with these.
    pub total: u64,
}

/// Counts the requests that an organisation takes of its day's budget.
///
/// A take or a return whose future is dropped may happen or not, and nothing tells which: requests that were taken then stay
/// counted. A read whose future is dropped has no effect.
#[async_trait]
pub trait UsageStore: Send + Sync + 'static {
    /// Takes up to `wanted` requests from what `limit` leaves of an organisation's day, in one atomic statement.
    /// `day` counts from 1970-01-01 (UTC). Without a limit, all that is wanted is given, and counted. Gives how many were
    /// taken, which is less than `wanted`, down to none, when the day's budget ends, and the day's total after it.
    ///
    /// # Errors
    /// `NotFound` when there is no such organisation.
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken>;

    /// Gives back requests that were taken and not spent; the total never goes below none.
    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()>;

    /// How many requests were taken on a day.
    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64>;
}
