//! What a tier includes, and the arithmetic of daily request budgets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::burst::{BurstLimit, MAX_BURST};

/// What an organisation of this tier gets. The configuration defines the tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Whether the tier includes the catalog API. Without it, every request gets 403.
    #[serde(default = "included")]
    pub catalog: bool,
    /// Requests per day (UTC), over all keys of the organisation. `None` means unlimited.
    #[serde(default)]
    pub requests_per_day: Option<u64>,
    /// Tables and views in all warehouses of the organisation. `None` means unlimited.
    #[serde(default)]
    pub max_tables: Option<u64>,
    /// Requests per second, over all keys of the organisation and for each server. `None` means unlimited.
    #[serde(default)]
    pub requests_per_second: Option<u32>,
    /// Requests at the same time within `requests_per_second`. `None` means as many as in one second.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Requests per second of each key, for each server. `None` means unlimited.
    #[serde(default)]
    pub requests_per_second_per_key: Option<u32>,
    /// Requests at the same time within `requests_per_second_per_key`. `None` means as many as in one second.
    #[serde(default)]
    pub burst_per_key: Option<u32>,
}

/// A tier with the catalog and without limits.
impl Default for Tier {
    fn default() -> Self {
        Self {
            catalog: true,
            requests_per_day: None,
            max_tables: None,
            requests_per_second: None,
            burst: None,
            requests_per_second_per_key: None,
            burst_per_key: None,
        }
    }
}

/// Why a tier's settings are invalid. Each message has the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// A limit of requests per second is zero or too large.
    #[error("`{0}` must be 1 to {MAX_BURST}")]
    Range(&'static str),
    /// A burst has no rate.
    #[error("`{burst}` needs `{rate}`")]
    BurstWithoutRate {
        /// The setting of the burst.
        burst: &'static str,
        /// The missing setting.
        rate: &'static str,
    },
}

impl Tier {
    /// Returns the organisation's limit of requests per second, if there is one.
    #[must_use]
    pub fn organisation_burst(&self) -> Option<BurstLimit> {
        self.requests_per_second.map(|rate| BurstLimit::new(rate, self.burst.unwrap_or(rate)))
    }

    /// Returns the limit of requests per second of each key, if there is one.
    #[must_use]
    pub fn key_burst(&self) -> Option<BurstLimit> {
        self.requests_per_second_per_key.map(|rate| BurstLimit::new(rate, self.burst_per_key.unwrap_or(rate)))
    }

    /// Checks the limits of requests per second.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn check(&self) -> Result<(), TierError> {
        let pairs = [
            ("requests_per_second", self.requests_per_second, "burst", self.burst),
            ("requests_per_second_per_key", self.requests_per_second_per_key, "burst_per_key", self.burst_per_key),
        ];
        for (rate, rate_value, burst, burst_value) in pairs {
            for (setting, value) in [(rate, rate_value), (burst, burst_value)] {
                if value.is_some_and(|value| !(1..=MAX_BURST).contains(&value)) {
                    return Err(TierError::Range(setting));
                }
            }
            if burst_value.is_some() && rate_value.is_none() {
                return Err(TierError::BurstWithoutRate { burst, rate });
            }
        }
        Ok(())
    }
}

const fn included() -> bool {
    true
}

/// Returns the default tiers by name.
#[must_use]
pub fn default_tiers() -> BTreeMap<String, Tier> {
    let tier = |catalog, requests_per_day| Tier { catalog, requests_per_day, ..Tier::default() };
    BTreeMap::from([
        ("free".to_owned(), tier(false, None)),
        ("professional".to_owned(), tier(true, Some(10_000))),
        ("premium".to_owned(), tier(true, Some(100_000))),
        ("enterprise".to_owned(), tier(true, None)),
    ])
}

/// Returns the name of the smallest tier that includes the catalog: fewest requests per day, then fewest tables,
/// then fewest requests per second.
/// `None` if no tier includes it.
#[must_use]
pub fn smallest_tier(tiers: &BTreeMap<String, Tier>) -> Option<&str> {
    let size = |tier: &Tier| {
        let per_second = tier.requests_per_second.map(u64::from);
        [tier.requests_per_day, tier.max_tables, per_second].map(|limit| limit.unwrap_or(u64::MAX))
    };
    tiers.iter().filter(|(_, tier)| tier.catalog).min_by_key(|(_, tier)| size(tier)).map(|(name, _)| name.as_str())
}

/// Returns the name of the tier whose limits apply to an organisation: its own tier or, if that is not configured, the
/// smallest tier that includes the catalog. `None` if no tier includes it.
#[must_use]
pub fn serving_tier<'a>(tiers: &'a BTreeMap<String, Tier>, own: &str) -> Option<&'a str> {
    tiers.get_key_value(own).map(|(name, _)| name.as_str()).or_else(|| smallest_tier(tiers))
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The largest part of a day's budget that a process reserves at once. A crash can lose this much of the budget.
pub const MAX_SLICE: u64 = 1_000;

/// Returns the day (UTC) of a time in milliseconds since 1970, counted from 1970-01-01.
#[must_use]
pub const fn day_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(DAY_MS)
}

/// Returns the seconds until the next day (UTC) begins, rounded up: 1 to 86,400.
#[must_use]
pub const fn seconds_left_of_day(now_ms: i64) -> u64 {
    let left_ms = DAY_MS - now_ms.rem_euclid(DAY_MS);
    left_ms.unsigned_abs().div_ceil(1_000)
}

/// The part of a limit that a process reserves at most at once. A process that is killed loses this much of the day's budget.
const PARTS: u64 = 400;

