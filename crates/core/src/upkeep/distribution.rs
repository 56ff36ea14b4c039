//! How the files of a snapshot are distributed: data files by size, and all files by partition.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::health::small_bytes;
use crate::document::{PartitionSpec, Transform};
use crate::scan::calendar::format_date;
use crate::scan::single_value;
use crate::scan::statistics::Partition;
use crate::scan::value::{Value, ValueType};

/// The bounds between the classes of sizes, in bytes: powers of 4 from 64 KiB to 4 GiB.
pub const SIZE_BOUNDS: [u64; 9] =
    [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30, 4 << 30];

/// The most partitions that are told apart. Files of further ones are in the figures of the table alone.
const COUNTED_PARTITIONS: usize = 10_000;

/// The most memory of their values, in bytes, by estimate.
const COUNTED_BYTES: usize = 8 << 20;

/// The most partitions that [`PartitionCounts::largest`] returns.
pub const LARGEST_PARTITIONS: usize = 100;

/// The longest text of a partition value, in characters. Partitions whose values have the same beginning count as one.
const VALUE_CHARACTERS: usize = 200;

/// The data files of a class of sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeClass {
    /// The size that its files do not reach, in bytes. `None` for the class of the largest files.
    pub below_bytes: Option<u64>,
    /// Its files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// Data files by size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeHistogram([(u64, u64); SIZE_BOUNDS.len() + 1]);

impl SizeHistogram {
    /// Counts a data file.
    pub fn add(&mut self, bytes: u64) {
        let (files, sum) = &mut self.0[SIZE_BOUNDS.partition_point(|bound| *bound <= bytes)];
        *files += 1;
        *sum = sum.saturating_add(bytes);
    }

    /// Returns all classes, the smallest files first.
    #[must_use]
    pub fn classes(&self) -> Vec<SizeClass> {
        let bounds = SIZE_BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.zip(self.0).map(|(below_bytes, (files, bytes))| SizeClass { below_bytes, files, bytes }).collect()
    }
}

/// The files of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionFigures {
    /// Data files.
    pub data_files: u64,
    /// Their size, in bytes.
    pub data_bytes: u64,
    /// Their records.
    pub data_records: u64,
    /// Files with deletes, and deletion vectors.
    pub delete_files: u64,
    /// Data files that are small.
    pub small_files: u64,
    /// Their size, in bytes.
    pub small_bytes: u64,
}

impl PartitionFigures {
    /// Adds the files of another part of the same partition.
    pub fn add(&mut self, other: &Self) {
        self.data_files += other.data_files;
        self.data_bytes = self.data_bytes.saturating_add(other.data_bytes);
        self.data_records = self.data_records.saturating_add(other.data_records);
        self.delete_files += other.delete_files;
        self.small_files += other.small_files;
        self.small_bytes = self.small_bytes.saturating_add(other.small_bytes);
    }

    /// Returns how many files a compaction rewrites because they are small: all small ones or none, by the rule of compactions for the files
    /// of a partition that fit into one new file.
    fn compactable_files(&self, target_bytes: u64, min_input_files: u64) -> u64 {
        let are_enough = self.small_files >= min_input_files.max(2);
        let are_large = self.small_files > 1 && self.small_bytes >= small_bytes(target_bytes);
        if are_enough || are_large { self.small_files } else { 0 }
    }
}

/// A partition with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSummary {
    /// The id of its spec.
    pub spec_id: i32,
    /// Its values as texts, in the order of the fields of the spec. `None` is null, or a value that has no text.
    pub values: Vec<Option<String>>,
    /// Its files.
    pub figures: PartitionFigures,
}

/// Files by partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    counted: HashMap<(i32, Vec<Option<String>>), PartitionFigures>,
    value_bytes: usize,
    is_partial: bool,
}

