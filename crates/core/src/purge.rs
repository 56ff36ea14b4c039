//! Decides which files a dropped table's document names, which of them a purge may remove, and when to try again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;

use serde::Deserialize;

use uuid::Uuid;

use crate::document::TableMetadata;
use crate::location::Location;

/// The files that a metadata document names. Only manifests name data and delete files, and only lists name manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// The manifest list of each snapshot.
    pub manifest_lists: BTreeSet<String>,
    /// Manifests that snapshots name without a list (format v1).
    pub manifests: BTreeSet<String>,
    /// Statistics files, of tables and of partitions.
    pub statistics: BTreeSet<String>,
    /// The earlier metadata documents in its log.
    pub older_documents: BTreeSet<String>,
}

/// The files of a document cannot be read from its JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read which files the table has: {0}")]
pub struct NamedFilesError(String);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct View {
    snapshots: Option<Vec<SnapshotView>>,
    statistics: Option<Vec<StatisticsView>>,
    partition_statistics: Option<Vec<StatisticsView>>,
    metadata_log: Option<Vec<LogView>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotView {
    manifest_list: Option<String>,
    manifests: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StatisticsView {
    statistics_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LogView {
    metadata_file: String,
}

impl NamedFiles {
    /// Reads the names of files from a document in JSON. The document itself is not among them.
    ///
    /// # Errors
    /// Fails if a snapshot, a statistics entry or the log has an unknown form: the document may then name further files.
    pub fn parse(json: &[u8]) -> Result<Self, NamedFilesError> {
        let view: View = serde_json::from_slice(json).map_err(|error| NamedFilesError(error.to_string()))?;
        let mut named = Self::default();
        for snapshot in view.snapshots.into_iter().flatten() {
            if snapshot.manifest_list.is_none() && snapshot.manifests.is_none() {
                return Err(NamedFilesError("a snapshot has neither a manifest list nor manifests".to_owned()));
            }
            named.manifest_lists.extend(snapshot.manifest_list);
            named.manifests.extend(snapshot.manifests.into_iter().flatten());
        }
        let statistics = view.statistics.into_iter().chain(view.partition_statistics).flatten();
        named.statistics.extend(statistics.map(|statistics| statistics.statistics_path));
        named.older_documents.extend(view.metadata_log.into_iter().flatten().map(|entry| entry.metadata_file));
        Ok(named)
    }
}

impl NamedFiles {
    /// Returns the files that a table's document names for these snapshots: their manifest lists, manifests and statistics.
    ///
    /// # Errors
    /// Fails if a snapshot or a statistics entry has an unknown form.
    pub fn of_snapshots(table: &TableMetadata, ids: &HashSet<i64>) -> Result<Self, NamedFilesError> {
        fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, NamedFilesError> {
            serde_json::from_str(json).map_err(|error| NamedFilesError(error.to_string()))
        }
        let mut named = Self::default();
        for snapshot in table.snapshots().iter().filter(|snapshot| ids.contains(&snapshot.id)) {
            let view: SnapshotView = read(snapshot.json)?;
            named.manifest_lists.extend(view.manifest_list);
            named.manifests.extend(view.manifests.into_iter().flatten());
        }
        let statistics = table.statistics().iter().map(|one| (one.snapshot_id, one.json));
        let partition_statistics = table.partition_statistics().iter().map(|one| (one.snapshot_id, one.json));
        for (_, json) in statistics.chain(partition_statistics).filter(|(id, _)| ids.contains(id)) {
            named.statistics.insert(read::<StatisticsView>(json)?.statistics_path);
        }
        Ok(named)
    }
}

/// Returns whether a purge may remove a table's files: `gc.enabled` is not set, or is `true`. With any other value,
/// other tables may share the files (Iceberg table properties).
#[must_use]
pub fn allows_removal(properties: &BTreeMap<String, String>) -> bool {
    properties.get("gc.enabled").is_none_or(|value| value.eq_ignore_ascii_case("true"))
}

/// Returns the location of a file that lies below one of `places` and equals none of them; `None` for any other text.
#[must_use]
pub fn inside(text: &str, places: &[Location]) -> Option<Location> {
    let location = Location::parse(text).ok()?;
    let below = |place: &Location| place.contains(&location) && *place != location;
    places.iter().any(below).then_some(location)
}

/// Returns whether a file name is a name that catalogs give to metadata documents: `00042-<uuid>.metadata.json`, with `.gz`
/// before or after `.metadata.json` if the document is compressed.
#[must_use]
pub fn is_document_name(name: &str) -> bool {
    let name = name.strip_suffix(".metadata.json.gz").or_else(|| name.strip_suffix(".metadata.json"));
    let parts = name.map(|name| name.strip_suffix(".gz").unwrap_or(name)).and_then(|name| name.split_once('-'));
    parts.is_some_and(|(version, id)| {
        version.len() >= 5
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && id.len() == 36
            && Uuid::try_parse(id).is_ok()
    })
}

/// Returns whether `found` is an earlier or an unused document of the table whose last document is `dropped`: both have
/// the same id and location. `false` if a document has no id.
#[must_use]
pub fn is_of_same_table(found: &TableMetadata, dropped: &TableMetadata) -> bool {
    let same_id = match (found.uuid(), dropped.uuid()) {
        (Some(found), Some(dropped)) => found.eq_ignore_ascii_case(dropped),
        _ => false,
    };
    let place = |table: &TableMetadata| Location::parse(table.location()).ok();
    same_id && place(dropped).is_some_and(|at| place(found) == Some(at))
}

/// When a purge removes the files of a dropped table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PurgeTime {
    /// Once the table can no longer be restored.
    #[default]
    AfterRetention,
    /// At once. The table cannot be restored.
    AtOnce,
}

impl PurgeTime {
    /// Returns its name, as stores and the command line write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterRetention => "after-retention",
            Self::AtOnce => "at-once",
        }
    }
}