/// The part of what is left of a day's budget that a process reserves at most at once, so that at its end no process has much that
/// another needs.
const PARTS_OF_REST: u64 = 32;

/// Returns how many requests of a day's budget a process reserves at most at once: a four-hundredth of the limit, and 1 to [`MAX_SLICE`].
#[must_use]
pub fn slice_of(limit: u64) -> u64 {
    (limit / PARTS).clamp(1, MAX_SLICE)
}

/// Returns how many requests of a day's budget a process reserves when `taken` of them are reserved or spent. The reserves shrink
/// towards the end of the budget.
#[must_use]
pub fn lease_of(limit: u64, taken: u64) -> u64 {
    (limit.saturating_sub(taken) / PARTS_OF_REST).clamp(1, slice_of(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn day_of_known_times_is_the_calendar_day() {
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(1_785_542_400_000), 20_666, "2026-08-01T00:00:00Z");
        assert_eq!(day_of(1_785_542_399_999), 20_665);
        assert_eq!(seconds_left_of_day(0), 86_400);
        assert_eq!(seconds_left_of_day(DAY_MS - 1), 1);
    }

    #[test]
    fn default_tiers_have_the_limits_of_the_product() {
        let tiers = default_tiers();
        assert!(!tiers["free"].catalog);
        assert_eq!(tiers["professional"].requests_per_day, Some(10_000));
        assert_eq!(tiers["premium"].requests_per_day, Some(100_000));
        assert_eq!(tiers["enterprise"].requests_per_day, None);
        assert_eq!([1, 99, 10_000, 100_000, u64::MAX].map(slice_of), [1, 1, 25, 250, 1_000]);
        assert_eq!([0, 9_000, 9_680, 9_999, 10_001].map(|taken| lease_of(10_000, taken)), [25, 25, 10, 1, 1]);
    }

    #[test]
    fn smallest_tier_has_the_fewest_requests_and_includes_the_catalog() {
        let mut tiers = default_tiers();
        assert_eq!(smallest_tier(&tiers), Some("professional"));
        let tier = |max_tables| Tier { requests_per_day: Some(10_000), max_tables, ..Tier::default() };
        tiers.insert("trial".to_owned(), tier(Some(5)));
        tiers.insert("trial-large".to_owned(), tier(Some(50)));
        assert_eq!(smallest_tier(&tiers), Some("trial"));
        assert_eq!(serving_tier(&tiers, "gold"), Some("trial"), "an unknown tier falls back to the smallest");
        assert_eq!(serving_tier(&tiers, "free"), Some("free"));
        tiers.retain(|name, _| name == "free");
        assert_eq!((smallest_tier(&tiers), serving_tier(&tiers, "gold")), (None, None));
    }

    #[test]
    fn burst_is_one_second_of_requests_unless_set() {
        let tier = Tier { requests_per_second: Some(50), requests_per_second_per_key: Some(5), ..Tier::default() };
        assert_eq!(tier.organisation_burst(), Some(BurstLimit::new(50, 50)));
        let tier = Tier { burst: Some(200), burst_per_key: Some(9), ..tier };
        assert_eq!(tier.organisation_burst(), Some(BurstLimit::new(50, 200)));
        assert_eq!(tier.key_burst(), Some(BurstLimit::new(5, 9)));
        assert_eq!((Tier::default().organisation_burst(), Tier::default().key_burst()), (None, None));
    }

    #[test]
    fn invalid_limit_of_requests_per_second_is_refused() {
        let message = |tier: Tier| tier.check().map_err(|error| error.to_string());
        let zero = Tier { requests_per_second: Some(0), ..Tier::default() };
        assert_eq!(message(zero), Err("`requests_per_second` must be 1 to 250000".to_owned()));
        let large = Tier { requests_per_second_per_key: Some(1), burst_per_key: Some(250_001), ..Tier::default() };
        assert_eq!(message(large), Err("`burst_per_key` must be 1 to 250000".to_owned()));
        let alone = Tier { burst: Some(5), ..Tier::default() };
        assert_eq!(message(alone), Err("`burst` needs `requests_per_second`".to_owned()));
        assert_eq!(message(Tier { requests_per_second: Some(1), burst: Some(5), ..Tier::default() }), Ok(()));
    }

    proptest! {
        #[test]
        fn seconds_left_of_day_end_in_the_first_second_of_the_next_day(now_ms in i64::MIN / 2..i64::MAX / 2) {
            let left_ms = i64::try_from(seconds_left_of_day(now_ms))? * 1_000;
            prop_assert!((1_000..=DAY_MS).contains(&left_ms));
            prop_assert_eq!(day_of(now_ms + left_ms), day_of(now_ms) + 1);
            prop_assert_eq!(day_of(now_ms + left_ms - 1_000), day_of(now_ms));
        }

        #[test]
        fn extreme_times_do_not_panic(now_ms in any::<i64>()) {
            prop_assert!(day_of(now_ms).checked_mul(DAY_MS).is_none_or(|start| start <= now_ms));
            prop_assert!((1..=86_400).contains(&seconds_left_of_day(now_ms)));
        }

        #[test]
        fn lease_is_a_small_part_of_its_limit_and_of_the_rest(limit in any::<u64>(), taken in any::<u64>()) {
            let (slice, lease) = (slice_of(limit), lease_of(limit, taken));
            prop_assert!((1..=MAX_SLICE).contains(&slice) && (1..=slice).contains(&lease));
            prop_assert!(slice == 1 || slice <= limit / 400);
            prop_assert!(lease == 1 || lease <= limit.saturating_sub(taken) / 32);
        }
    }
}
