//! Requests that an organisation used of its daily budget.

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::PostgresStore;
use super::convert::{Failure, Violation, column, count, get, violation};
use super::params::params;
use crate::store::{Resource, Result, StoreError, UsageStore, UsageTaken};

#[async_trait]
impl UsageStore for PostgresStore {
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken> {
        let limit = limit.map_or(i64::MAX, column);
        let taken = self
            .pool
            .change(
                "INSERT INTO usage AS kept (organisation, day, taken, granted)
                 VALUES ($1, $2, least($3, $4), least($3, $4))
                 ON CONFLICT (organisation, day) DO UPDATE SET
                     taken = kept.taken + greatest(0, least($3, $4 - kept.taken)),
                     granted = greatest(0, least($3, $4 - kept.taken))
                 RETURNING granted, taken",
                params![organisation.0, day, column(wanted), limit],
            )
            .await;
        let rows = taken.map_err(|failure| match violation(&failure) {
            Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Organisation),
            _ => Failure::into_not_made(failure),
        })?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt("usage: a take returned no row".to_owned()))?;
        Ok(UsageTaken { granted: count(get(row, 0)?), total: count(get(row, 1)?) })
    }

    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()> {
        self.change_rows(
            "UPDATE usage SET taken = greatest(0, taken - $3) WHERE organisation = $1 AND day = $2",
            params![organisation.0, day, column(unspent)],
        )
        .await?;
        Ok(())
    }

    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64> {
        let row = self
            .read_first("SELECT taken FROM usage WHERE organisation = $1 AND day = $2", params![organisation.0, day])
            .await?;
        row.map_or(Ok(0), |row| Ok(count(get(&row, 0)?)))
    }
}