impl PartitionCounts {
    /// Counts files of a partition.
    pub fn add(&mut self, spec_id: i32, values: Vec<Option<String>>, figures: &PartitionFigures) {
        let bytes: usize =
            values.iter().map(|value| size_of::<Option<String>>() + value.as_ref().map_or(0, String::len)).sum();
        let is_full = self.counted.len() >= COUNTED_PARTITIONS || self.value_bytes + bytes > COUNTED_BYTES;
        match self.counted.entry((spec_id, values)) {
            Entry::Occupied(mut found) => found.get_mut().add(figures),
            Entry::Vacant(_) if is_full => self.is_partial = true,
            Entry::Vacant(new) => {
                new.insert(*figures);
                self.value_bytes += bytes;
            }
        }
    }

    /// Returns how many small files a compaction rewrites in these partitions. `target_bytes` is the size that writers aim at, and
    /// `min_input_files` the fewest small files of a partition that are worth a rewrite.
    #[must_use]
    pub fn compactable_files(&self, target_bytes: u64, min_input_files: usize) -> u64 {
        let min_input_files = u64::try_from(min_input_files).unwrap_or(u64::MAX);
        self.counted.values().map(|figures| figures.compactable_files(target_bytes, min_input_files)).sum()
    }

    /// Returns how many partitions were told apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counted.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// Returns whether files of further partitions were left out, because there are too many.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Returns the partitions with the most bytes, the largest first: at most [`LARGEST_PARTITIONS`].
    #[must_use]
    pub fn largest(&self) -> Vec<PartitionSummary> {
        let mut all: Vec<_> = self.counted.iter().collect();
        all.sort_by(|(key, one), (other_key, other)| {
            (other.data_bytes, other.delete_files, key).cmp(&(one.data_bytes, one.delete_files, other_key))
        });
        let largest = all.into_iter().take(LARGEST_PARTITIONS);
        largest
            .map(|((spec_id, values), figures)| PartitionSummary {
                spec_id: *spec_id,
                values: values.clone(),
                figures: *figures,
            })
            .collect()
    }
}

/// Returns the values of a partition as texts, as engines name folders: `2026`, `2026-01`, `2026-01-31`, `2026-01-31-22` for times.
/// `types` has the type of each field, from [`crate::scan::partition::field_types`].
#[must_use]
pub fn partition_texts(
    spec: &PartitionSpec,
    types: &[Option<ValueType>],
    partition: &Partition,
) -> Vec<Option<String>> {
    let text = |(position, value): (usize, &Option<Value>)| {
        let transform = &spec.fields().get(position)?.transform;
        value_text(transform, types.get(position).copied().flatten()?, value.as_ref()?)
    };
    partition.iter().enumerate().map(text).collect()
}

