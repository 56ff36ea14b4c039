//! Policies: which maintenance a table gets, how often and with which parameters.
//!
//! A policy may be set on a warehouse, a namespace and a table. The nearest one that has a field decides about it. Nothing runs
//! unless a policy enables it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::expire::ExpireRules;
use crate::document::Properties;

/// The shortest interval between two runs, in milliseconds.
const SHORTEST_INTERVAL_MS: i64 = 60_000;

/// The longest interval and age: a hundred years, in milliseconds.
const LONGEST_MS: i64 = 100 * 366 * 86_400_000;

/// The interval between two runs if no policy sets one: a day, in milliseconds.
const USUAL_INTERVAL_MS: i64 = 86_400_000;

/// The age from which snapshots expire if neither a policy nor the table sets one: five days, in milliseconds
/// (`history.expire.max-snapshot-age-ms` in the reference implementation).
const USUAL_SNAPSHOT_AGE_MS: i64 = 5 * 86_400_000;

/// The age of files from which they can be orphans if no policy sets one: three days, in milliseconds (as the reference
/// implementation).
const USUAL_ORPHAN_AGE_MS: i64 = 3 * 86_400_000;

/// The fewest files that a rewrite puts together.
const FEWEST_FILES: i64 = 2;

/// How many small data files of a partition are worth a rewrite if no policy sets it (Spark's `min-input-files`).
const USUAL_INPUT_FILES: usize = 5;

/// How many small manifests are worth a rewrite if no policy sets it.
const USUAL_MANIFESTS: usize = 10;

const SNAPSHOT_AGE_PROPERTY: &str = "history.expire.max-snapshot-age-ms";
const MIN_SNAPSHOTS_PROPERTY: &str = "history.expire.min-snapshots-to-keep";
const REF_AGE_PROPERTY: &str = "history.expire.max-ref-age-ms";

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// An operation of maintenance.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MaintenanceOperation {
            $($(#[$doc])* $name),*
        }

        impl MaintenanceOperation {
            /// All operations, in the order in which they run on a table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns its name, as the API and the store write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }
    };
}

operations! {
    /// Writes small data files together into larger ones, without deleted rows.
    CompactFiles = "compact-files",
    /// Writes small manifests together into larger ones.
    RewriteManifests = "rewrite-manifests",
    /// Counts the distinct values of columns in the current snapshot.
    ComputeStatistics = "compute-statistics",
    /// Removes old snapshots, branches and tags, and the files that only they need.
    ExpireSnapshots = "expire-snapshots",
    /// Removes files in the table's locations that no metadata leads to.
    RemoveOrphanFiles = "remove-orphan-files",
}

impl fmt::Display for MaintenanceOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No operation has the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an operation of maintenance: use one of {known}", known = known())]
pub struct UnknownMaintenanceOperation(String);

fn known() -> String {
    let names: Vec<_> = MaintenanceOperation::ALL.iter().map(|operation| operation.as_str()).collect();
    names.join(", ")
}

impl FromStr for MaintenanceOperation {
    type Err = UnknownMaintenanceOperation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|operation| operation.as_str() == text);
        found.ok_or_else(|| UnknownMaintenanceOperation(text.chars().take(40).collect()))
    }
}

/// A policy, or a part of one: fields that are `None` are left to the next farther policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MaintenancePolicy {
    /// Compaction of small data files.
    #[serde(skip_serializing_if = "is_default")]
    pub compact_files: CompactPolicy,
    /// Rewrites of manifests.
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite_manifests: ManifestsPolicy,
    /// Statistics.
    #[serde(skip_serializing_if = "is_default")]
    pub compute_statistics: StatisticsPolicy,
    /// Expiry of snapshots.
    #[serde(skip_serializing_if = "is_default")]
    pub expire_snapshots: ExpirePolicy,
    /// Removal of orphan files.
    #[serde(skip_serializing_if = "is_default")]
    pub remove_orphan_files: OrphanPolicy,
}

/// The policy of the compaction of small data files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompactPolicy {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time from one run to the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The fewest small files of a partition that are worth a rewrite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_input_files: Option<u32>,
}

