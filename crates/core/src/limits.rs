//! What a tier includes, and how a day's budget is counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an organisation of this tier gets. Tiers are configuration; these are the fields of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Whether the catalog API is included at all; without it every request is answered 403.
    #[serde(default = "included")]
    pub catalog: bool,
    /// Requests a day (UTC), over all keys of the organisation; none means without limit.
    #[serde(default)]
    pub requests_per_day: Option<u64>,
    /// Tables and views in all warehouses of the organisation; none means without limit.
    #[serde(default)]
    pub max_tables: Option<u64>,
}

const fn included() -> bool {
    true
}

/// The tiers of the product as it is sold: by name.
#[must_use]
pub fn default_tiers() -> BTreeMap<String, Tier> {
    let tier = |catalog, requests_per_day| Tier { catalog, requests_per_day, max_tables: None };
    BTreeMap::from([
        ("free".to_owned(), tier(false, None)),
        ("professional".to_owned(), tier(true, Some(10_000))),
        ("premium".to_owned(), tier(true, Some(100_000))),
        ("enterprise".to_owned(), tier(true, None)),
    ])
}

/// The name of the smallest tier that includes the catalog: the fewest requests a day, then the fewest tables. None when no tier
/// does.
#[must_use]
pub fn smallest_tier(tiers: &BTreeMap<String, Tier>) -> Option<&str> {
    let size = |tier: &Tier| [tier.requests_per_day, tier.max_tables].map(|limit| limit.unwrap_or(u64::MAX));
    tiers.iter().filter(|(_, tier)| tier.catalog).min_by_key(|(_, tier)| size(tier)).map(|(name, _)| name.as_str())
}

/// The name of the tier that an organisation is served by: its own or, where that is not configured, the smallest that includes
/// the catalog. None when no tier does.
#[must_use]
pub fn serving_tier<'a>(tiers: &'a BTreeMap<String, Tier>, own: &str) -> Option<&'a str> {
    tiers.get_key_value(own).map(|(name, _)| name.as_str()).or_else(|| smallest_tier(tiers))
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The largest slice of a day's budget that a process takes at once: what a crash can lose of it.
pub const MAX_SLICE: u64 = 1_000;

/// The day (UTC) of a time in milliseconds since 1970, counted from 1970-01-01.
#[must_use]
pub const fn day_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(DAY_MS)
}

/// How many seconds are left of the day (UTC), rounded up: 1 to 86,400. After so many, the next day has begun.
#[must_use]
pub const fn seconds_left_of_day(now_ms: i64) -> u64 {
    let left_ms = DAY_MS - now_ms.rem_euclid(DAY_MS);
    left_ms.unsigned_abs().div_ceil(1_000)
}

/// How many requests of a day's budget a process takes at once, to spend them without asking again: a hundredth, so that
/// what several processes hold unspent stays small beside the limit, and 1 to [`MAX_SLICE`].
#[must_use]
pub fn slice_of(limit: u64) -> u64 {
    (limit / 100).clamp(1, MAX_SLICE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_days_of_known_times_are_right() {
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(1_785_542_400_000), 20_666, "2026-08-01T00:00:00Z");
        assert_eq!(day_of(1_785_542_399_999), 20_665);
        assert_eq!(seconds_left_of_day(0), 86_400);
        assert_eq!(seconds_left_of_day(DAY_MS - 1), 1);
    }

    #[test]
    fn the_seeds_limits_are_the_default() {
        let tiers = default_tiers();
        assert!(!tiers["free"].catalog);
        assert_eq!(tiers["professional"].requests_per_day, Some(10_000));
        assert_eq!(tiers["premium"].requests_per_day, Some(100_000));
        assert_eq!(tiers["enterprise"].requests_per_day, None);
        assert_eq!([1, 99, 10_000, 100_000, u64::MAX].map(slice_of), [1, 1, 100, 1_000, 1_000]);
    }

    #[test]
    fn smallest_tier_is_the_one_with_the_fewest_requests_that_includes_the_catalog() {
        let mut tiers = default_tiers();
        assert_eq!(smallest_tier(&tiers), Some("professional"));
        let tier = |max_tables| Tier { catalog: true, requests_per_day: Some(10_000), max_tables };
        tiers.insert("trial".to_owned(), tier(Some(5)));
        tiers.insert("trial-large".to_owned(), tier(Some(50)));
        assert_eq!(smallest_tier(&tiers), Some("trial"));
        assert_eq!(serving_tier(&tiers, "gold"), Some("trial"), "it is not configured");
        assert_eq!(serving_tier(&tiers, "free"), Some("free"));
        tiers.retain(|name, _| name == "free");
        assert_eq!((smallest_tier(&tiers), serving_tier(&tiers, "gold")), (None, None));
    }

    proptest! {
        #[test]
        fn waiting_as_told_ends_in_the_next_day_and_no_later(now_ms in i64::MIN / 2..i64::MAX / 2) {
            let left_ms = i64::try_from(seconds_left_of_day(now_ms))? * 1_000;
            prop_assert!((1_000..=DAY_MS).contains(&left_ms));
            prop_assert_eq!(day_of(now_ms + left_ms), day_of(now_ms) + 1);
            prop_assert_eq!(day_of(now_ms + left_ms - 1_000), day_of(now_ms));
        }

        #[test]
        fn days_never_panic_at_the_ends_of_time(now_ms in any::<i64>()) {
            prop_assert!(day_of(now_ms).checked_mul(DAY_MS).is_none_or(|start| start <= now_ms));
            prop_assert!((1..=86_400).contains(&seconds_left_of_day(now_ms)));
        }

        #[test]
        fn a_slice_is_small_beside_its_limit(limit in any::<u64>()) {
            let slice = slice_of(limit);
            prop_assert!((1..=MAX_SLICE).contains(&slice));
            prop_assert!(limit < 100 || slice <= limit / 100);
        }
    }
}
