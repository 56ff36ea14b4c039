//! Organisations, their tiers and their usage.

mod bursts;
mod id_hash;
mod key_counts;
mod meter;
pub mod quota;
pub mod signatures;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tidewater_core::access::{LabelError, check_organisation_name};
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::{Tier, day_of, seconds_left_of_day};

use crate::store::{Change, Organisation, Resource, Store, StoreError};

pub use bursts::{BurstScope, TooFast, take_management};
pub use quota::{Budget, LimitExceeded, Quota, QuotaError};
pub use signatures::{Signatures, TooManySignatures};

/// Why an action on an organisation failed.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// Its name is invalid.
    #[error(transparent)]
    Name(#[from] LabelError),
    /// There is no such tier.
    #[error("'{tier}' is not a tier: use one of {}, or define it in the configuration", known.join(", "))]
    UnknownTier {
        /// The requested tier.
        tier: String,
        /// The configured tiers.
        known: Vec<String>,
    },
    /// There is no organisation of that name.
    #[error("organisation '{0}' does not exist")]
    NotFound(String),
    /// The name is taken.
    #[error("organisation '{0}' exists already")]
    AlreadyExists(String),
    /// The store failed or refused the change.
    #[error(transparent)]
    Store(StoreError),
}

/// An organisation's usage of today, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Requests taken from today's budget. A running server takes a slice at a time, so up to one slice for each server may be
    /// unspent. If there is no limit, the requests of the last seconds may be missing.
    pub requests: u64,
    /// The daily limit of requests, if there is one.
    pub requests_per_day: Option<u64>,
    /// Tables and views.
    pub tables: u64,
    /// The maximum number of tables and views, if there is one.
    pub max_tables: Option<u64>,
    /// The time until the next day (UTC) begins, in seconds.
    pub reset_s: u64,
}

/// Creates an organisation.
///
/// # Errors
/// `Name` if the name is invalid; `AlreadyExists`; `UnknownTier`.
pub async fn organisation_create(
    store: &dyn Store,
    tiers: &BTreeMap<String, Tier>,
    id: OrganisationId,
    name: &str,
    tier: &str,
    change: &Change,
) -> Result<Organisation, TenancyError> {
    check_organisation_name(name)?;
    tier_of(tiers, tier)?;
    let organisation = Organisation::new(id, name, tier, change.at_ms);
    store.organisation_create(&organisation, change).await.map_err(|error| about(name, error))?;
    Ok(organisation)
}

/// Lists all organisations by name.
///
/// # Errors
/// `Store`.
pub async fn organisation_list(store: &dyn Store) -> Result<Vec<Organisation>, TenancyError> {
    store.organisation_list().await.map_err(TenancyError::Store)
}

/// Returns the organisation of that name.
///
/// # Errors
/// `NotFound`.
pub async fn organisation_get(store: &dyn Store, name: &str) -> Result<Organisation, TenancyError> {
    let found = store.organisation_by_name(name).await.map_err(TenancyError::Store)?;
    found.ok_or_else(|| TenancyError::NotFound(name.to_owned()))
}

/// Moves an organisation to another tier. Every server applies it from the next request on.
///
/// # Errors
/// `NotFound`; `UnknownTier`.
pub async fn organisation_set_tier(
    store: &dyn Store,
    tiers: &BTreeMap<String, Tier>,
    name: &str,
    tier: &str,
    change: &Change,
) -> Result<Organisation, TenancyError> {
    tier_of(tiers, tier)?;
    let organisation = organisation_get(store, name).await?;
    store.organisation_set_tier(organisation.id, tier, change).await.map_err(|error| about(name, error))?;
    Ok(Organisation { tier: tier.to_owned(), ..organisation })
}

/// Returns an organisation's usage of today.
///
/// # Errors
/// `UnknownTier` if its tier is not configured.
pub async fn usage_today(
    store: &dyn Store,
    tiers: &BTreeMap<String, Tier>,
    organisation: &Organisation,
    now_ms: i64,
) -> Result<Usage, TenancyError> {
    let tier = tier_of(tiers, &organisation.tier)?;
    Ok(Usage {
        requests: store.usage_get(organisation.id, day_of(now_ms)).await.map_err(TenancyError::Store)?,
        requests_per_day: tier.requests_per_day,
        tables: store.table_count(organisation.id).await.map_err(TenancyError::Store)?,
        max_tables: tier.max_tables,
        reset_s: seconds_left_of_day(now_ms),
    })
}

fn tier_of<'a>(tiers: &'a BTreeMap<String, Tier>, tier: &str) -> Result<&'a Tier, TenancyError> {
    tiers
        .get(tier)
        .ok_or_else(|| TenancyError::UnknownTier { tier: tier.to_owned(), known: tiers.keys().cloned().collect() })
}

fn about(name: &str, error: StoreError) -> TenancyError {
    match error {
        StoreError::NotFound(Resource::Organisation) => TenancyError::NotFound(name.to_owned()),
        StoreError::AlreadyExists(Resource::Organisation) => TenancyError::AlreadyExists(name.to_owned()),
        error => TenancyError::Store(error),
    }
}
