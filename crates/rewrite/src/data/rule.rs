//! Which data files are compacted together.

use tidewater_core::document::Properties;

/// The size of a data file unless the table's properties say another, in bytes. Java's default.
const DEFAULT_TARGET_BYTES: u64 = 512 << 20;

/// Which data files are compacted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRule {
    /// The size of a new file, in bytes. A file below three quarters of it is small.
    pub target_bytes: u64,
    /// The fewest small files of a partition that are worth a rewrite. At least 2.
    pub min_input_files: usize,
    /// The share of deleted rows from which a file of any size is rewritten, in percent.
    pub delete_percent: u8,
    /// The number of delete files from which a data file to which they apply is rewritten.
    pub delete_files: usize,
    /// The most bytes of files that one run rewrites.
    pub max_run_bytes: u64,
}

/// A data file that may be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The number of its rows.
    pub rows: u64,
    /// The number of its rows that deletes of this file alone remove.
    pub deleted_rows: u64,
    /// The number of delete files that apply to it.
    pub delete_files: usize,
}

impl CompactionRule {
    /// Creates the rule for a table with these properties (`write.target-file-size-bytes`): at least 5 small files, or 30
    /// percent of deleted rows, as in Spark's procedure; or 10 delete files.
    #[must_use]
    pub fn new(properties: &Properties, max_run_bytes: u64) -> Self {
        let target = properties.get("write.target-file-size-bytes").and_then(|size| size.parse().ok());
        let target_bytes = target.filter(|size| *size > 0).unwrap_or(DEFAULT_TARGET_BYTES);
        Self { target_bytes, min_input_files: 5, delete_percent: 30, delete_files: 10, max_run_bytes }
    }

    const fn small_bytes(&self) -> u64 {
        self.target_bytes / 4 * 3
    }

    fn has_many_deletes(&self, file: &Candidate) -> bool {
        let percent = u128::from(file.deleted_rows) * 100;
        let is_mostly_deleted = percent > 0 && percent >= u128::from(file.rows) * u128::from(self.delete_percent);
        is_mostly_deleted || file.delete_files >= self.delete_files.max(1)
    }

    /// Returns the groups of files of one partition that are each worth a rewrite, as positions in `files`, in order. Each
    /// file is in at most one group. The files of a group have at most the target size together, unless one alone has more.
    #[must_use]
    pub fn groups(&self, files: &[Candidate]) -> Vec<Vec<usize>> {
        let mut bins: Vec<(Vec<usize>, u64)> = Vec::new();
        for (position, file) in files.iter().enumerate() {
            if file.size_bytes >= self.small_bytes() && !self.has_many_deletes(file) {
                continue;
            }
            match bins.last_mut() {
                Some((bin, bytes)) if bytes.saturating_add(file.size_bytes) <= self.target_bytes => {
                    bin.push(position);
                    *bytes += file.size_bytes;
                }
                _ => bins.push((vec![position], file.size_bytes)),
            }
        }
        let is_worth_it = |(bin, bytes): &(Vec<usize>, u64)| {
            bin.len() >= self.min_input_files.max(2)
                || (bin.len() > 1 && *bytes >= self.small_bytes())
                || bin.iter().any(|position| self.has_many_deletes(&files[*position]))
        };
        bins.into_iter().filter(is_worth_it).map(|(bin, _)| bin).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(target_bytes: u64) -> CompactionRule {
        CompactionRule {
            target_bytes,
            min_input_files: 5,
            delete_percent: 30,
            delete_files: 10,
            max_run_bytes: u64::MAX,
        }
    }

    fn plain(size_bytes: u64) -> Candidate {
        Candidate { size_bytes, rows: 100, deleted_rows: 0, delete_files: 0 }
    }

    #[test]
    fn few_small_files_and_large_files_stay() {
        assert_eq!(rule(1000).groups(&[plain(10); 4]), Vec::<Vec<usize>>::new());
        assert_eq!(rule(1000).groups(&[plain(800); 9]), Vec::<Vec<usize>>::new());
        assert_eq!(rule(1000).groups(&[plain(10); 5]), [[0, 1, 2, 3, 4]]);
        assert_eq!(rule(1000).groups(&[plain(400), plain(400)]), [[0, 1]], "nearly a whole new file");
    }

    #[test]
    fn file_with_many_deletes_is_rewritten_whatever_its_size() {
        let deleted = |deleted_rows| Candidate { size_bytes: 5000, rows: 100, deleted_rows, delete_files: 0 };
        assert_eq!(rule(1000).groups(&[deleted(29)]), Vec::<Vec<usize>>::new());
        assert_eq!(rule(1000).groups(&[deleted(30)]), [[0]]);
        assert_eq!(rule(1000).groups(&[Candidate { delete_files: 10, ..deleted(0) }]), [[0]]);
    }

    proptest! {
        #[test]
        fn each_file_is_in_one_group_that_is_small_enough_and_worth_it(
            sizes in prop::collection::vec((0_u64..1200, 0_u64..100), 0..80),
        ) {
            let files: Vec<_> = sizes.into_iter()
                .map(|(size_bytes, deleted_rows)| Candidate { size_bytes, rows: 100, deleted_rows, delete_files: 0 })
                .collect();
            let rule = rule(1000);
            let groups = rule.groups(&files);
            let all: Vec<usize> = groups.iter().flatten().copied().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
            for group in &groups {
                let bytes: u64 = group.iter().map(|position| files[*position].size_bytes).sum();
                prop_assert!(bytes <= 1000 || group.len() == 1);
                let is_pure_gain = group.iter().any(|position| files[*position].deleted_rows >= 30);
                prop_assert!(group.len() >= 2 || is_pure_gain);
                for position in group {
                    prop_assert!(files[*position].size_bytes < 750 || files[*position].deleted_rows >= 30);
                }
            }
        }

        #[test]
        fn files_of_the_target_size_are_never_rewritten_again(count in 0_usize..50) {
            prop_assert!(rule(1000).groups(&vec![plain(1000); count]).is_empty());
        }
    }
}