/// The policy of rewrites of manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManifestsPolicy {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time from one run to the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The fewest small manifests that are worth a rewrite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_manifests: Option<u32>,
}

/// The policy of statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StatisticsPolicy {
    /// Whether they are computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time from one run to the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
}

/// The policy of the expiry of snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpirePolicy {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time from one run to the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The age from which snapshots expire, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_snapshot_age_ms: Option<i64>,
    /// How many snapshots each branch keeps at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_snapshots_to_keep: Option<u32>,
    /// The age from which branches and tags expire, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ref_age_ms: Option<i64>,
}

/// The policy of the removal of orphan files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OrphanPolicy {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The time from one run to the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The age of files from which they can be orphans, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_age_ms: Option<i64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// When an operation runs on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Whether it runs.
    pub enabled: bool,
    /// The time from the start of one run to the next, in milliseconds.
    pub interval_ms: i64,
}

impl Schedule {
    fn new(enabled: Option<bool>, interval_ms: Option<i64>) -> Self {
        let interval_ms = interval_ms.unwrap_or(USUAL_INTERVAL_MS).max(SHORTEST_INTERVAL_MS);
        Self { enabled: enabled.unwrap_or(false), interval_ms }
    }

    /// Returns whether a run is due at `now_ms`. The last run may be in the future: the clock was set back since.
    #[must_use]
    pub fn is_due(&self, last_ms: Option<i64>, now_ms: i64) -> bool {
        let has_passed = |last_ms: i64| last_ms > now_ms || now_ms.saturating_sub(last_ms) >= self.interval_ms;
        self.enabled && last_ms.is_none_or(has_passed)
    }
}

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A field is too small or too large.
    #[error("`{field}` must be between {least} and {most}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The smallest value.
        least: i64,
        /// The largest value.
        most: i64,
    },
    /// A property of the table is not a number that it may have.
    #[error(
        "the table's property '{property}' must be a whole number of at least {least}: nothing expires until it is"
    )]
    Property {
        /// The property.
        property: &'static str,
        /// The smallest value.
        least: i64,
    },
}

impl MaintenancePolicy {
    /// Returns the policy of an object whose own policy is `self`, below an object with the policy `outer`.
    #[must_use]
    pub fn within(self, outer: &Self) -> Self {
        let (expire, orphans) = (self.expire_snapshots, self.remove_orphan_files);
        let (outer_expire, outer_orphans) = (&outer.expire_snapshots, &outer.remove_orphan_files);
        let (compact, manifests, statistics) =
            (&outer.compact_files, &outer.rewrite_manifests, &outer.compute_statistics);
        Self {
            compact_files: CompactPolicy {
                enabled: self.compact_files.enabled.or(compact.enabled),
                interval_ms: self.compact_files.interval_ms.or(compact.interval_ms),
                min_input_files: self.compact_files.min_input_files.or(compact.min_input_files),
            },
            rewrite_manifests: ManifestsPolicy {
                enabled: self.rewrite_manifests.enabled.or(manifests.enabled),
                interval_ms: self.rewrite_manifests.interval_ms.or(manifests.interval_ms),
                min_manifests: self.rewrite_manifests.min_manifests.or(manifests.min_manifests),
            },
            compute_statistics: StatisticsPolicy {
                enabled: self.compute_statistics.enabled.or(statistics.enabled),
                interval_ms: self.compute_statistics.interval_ms.or(statistics.interval_ms),
            },
            expire_snapshots: ExpirePolicy {
                enabled: expire.enabled.or(outer_expire.enabled),
                interval_ms: expire.interval_ms.or(outer_expire.interval_ms),
                max_snapshot_age_ms: expire.max_snapshot_age_ms.or(outer_expire.max_snapshot_age_ms),
                min_snapshots_to_keep: expire.min_snapshots_to_keep.or(outer_expire.min_snapshots_to_keep),
                max_ref_age_ms: expire.max_ref_age_ms.or(outer_expire.max_ref_age_ms),
            },
            remove_orphan_files: OrphanPolicy {
                enabled: orphans.enabled.or(outer_orphans.enabled),
                interval_ms: orphans.interval_ms.or(outer_orphans.interval_ms),
                min_age_ms: orphans.min_age_ms.or(outer_orphans.min_age_ms),
            },
        }
    }

