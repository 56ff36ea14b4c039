//! Organisations, their tiers, and what they have used.

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

pub use quota::{Budget, LimitExceeded, Quota, QuotaError};
pub use signatures::{Signatures, TooManySignatures};

/// Why something about an organisation was not done.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// Its name cannot be used.
    #[error(transparent)]
    Name(#[from] LabelError),
    /// There is no such tier.
    #[error("'{tier}' is not a tier: use one of {}, or define it in the configuration", known.join(", "))]
    UnknownTier {
        /// What was asked for.
        tier: String,
        /// The tiers that there are.
        known: Vec<String>,
    },
    /// There is no organisation of that name.
    #[error("organisation '{0}' does not exist")]
    NotFound(String),
    /// There is one of that name already.
    #[error("organisation '{0}' exists already")]
    AlreadyExists(String),
    /// The store did not do it.
    #[error(transparent)]
    Store(StoreError),
}

/// What an organisation has used today, and what it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Requests taken from today's budget. A running server takes a slice at a time, so that up to one slice of each
    /// server may be unspent yet; of an organisation without limit, those of the last seconds may be missing.
    pub requests: u64,
    /// How many it may have in a day, if there is a limit.
    pub requests_per_day: Option<u64>,
    /// Tables and views.
    pub tables: u64,
    /// How many it may have, if there is a limit.
    pub max_tables: Option<u64>,
    /// In how many seconds the next day (UTC) begins.
    pub reset_s: u64,
}

/// Adds an organisation.
///
/// # Errors
/// When the name cannot be used or is taken, or the tier is not configured.
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

/// All organisations, by name.
///
/// # Errors
/// When the store does not answer.
pub async fn organisation_list(store: &dyn Store) -> Result<Vec<Organisation>, TenancyError> {
    store.organisation_list().await.map_err(TenancyError::Store)
}

/// The organisation of that name.
///
/// # Errors
/// When there is none.
pub async fn organisation_get(store: &dyn Store, name: &str) -> Result<Organisation, TenancyError> {
    let found = store.organisation_by_name(name).await.map_err(TenancyError::Store)?;
    found.ok_or_else(|| TenancyError::NotFound(name.to_owned()))
}

/// Moves an organisation to another tier. Running servers see it within [`crate::auth::AuthSettings::cache`].
///
/// # Errors
/// When there is no such organisation, or the tier is not configured.
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

/// What an organisation has used today.
///
/// # Errors
/// When its tier is not configured.
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
