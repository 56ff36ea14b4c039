//! What a tier includes.

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