    /// Returns the part of a policy that a table's properties make. It stands between the table's own policy and that of its
    /// namespace.
    ///
    /// # Errors
    /// Fails if a property is no number, or too small.
    pub fn from_properties(properties: &Properties) -> Result<Self, PolicyError> {
        let number = |property: &'static str, least: i64| {
            let Some(text) = properties.get(property) else { return Ok(None) };
            let number = text.trim().parse::<i64>().ok().filter(|number| *number >= least);
            number.map(Some).ok_or(PolicyError::Property { property, least })
        };
        let min_snapshots = number(MIN_SNAPSHOTS_PROPERTY, 1)?;
        let expire_snapshots = ExpirePolicy {
            max_snapshot_age_ms: number(SNAPSHOT_AGE_PROPERTY, 0)?,
            min_snapshots_to_keep: min_snapshots.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            max_ref_age_ms: number(REF_AGE_PROPERTY, 1)?,
            ..ExpirePolicy::default()
        };
        Ok(Self { expire_snapshots, ..Self::default() })
    }

    /// Checks the fields of a policy that is to be stored. `least_orphan_age_ms` is the setting for the age of orphan files.
    ///
    /// # Errors
    /// `OutOfRange`.
    pub fn check(&self, least_orphan_age_ms: i64) -> Result<(), PolicyError> {
        let (expire, orphans) = (&self.expire_snapshots, &self.remove_orphan_files);
        let (compact, manifests) = (&self.compact_files, &self.rewrite_manifests);
        let fields = [
            ("compact-files.interval-ms", compact.interval_ms, SHORTEST_INTERVAL_MS),
            ("compact-files.min-input-files", compact.min_input_files.map(i64::from), FEWEST_FILES),
            ("rewrite-manifests.interval-ms", manifests.interval_ms, SHORTEST_INTERVAL_MS),
            ("rewrite-manifests.min-manifests", manifests.min_manifests.map(i64::from), FEWEST_FILES),
            ("compute-statistics.interval-ms", self.compute_statistics.interval_ms, SHORTEST_INTERVAL_MS),
            ("expire-snapshots.interval-ms", expire.interval_ms, SHORTEST_INTERVAL_MS),
            ("expire-snapshots.max-snapshot-age-ms", expire.max_snapshot_age_ms, 0),
            ("expire-snapshots.min-snapshots-to-keep", expire.min_snapshots_to_keep.map(i64::from), 1),
            ("expire-snapshots.max-ref-age-ms", expire.max_ref_age_ms, 1),
            ("remove-orphan-files.interval-ms", orphans.interval_ms, SHORTEST_INTERVAL_MS),
            ("remove-orphan-files.min-age-ms", orphans.min_age_ms, least_orphan_age_ms),
        ];
        let wrong = fields
            .into_iter()
            .find(|(_, value, least)| value.is_some_and(|value| value < *least || value > LONGEST_MS));
        match wrong {
            Some((field, _, least)) => Err(PolicyError::OutOfRange { field, least, most: LONGEST_MS }),
            None => Ok(()),
        }
    }

    /// Returns when an operation runs.
    #[must_use]
    pub fn schedule(&self, operation: MaintenanceOperation) -> Schedule {
        match operation {
            MaintenanceOperation::CompactFiles => {
                Schedule::new(self.compact_files.enabled, self.compact_files.interval_ms)
            }
            MaintenanceOperation::RewriteManifests => {
                Schedule::new(self.rewrite_manifests.enabled, self.rewrite_manifests.interval_ms)
            }
            MaintenanceOperation::ComputeStatistics => {
                Schedule::new(self.compute_statistics.enabled, self.compute_statistics.interval_ms)
            }
            MaintenanceOperation::ExpireSnapshots => {
                Schedule::new(self.expire_snapshots.enabled, self.expire_snapshots.interval_ms)
            }
            MaintenanceOperation::RemoveOrphanFiles => {
                Schedule::new(self.remove_orphan_files.enabled, self.remove_orphan_files.interval_ms)
            }
        }
    }

    /// Returns the rules for the expiry of snapshots, with the reference implementation's defaults.
    #[must_use]
    pub fn expire_rules(&self) -> ExpireRules {
        let ExpirePolicy { max_snapshot_age_ms, min_snapshots_to_keep, max_ref_age_ms, .. } = self.expire_snapshots;
        ExpireRules {
            max_snapshot_age_ms: max_snapshot_age_ms.unwrap_or(USUAL_SNAPSHOT_AGE_MS),
            min_snapshots_to_keep: min_snapshots_to_keep.unwrap_or(1),
            max_ref_age_ms,
        }
    }

    /// Returns the fewest small data files of a partition that are worth a rewrite. Spark's default.
    #[must_use]
    pub fn min_input_files(&self) -> usize {
        self.compact_files.min_input_files.map_or(USUAL_INPUT_FILES, |count| count as usize)
    }

    /// Returns the fewest small manifests that are worth a rewrite.
    #[must_use]
    pub fn min_manifests(&self) -> usize {
        self.rewrite_manifests.min_manifests.map_or(USUAL_MANIFESTS, |count| count as usize)
    }

    /// Returns the age of files from which they can be orphans, in milliseconds; at least `least_ms`.
    #[must_use]
    pub fn orphan_age_ms(&self, least_ms: i64) -> i64 {
        self.remove_orphan_files.min_age_ms.unwrap_or(USUAL_ORPHAN_AGE_MS).max(least_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(text: &str) -> MaintenancePolicy {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_enabled_without_a_policy() {
        for operation in MaintenanceOperation::ALL {
            let schedule = MaintenancePolicy::default().schedule(*operation);
            assert!(!schedule.enabled && !schedule.is_due(None, 0), "{operation}");
            assert_eq!(operation.as_str().parse(), Ok(*operation));
        }
        assert!("vacuum".parse::<MaintenanceOperation>().unwrap_err().to_string().contains("expire-snapshots"));
    }

    #[test]
    fn nearest_policy_that_has_a_field_decides_about_it() {
        let table = policy(r#"{"expire-snapshots":{"min-snapshots-to-keep":7}}"#);
        let namespace = policy(r#"{"expire-snapshots":{"min-snapshots-to-keep":3,"enabled":false}}"#);
        let warehouse = policy(
            r#"{"expire-snapshots":{"enabled":true,"max-snapshot-age-ms":1000},"remove-orphan-files":{"enabled":true}}"#,
        );
        let rewrites = policy(
            r#"{"compact-files":{"min-input-files":3},"rewrite-manifests":{"enabled":true},"compute-statistics":{"enabled":true}}"#,
        );
        let own = policy(r#"{"compact-files":{"enabled":true},"rewrite-manifests":{"min-manifests":4}}"#);
        let both = own.within(&rewrites);
        assert_eq!((both.min_input_files(), both.min_manifests()), (3, 4));
        let runs = |operation: &&MaintenanceOperation| both.schedule(**operation).enabled;
        assert_eq!(MaintenanceOperation::ALL.iter().filter(runs).count(), 3);
        let usual = MaintenancePolicy::default();
        assert_eq!((usual.min_input_files(), usual.min_manifests()), (5, 10));

        let effective = table.within(&namespace).within(&warehouse);
        assert!(!effective.schedule(MaintenanceOperation::ExpireSnapshots).enabled);
        assert!(effective.schedule(MaintenanceOperation::RemoveOrphanFiles).enabled);
        let rules = ExpireRules { max_snapshot_age_ms: 1_000, min_snapshots_to_keep: 7, max_ref_age_ms: None };
        assert_eq!(effective.expire_rules(), rules);
        let usual = ExpireRules { max_snapshot_age_ms: 432_000_000, min_snapshots_to_keep: 1, max_ref_age_ms: None };
        assert_eq!(MaintenancePolicy::default().expire_rules(), usual);
        assert_eq!(MaintenancePolicy::default().orphan_age_ms(86_400_000), 259_200_000);
    }

    #[test]
    fn properties_of_the_table_stand_before_the_policy_of_its_namespace() {
        let properties = Properties::from([
            ("history.expire.max-snapshot-age-ms".to_owned(), "60000".to_owned()),
            ("history.expire.min-snapshots-to-keep".to_owned(), "2".to_owned()),
            ("history.expire.max-ref-age-ms".to_owned(), "9".to_owned()),
        ]);
        let own = policy(r#"{"expire-snapshots":{"min-snapshots-to-keep":5}}"#);
        let namespace = policy(r#"{"expire-snapshots":{"max-snapshot-age-ms":1,"max-ref-age-ms":1}}"#);
        let effective = own.within(&MaintenancePolicy::from_properties(&properties).unwrap()).within(&namespace);
        let rules = ExpireRules { max_snapshot_age_ms: 60_000, min_snapshots_to_keep: 5, max_ref_age_ms: Some(9) };
        assert_eq!(effective.expire_rules(), rules);
    }

    #[test]
    fn property_that_is_no_number_is_refused_by_its_name() {
        for (property, value) in [
            (SNAPSHOT_AGE_PROPERTY, "5 days"),
            (SNAPSHOT_AGE_PROPERTY, "-1"),
            (MIN_SNAPSHOTS_PROPERTY, "0"),
            (REF_AGE_PROPERTY, ""),
        ] {
            let properties = Properties::from([(property.to_owned(), value.to_owned())]);
            let error = MaintenancePolicy::from_properties(&properties).unwrap_err();
            assert!(error.to_string().contains(property), "{error}");
        }
    }

    #[test]
    fn policy_with_a_value_out_of_range_is_refused() {
        let day_ms = 86_400_000;
        for text in [
            r#"{"expire-snapshots":{"interval-ms":59999}}"#,
            r#"{"expire-snapshots":{"min-snapshots-to-keep":0}}"#,
            r#"{"expire-snapshots":{"max-snapshot-age-ms":-1}}"#,
            r#"{"expire-snapshots":{"max-ref-age-ms":0}}"#,
            r#"{"remove-orphan-files":{"min-age-ms":86399999}}"#,
            r#"{"compact-files":{"min-input-files":1}}"#,
            r#"{"rewrite-manifests":{"min-manifests":1}}"#,
            r#"{"compute-statistics":{"interval-ms":1}}"#,
            r#"{"remove-orphan-files":{"interval-ms":9000000000000000}}"#,
        ] {
            assert!(policy(text).check(day_ms).is_err(), "{text}");
        }
        assert_eq!(policy(r#"{"remove-orphan-files":{"min-age-ms":86400000}}"#).check(day_ms), Ok(()));
        assert!(serde_json::from_str::<MaintenancePolicy>(r#"{"expire-snapshots":{"max-age":1}}"#).is_err());
    }

    #[test]
    fn run_is_due_after_its_interval_and_after_a_clock_that_was_set_back() {
        let schedule = policy(r#"{"expire-snapshots":{"enabled":true,"interval-ms":60000}}"#)
            .schedule(MaintenanceOperation::ExpireSnapshots);
        assert!(schedule.is_due(None, 0) && schedule.is_due(Some(0), 60_000) && schedule.is_due(Some(5), 4));
        assert!(!schedule.is_due(Some(0), 59_999));
    }

    proptest! {
        #[test]
        fn policy_that_is_written_and_read_stays_the_same(
            enabled in any::<Option<bool>>(), age in any::<Option<i64>>(), count in any::<Option<u32>>(),
        ) {
            let expire_snapshots = ExpirePolicy {
                enabled, max_snapshot_age_ms: age, min_snapshots_to_keep: count, ..ExpirePolicy::default()
            };
            let written = MaintenancePolicy { expire_snapshots, ..MaintenancePolicy::default() };
            prop_assert_eq!(policy(&serde_json::to_string(&written).unwrap()), written);
        }
    }
}
