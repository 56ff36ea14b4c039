//! Decides which files in a table's locations can be orphans.
//!
//! A removed file is lost, so each doubt keeps a file. A file is compared by its name alone: names of Iceberg's files have a UUID,
//! and a location has many spellings (scheme, authority, escapes, links), of which a comparison of whole locations could miss one.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The endings of the files that writers of Iceberg tables make.
const ENDINGS: [&str; 8] =
    [".parquet", ".orc", ".avro", ".puffin", ".stats", ".metadata.json", ".metadata.json.gz", ".gz.metadata.json"];

/// Why a file stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// A folder on the way to it, or its name, begins with `_` or `.`. Engines keep working files in such places.
    Hidden,
    /// Its name is not that of a file of an Iceberg table.
    Unknown,
    /// It is too young: its writer may commit it yet.
    Young,
}

/// Returns why a file stays whatever the metadata says; `None` if it can be an orphan.
///
/// `below` is its path below the table's location, without a leading slash. `partitions` has the names of the partition fields, whose
/// folders may begin with `_`. `age_ms` is the time since its last change, and `least_age_ms` the safe age.
#[must_use]
pub fn file_stays(below: &str, partitions: &[&str], age_ms: i64, least_age_ms: i64) -> Option<Stays> {
    let is_partition = |folder: &str| folder.split_once('=').is_some_and(|(name, _)| partitions.contains(&name));
    let is_hidden = |folder: &str| folder.starts_with(['_', '.']) && !is_partition(folder);
    if below.split('/').any(is_hidden) {
        return Some(Stays::Hidden);
    }
    let name = below.rsplit('/').next().unwrap_or(below);
    // Other characters have several spellings.
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-=+,@".contains(&byte));
    if !is_plain || !ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending)) {
        return Some(Stays::Unknown);
    }
    (age_ms < least_age_ms).then_some(Stays::Young)
}

/// The names of files that a table's metadata leads to, 8 bytes each. Two names with the same hash are one: then a file stays that
/// could go.
#[derive(Debug, Default)]
pub struct FileNames {
    /// The hashes, of which the first `sorted` are in order.
    hashes: Vec<u64>,
    sorted: usize,
}

impl FileNames {
    /// Adds the name at the end of a location.
    pub fn add(&mut self, location: &str) {
        self.hashes.push(hash(location));
        // Files are named again and again by the manifests of many snapshots.
        if self.hashes.len() >= 2 * self.sorted.max(1 << 16) {
            self.sort();
        }
    }

    /// Returns whether a file with the same name was added.
    #[must_use]
    pub fn contains(&self, location: &str) -> bool {
        let hash = hash(location);
        let (sorted, rest) = self.hashes.split_at(self.sorted);
        sorted.binary_search(&hash).is_ok() || rest.contains(&hash)
    }

    /// Sorts the names, so that many lookups are fast.
    pub fn sort(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.sorted = self.hashes.len();
    }

    /// Returns how many names it has, counting repeated ones that were not yet seen to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Returns whether it has no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

fn hash(location: &str) -> u64 {
    let name = location.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(location);
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn stays(below: &str) -> Option<Stays> {
        file_stays(below, &["_day"], 10, 10)
    }

    #[test]
    fn only_old_files_with_names_of_iceberg_files_can_be_orphans() {
        for below in [
            "data/00000-0-a.parquet",
            "data/x=1/y=2/a.orc",
            "data/_day=3/a.parquet",
            "metadata/snap-1-1-a.avro",
            "metadata/a.stats",
            "metadata/00001-a.metadata.json",
            "metadata/00001-a.gz.metadata.json",
            "a.puffin",
        ] {
            assert_eq!(stays(below), None, "{below}");
        }
        for below in ["data/_SUCCESS", "_delta_log/1.parquet", "a/.hidden/x.parquet", ".a.parquet.crc", "_x=1/a.orc"] {
            assert_eq!(stays(below), Some(Stays::Hidden), "{below}");
        }
        for below in
            ["checkpoints/offsets/12", "data/a.csv", "metadata/version-hint.text", ".parquet/x", "data/a b.parquet"]
        {
            assert!(matches!(stays(below), Some(Stays::Unknown | Stays::Hidden)), "{below}");
        }
        assert_eq!(stays("data/a%2f.parquet"), Some(Stays::Unknown));
        assert_eq!(file_stays("data/a.parquet", &[], 9, 10), Some(Stays::Young));
        assert_eq!(file_stays("data/a.parquet", &[], -9, 10), Some(Stays::Young), "a clock that is behind");
    }

    #[test]
    fn spelling_of_a_location_does_not_matter() {
        let mut names = FileNames::default();
        names.add("s3a://Bucket//t/data/00000-a.parquet");
        assert!(names.contains("s3://bucket/t/data/00000-a.parquet"));
        assert!(names.contains("file:/t/00000-a.parquet") && !names.contains("s3://bucket/t/00001-a.parquet"));
    }

    proptest! {
        #[test]
        fn names_contain_all_that_were_added(names in prop::collection::vec("[a-z]{1,3}", 0..200), sort in any::<bool>()) {
            let mut set = FileNames::default();
            names.iter().for_each(|name| set.add(name));
            if sort {
                set.sort();
            }
            let model: BTreeSet<_> = names.iter().collect();
            prop_assert!(names.iter().all(|name| set.contains(name)));
            prop_assert!(!set.contains("ABC"));
            prop_assert!(set.len() >= model.len());
        }

        #[test]
        fn arbitrary_paths_do_not_panic(below in any::<String>()) {
            let _ = file_stays(&below, &[], 1, 0);
            FileNames::default().add(&below);
        }
    }
}
