//! An organisation's usage by day.

use std::collections::BTreeMap;

use tidewater_core::ids::{KeyId, PrincipalId};
use tidewater_core::limits::{Tier, day_of};

use super::{Admin, AdminError};
use crate::store::{KeyUsage, Organisation};

/// The most days of one answer: a year, or a month by key.
const DAYS: i64 = 366;
const DAYS_BY_KEY: i64 = 31;

/// A range of days (UTC), counted from 1970-01-01, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Days {
    fn check(self, at_most: i64) -> Result<Self, AdminError> {
        if self.from > self.to {
            return Err(AdminError::Invalid("`from` must not be after `to`".to_owned()));
        }
        if self.to.saturating_sub(self.from) >= at_most {
            return Err(AdminError::Invalid(format!("Ask for at most {at_most} days at once")));
        }
        Ok(self)
    }
}

/// The name of a key or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsedBy {
    /// The name of a key.
    Key(String),
    /// The name of a user.
    User(String),
}

/// An organisation's limits, and its number of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLimits {
    /// The tier that serves it, with its name. `None` if its keys are refused.
    pub tier: Option<(String, Tier)>,
    /// The number of its tables and views.
    pub tables: u64,
}

impl Admin {
    /// Returns today, as a day counted from 1970-01-01.
    #[must_use]
    pub fn today(&self) -> i64 {
        day_of(self.clock.now_ms())
    }

    /// Returns the maximum number of an organisation's tables and views, if there is a limit.
    #[must_use]
    pub fn max_tables(&self, organisation: &Organisation) -> Option<u64> {
        self.config.tiers.get(self.serving_tier(organisation)?)?.max_tables
    }

    /// Returns an organisation's limits.
    ///
    /// # Errors
    /// `Store`.
    pub async fn usage_limits(&self, organisation: &Organisation) -> Result<UsageLimits, AdminError> {
        let name = self.serving_tier(organisation);
        let tier = name.and_then(|name| Some((name.to_owned(), self.config.tiers.get(name)?.clone())));
        Ok(UsageLimits { tier, tables: self.store.table_count(organisation.id).await? })
    }

    /// Lists the days on which an organisation sent requests, with their number. A number may be too high by up to 1 % of the
    /// daily limit for each server: servers reserve requests in advance.
    ///
    /// # Errors
    /// `Invalid`; `Store`.
    pub async fn usage_by_day(&self, organisation: &Organisation, days: Days) -> Result<Vec<(i64, u64)>, AdminError> {
        let Days { from, to } = days.check(DAYS)?;
        Ok(self.store.usage_list(organisation.id, from, to).await?)
    }

    /// Lists the number of requests by day and key or user, with their names.
    ///
    /// # Errors
    /// `Invalid`; `Store`.
    pub async fn usage_by_key(
        &self,
        organisation: &Organisation,
        days: Days,
    ) -> Result<(Vec<KeyUsage>, BTreeMap<KeyId, UsedBy>), AdminError> {
        let Days { from, to } = days.check(DAYS_BY_KEY)?;
        let usage = self.store.key_usage_list(organisation.id, from, to).await?;
        let keys = self.store.key_list(organisation.id).await?;
        let mut names: BTreeMap<_, _> = keys.into_iter().map(|key| (key.id, UsedBy::Key(key.name))).collect();
        for one in &usage {
            // Users are counted by their principal.
            if !names.contains_key(&one.key)
                && let Some((user, _)) = self.store.user_get(organisation.id, PrincipalId(one.key.0)).await?
            {
                names.insert(one.key, UsedBy::User(user.name));
            }
        }
        Ok((usage, names))
    }
}
