//! Usage by day: of keys, and of organisations.

use tidewater_core::ids::{KeyId, OrganisationId};
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, count, get};
use super::params::params;
use crate::store::{KeyUsage, Result};

/// Adds to the counts of requests of keys and users. Ignores those that no longer exist. Takes the rows in one order, so that servers
/// that do so at once never deadlock.
async fn add(transaction: &Transaction, usage: &[KeyUsage]) -> std::result::Result<(), Failure> {
    let organisations: Vec<Uuid> = usage.iter().map(|one| one.organisation.0).collect();
    let days: Vec<i64> = usage.iter().map(|one| one.day).collect();
    let keys: Vec<Uuid> = usage.iter().map(|one| one.key.0).collect();
    let requests: Vec<i64> = usage.iter().map(|one| column(one.requests)).collect();
    // A deletion of the organisation waits for the locks of this statement, so no key refers to a removed organisation.
    transaction
        .query("SELECT 1 FROM organisation WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE", params![organisations])
        .await?;
    transaction
        .query(
            "INSERT INTO key_usage (organisation, day, key, requests)
             SELECT organisation, day, key, sum(requests)::bigint
             FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[]) AS one (organisation, day, key, requests)
             WHERE EXISTS (SELECT 1 FROM api_key WHERE api_key.organisation = one.organisation AND api_key.id = one.key)
                   OR EXISTS (SELECT 1 FROM principal WHERE principal.organisation = one.organisation
                              AND principal.id = one.key AND principal.issuer IS NOT NULL)
             GROUP BY organisation, day, key ORDER BY organisation, day, key
             ON CONFLICT (organisation, day, key) DO UPDATE SET requests = key_usage.requests + excluded.requests",
            params![organisations, days, keys, requests],
        )
        .await?;
    Ok(())
}

impl PostgresStore {
    pub(super) async fn add_key_usage(&self, usage: &[KeyUsage]) -> Result<()> {
        if usage.is_empty() {
            return Ok(());
        }
        transact!(self, transaction => add(transaction, usage))
    }

    pub(super) async fn list_key_usage(
        &self,
        organisation: OrganisationId,
        from: i64,
        to: i64,
    ) -> Result<Vec<KeyUsage>> {
        let rows = self
            .read(
                "SELECT day, key, requests FROM key_usage WHERE organisation = $1 AND day BETWEEN $2 AND $3
                 ORDER BY day, key",
                params![organisation.0, from, to],
            )
            .await?;
        let usage = rows.iter().map(|row| {
            Ok(KeyUsage { organisation, day: get(row, 0)?, key: KeyId(get(row, 1)?), requests: count(get(row, 2)?) })
        });
        usage.collect()
    }

    pub(super) async fn list_usage(&self, organisation: OrganisationId, from: i64, to: i64) -> Result<Vec<(i64, u64)>> {
        let rows = self
            .read(
                "SELECT day, taken FROM usage WHERE organisation = $1 AND day BETWEEN $2 AND $3 ORDER BY day",
                params![organisation.0, from, to],
            )
            .await?;
        rows.iter().map(|row| Ok((get(row, 0)?, count(get(row, 1)?)))).collect()
    }
}