fn value_text(transform: &Transform, kind: ValueType, value: &Value) -> Option<String> {
    let text = match (transform, value) {
        (Transform::Year, Value::Int(years)) => (1970 + i64::from(*years)).to_string(),
        (Transform::Month, Value::Int(months)) => {
            format!("{:04}-{:02}", 1970 + months.div_euclid(12), months.rem_euclid(12) + 1)
        }
        (Transform::Hour, Value::Int(hours)) => {
            format!("{}-{:02}", format_date(hours.div_euclid(24)), hours.rem_euclid(24))
        }
        (_, Value::String(text)) => text.to_string(),
        _ => {
            let mut json = Vec::new();
            single_value::write(value, kind, &mut json).ok()?;
            let json = String::from_utf8(json).ok()?;
            json.trim_matches('"').to_owned()
        }
    };
    Some(match text.char_indices().nth(VALUE_CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(transforms: &[&str]) -> PartitionSpec {
        let fields: Vec<String> = transforms
            .iter()
            .enumerate()
            .map(|(at, transform)| {
                format!(r#"{{"source-id":{at},"field-id":{},"name":"f{at}","transform":"{transform}"}}"#, 1000 + at)
            })
            .collect();
        PartitionSpec::parse(&format!(r#"{{"spec-id":0,"fields":[{}]}}"#, fields.join(","))).unwrap()
    }

    #[test]
    fn file_is_in_the_class_whose_bound_it_does_not_reach() {
        let mut histogram = SizeHistogram::default();
        for bytes in [0, (64 << 10) - 1, 64 << 10, 4 << 30, u64::MAX] {
            histogram.add(bytes);
        }
        let classes = histogram.classes();
        let counted: Vec<u64> = classes.iter().map(|class| class.files).collect();
        assert_eq!(counted, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!((classes[0].below_bytes, classes[9].below_bytes), (Some(64 << 10), None));
        assert_eq!(classes[9].bytes, u64::MAX);
    }

    #[test]
    fn partition_values_are_texts_as_in_the_names_of_folders() {
        let spec = spec(&["year", "month", "day", "hour", "identity", "bucket[4]", "identity", "identity"]);
        let types = [
            Some(ValueType::Int),
            Some(ValueType::Int),
            Some(ValueType::Date),
            Some(ValueType::Int),
            Some(ValueType::String),
            Some(ValueType::Int),
            Some(ValueType::Binary),
            None,
        ];
        let partition = [
            Some(Value::Int(56)),
            Some(Value::Int(-1)),
            Some(Value::Date(20_484)),
            Some(Value::Int(-1)),
            Some(Value::String("a \"b\"".into())),
            Some(Value::Int(3)),
            None,
            Some(Value::Int(1)),
        ];
        let texts = partition_texts(&spec, &types, &partition);
        let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        let expected = ["2026", "1969-12", "2026-01-31", "1969-12-31-23", "a \"b\"", "3"].map(Some);
        assert_eq!(texts, [&expected[..], &[None, None]].concat());
    }

    #[test]
    fn long_value_is_cut() {
        let long = "é".repeat(VALUE_CHARACTERS + 1);
        let texts = partition_texts(
            &spec(&["identity"]),
            &[Some(ValueType::String)],
            &[Some(Value::String(long.as_str().into()))],
        );
        assert_eq!(texts[0].as_ref().map(|text| text.chars().count()), Some(VALUE_CHARACTERS + 1));
    }

    #[test]
    fn only_partitions_with_enough_small_files_or_bytes_are_compacted() {
        let counts = |partitions: &[&[u64]]| {
            let mut counts = PartitionCounts::default();
            for (number, files) in partitions.iter().enumerate() {
                for bytes in *files {
                    let file = PartitionFigures { small_files: 1, small_bytes: *bytes, ..PartitionFigures::default() };
                    counts.add(0, vec![Some(number.to_string())], &file);
                }
            }
            counts.compactable_files(1_000, 5)
        };
        assert_eq!(counts(&[&[1][..]; 100]), 0, "one file in each partition");
        assert_eq!(counts(&[&[1, 1, 1, 1][..], &[1; 5]]), 5);
        assert_eq!(counts(&[&[400, 350][..], &[400, 340]]), 2, "two files that fill a new one");
    }

    #[test]
    fn partitions_beyond_the_limit_are_left_out_and_said() {
        let mut counts = PartitionCounts::default();
        let file = PartitionFigures { data_files: 1, data_bytes: 10, data_records: 1, ..PartitionFigures::default() };
        for value in 0..COUNTED_PARTITIONS {
            counts.add(0, vec![Some(value.to_string())], &file);
        }
        assert!(!counts.is_partial());
        counts.add(0, vec![Some("7".to_owned())], &file);
        assert!(!counts.is_partial() && counts.len() == COUNTED_PARTITIONS);
        counts.add(0, vec![None], &file);
        assert!(counts.is_partial() && counts.len() == COUNTED_PARTITIONS);
        let largest = counts.largest();
        assert_eq!((largest.len(), largest[0].figures.data_files), (LARGEST_PARTITIONS, 2));
    }

    proptest! {
        #[test]
        fn histogram_has_each_file_once(sizes in prop::collection::vec(any::<u32>().prop_map(|size| u64::from(size) * 3), 0..50)) {
            let mut histogram = SizeHistogram::default();
            sizes.iter().for_each(|size| histogram.add(*size));
            let classes = histogram.classes();
            prop_assert_eq!(classes.iter().map(|class| class.files).sum::<u64>(), sizes.len() as u64);
            prop_assert_eq!(classes.iter().map(|class| class.bytes).sum::<u64>(), sizes.iter().sum::<u64>());
        }
    }
}
