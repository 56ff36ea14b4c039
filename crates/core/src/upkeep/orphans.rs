//! Decides which files in a table's locations can be orphans.
//!
//! A removed file is lost, so each doubt keeps a file. A file is compared by its name alone: names of Iceberg's files have a UUID,
//! and a location has many spellings (scheme, authority, escapes, links), of which a comparison of whole locations could miss one.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::location::Location;

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

impl Stays {
    /// Returns its name, as records of runs have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
            Self::Young => "young",
        }
    }
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

/// Files that a table's metadata leads to.
pub trait KnownFiles: Send {
    /// Adds a file by its location, as metadata spells it.
    fn add(&mut self, location: &str);

    /// Returns how many files it has. Some may count twice.
    fn len(&self) -> usize;

    /// Returns whether it has more than `most` different files. Forgets those that were added twice if that decides.
    fn is_over(&mut self, most: usize) -> bool {
        // A sort for each fifth of the files at most: that of a full set costs a second for ten million.
        if self.len() <= most.saturating_add(most / 5) {
            return false;
        }
        self.sort();
        self.len() > most
    }

    /// Returns whether it has no file.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Prepares for many lookups.
    fn sort(&mut self);
}

/// Hashes of texts, 8 bytes each. Two texts with the same hash are one: then a file stays that could go.
#[derive(Debug, Default)]
struct Hashes {
    /// The hashes, of which the first `sorted` are in order.
    all: Vec<u64>,
    sorted: usize,
}

impl Hashes {
    fn add(&mut self, text: &str) {
        self.all.push(hash(text));
        // Files are named again and again by the manifests of many snapshots.
        if self.all.len() - self.sorted >= (self.sorted / 4).max(1 << 16) {
            self.sort();
        }
    }

    fn contains(&self, text: &str) -> bool {
        let (sorted, rest) = self.all.split_at(self.sorted);
        let hash = hash(text);
        sorted.binary_search(&hash).is_ok() || rest.contains(&hash)
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
        self.all.dedup();
        self.sorted = self.all.len();
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Files by their names alone, for files of which it is not known who made them.
#[derive(Debug, Default)]
pub struct FileNames(Hashes);

impl FileNames {
    /// Returns whether a file with the same name was added.
    #[must_use]
    pub fn contains(&self, location: &str) -> bool {
        self.0.contains(name(location))
    }
}

impl KnownFiles for FileNames {
    fn add(&mut self, location: &str) {
        self.0.add(name(location));
    }

    fn len(&self) -> usize {
        self.0.all.len()
    }

    fn sort(&mut self) {
        self.0.sort();
    }
}

fn name(location: &str) -> &str {
    location.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(location)
}

/// Files by their paths, for files that metadata named before. The bucket or container is not compared. Files whose paths may have
/// several spellings are compared by name.
#[derive(Debug, Default)]
pub struct FilePaths {
    paths: Hashes,
    names: FileNames,
}

impl FilePaths {
    /// Returns whether the file was added.
    #[must_use]
    pub fn contains(&self, location: &Location) -> bool {
        self.paths.contains(location.path()) || (!self.names.is_empty() && self.names.contains(location.path()))
    }
}

impl KnownFiles for FilePaths {
    fn add(&mut self, location: &str) {
        match Location::parse(location) {
            Ok(place) if !place.path().contains('%') => self.paths.add(place.path()),
            Ok(place) => {
                self.paths.add(place.path());
                self.names.add(location);
            }
            Err(_) => self.names.add(location),
        }
    }

    fn len(&self) -> usize {
        self.paths.all.len() + self.names.len()
    }

    fn sort(&mut self) {
        self.paths.sort();
        self.names.sort();
    }
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

    #[test]
    fn path_is_compared_whatever_the_bucket_and_doubtful_spellings_by_name() {
        let mut paths = FilePaths::default();
        paths.add("s3a://bucket/t/data/part-0.parquet");
        let at = |text: &str| Location::parse(text).unwrap();
        assert!(paths.contains(&at("s3://other/t/data/part-0.parquet")));
        assert!(!paths.contains(&at("s3://bucket/t/data2/part-0.parquet")));
        for doubtful in ["s3://bucket//t/data/x.parquet", "s3://bucket/t/a%20b/y.parquet"] {
            paths.add(doubtful);
        }
        paths.sort();
        assert!(
            paths.contains(&at("s3://bucket/t/data/x.parquet")) && paths.contains(&at("s3://bucket/t/a b/y.parquet"))
        );
        assert!(!paths.contains(&at("s3://bucket/t/data/z.parquet")) && paths.len() == 4);
    }

    #[test]
    fn files_that_are_named_again_and_again_count_once() {
        let mut names = FileNames::default();
        for _ in 0..4 {
            (0..100).for_each(|number| names.add(&format!("data/{number}.parquet")));
            assert!(!names.is_over(100));
        }
        (100..121).for_each(|number| names.add(&format!("data/{number}.parquet")));
        assert!(names.is_over(100) && names.len() == 121);
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