/// The text names neither of the two times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a purge time: use at-once or after-retention")]
pub struct UnknownPurgeTime(String);

impl FromStr for PurgeTime {
    type Err = UnknownPurgeTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::AfterRetention, Self::AtOnce].into_iter().find(|time| time.as_str() == text);
        known.ok_or_else(|| UnknownPurgeTime(text.chars().take(40).collect()))
    }
}

/// The number of attempts after which a purge is not repeated automatically.
const ATTEMPTS: u32 = 30;

/// The longest wait between two attempts of a purge, in milliseconds.
pub const LONGEST_RETRY_MS: i64 = 3_600_000;

/// Returns how long to wait after `attempts` failed attempts, in milliseconds: 30 seconds, doubled each time, up to an
/// hour. `None` after the last attempt.
#[must_use]
pub fn retry_after_ms(attempts: u32) -> Option<i64> {
    const FIRST_MS: i64 = 30_000;
    let doublings = attempts.saturating_sub(1).min(10);
    (attempts < ATTEMPTS).then(|| (FIRST_MS << doublings).min(LONGEST_RETRY_MS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn document_names_each_of_its_files_once() {
        let json = r#"{"snapshots":[{"snapshot-id":1,"manifest-list":"l1"},{"manifest-list":"l2"},{"manifest-list":"l1"},
            {"manifests":["m1","m2"]}],"statistics":[{"snapshot-id":1,"statistics-path":"s1"}],
            "partition-statistics":[{"statistics-path":"p1"}],"metadata-log":[{"metadata-file":"d1","timestamp-ms":1}],
            "of-tomorrow":{"x":1}}"#;
        let named = NamedFiles::parse(json.as_bytes()).unwrap();
        assert_eq!(named.manifest_lists, set(&["l1", "l2"]));
        assert_eq!(named.manifests, set(&["m1", "m2"]));
        assert_eq!(named.statistics, set(&["s1", "p1"]));
        assert_eq!(named.older_documents, set(&["d1"]));
        let none = r#"{"snapshots":[],"statistics":null}"#;
        assert_eq!(NamedFiles::parse(none.as_bytes()).unwrap(), NamedFiles::default());
    }

    #[test]
    fn files_of_some_snapshots_are_those_that_the_document_names_for_them() {
        let text = r#"{"format-version":2,"table-uuid":"0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3d","location":"s3://b/t",
            "last-sequence-number":2,"last-updated-ms":1,"last-column-id":1,"current-schema-id":0,
            "schemas":[{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"x","required":false,"type":"long"}]}],
            "default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"last-partition-id":999,
            "default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}],"current-snapshot-id":2,
            "snapshots":[{"snapshot-id":1,"sequence-number":1,"timestamp-ms":1,"manifest-list":"l1"},
                         {"snapshot-id":2,"sequence-number":2,"timestamp-ms":2,"manifest-list":"l2"}],
            "statistics":[{"snapshot-id":1,"statistics-path":"s1","file-size-in-bytes":1,"file-footer-size-in-bytes":1,
                           "blob-metadata":[]}],
            "partition-statistics":[{"snapshot-id":2,"statistics-path":"p2","file-size-in-bytes":1}]}"#;
        let table = TableMetadata::parse(text.as_bytes()).unwrap();
        let named = |ids: &[i64]| NamedFiles::of_snapshots(&table, &ids.iter().copied().collect()).unwrap();
        assert_eq!((named(&[1]).manifest_lists, named(&[1]).statistics), (set(&["l1"]), set(&["s1"])));
        assert_eq!((named(&[2]).manifest_lists, named(&[2]).statistics), (set(&["l2"]), set(&["p2"])));
        assert_eq!(named(&[3]), NamedFiles::default());
    }

    #[test]
    fn document_with_files_in_an_unknown_form_is_refused() {
        for json in [
            r#"{"snapshots":[{"snapshot-id":1}]}"#,
            r#"{"snapshots":[{"manifest-list":7}]}"#,
            r#"{"statistics":[{"path":"s"}]}"#,
            r#"{"metadata-log":[{}]}"#,
            "[]",
            "{",
        ] {
            assert!(NamedFiles::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn removal_is_refused_unless_gc_is_enabled() {
        let with = |value: &str| BTreeMap::from([("gc.enabled".to_owned(), value.to_owned())]);
        assert!(allows_removal(&BTreeMap::new()) && allows_removal(&with("true")) && allows_removal(&with("TRUE")));
        for value in ["false", "False", "", "no", "0", "yes"] {
            assert!(!allows_removal(&with(value)), "{value}");
        }
    }

    #[test]
    fn only_files_below_the_locations_may_be_removed() {
        let places = [Location::parse("s3://b/w/t").unwrap(), Location::parse("file:///w/t").unwrap()];
        for text in
            ["s3://b/w/t/data/x.parquet", "s3a://b/w/t/x", "s3n://B/w/t/x", "/w/t/x", "file:/w/t/x", "file:///w/t/a/b"]
        {
            assert!(inside(text, &places).is_some(), "{text}");
        }
        for text in [
            "s3://b/w/t",
            "s3://b/w/t/",
            "s3://b/w/t2/x",
            "s3://b2/w/t/x",
            "s3a://b2/w/t/x",
            "s3a://b@b2/w/t/x",
            "s3a://b2@b/w/t/x",
            "s3a://b/w/t/%2e%2e/u/x",
            "abfs://b/w/t/x",
            "s3://b/w",
            "s3://b/w/t/../u/x",
            "s3://b/w/t/%2e%2e/u/x",
            "s3://b/w/t//etc/passwd",
            "/etc/passwd",
            "file:///w/t/../../etc/passwd",
            "data/x.parquet",
            "",
        ] {
            assert_eq!(inside(text, &places), None, "{text}");
        }
    }

    #[test]
    fn file_name_of_another_form_is_not_a_document_name() {
        let id = "0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3d";
        for name in ["00000", "00042", "123456"] {
            for end in ["metadata.json", "gz.metadata.json", "metadata.json.gz"] {
                assert!(is_document_name(&format!("{name}-{id}.{end}")), "{name} {end}");
            }
        }
        for name in [
            format!("42-{id}.metadata.json"),
            format!("v0001-{id}.metadata.json"),
            format!("00001-{id}.json"),
            format!("00001-{id}.metadata.json.bak"),
            format!("00001-{id}-x.metadata.json"),
            format!("snap-00001-{id}.avro"),
            "00001-copy.metadata.json".to_owned(),
            "v1.metadata.json".to_owned(),
            format!("00001-{{{id}}}.metadata.json"),
            "00001.metadata.json".to_owned(),
            String::new(),
        ] {
            assert!(!is_document_name(&name), "{name}");
        }
    }

    #[test]
    fn document_with_another_id_or_location_is_of_another_table() {
        let table = |id: &str, location: &str| {
            let text = format!(
                r#"{{"format-version":1,{id}"location":"{location}","last-updated-ms":1,"last-column-id":1,
                    "schema":{{"type":"struct","fields":[{{"id":1,"name":"x","required":false,"type":"long"}}]}},
                    "partition-spec":[]}}"#
            );
            TableMetadata::parse(text.as_bytes()).unwrap()
        };
        let (one, other) = ("0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3d", "0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3e");
        let id = |id: &str| format!(r#""table-uuid":"{id}","#);
        let dropped = table(&id(one), "file:///w/t");
        assert!(is_of_same_table(&table(&id(&one.to_uppercase()), "/w/t/"), &dropped));
        assert!(!is_of_same_table(&table(&id(other), "file:///w/t"), &dropped));
        assert!(!is_of_same_table(&table(&id(one), "file:///w/t2"), &dropped));
        assert!(!is_of_same_table(&table("", "file:///w/t"), &dropped));
        assert!(!is_of_same_table(&table("", "file:///w/t"), &table("", "file:///w/t")));
    }

    #[test]
    fn wait_between_attempts_grows_and_the_last_attempt_has_none() {
        assert_eq!(retry_after_ms(1), Some(30_000));
        assert_eq!(retry_after_ms(3), Some(120_000));
        assert_eq!(retry_after_ms(29), Some(3_600_000));
        assert_eq!(retry_after_ms(30), None);
        assert_eq!(retry_after_ms(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn location_inside_a_table_never_leaves_it(text in "(s3:/|file:|)(/{1,2}[wtb.%2e]{0,4}){0,6}") {
            let places = [Location::parse("file:///w/t").unwrap()];
            if let Some(location) = inside(&text, &places) {
                prop_assert!(location.as_str().starts_with("file:///w/t/"));
                prop_assert!(!location.as_str().contains(".."));
            }
        }

        #[test]
        fn arbitrary_document_does_not_panic(text in any::<String>()) {
            let _ = NamedFiles::parse(text.as_bytes());
        }
    }
}
