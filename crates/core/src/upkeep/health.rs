//! The health of a table: figures about its files and metadata, and what to do about them.

use serde::{Deserialize, Serialize};

use super::policy::MaintenanceOperation;
use crate::document::Properties;

/// The size of data files that writers aim at, in bytes, if the table does not set one (reference implementation).
const USUAL_TARGET_BYTES: u64 = 512 << 20;

/// A file is small below this share of the target, in percent (as the reference implementation's compaction has it).
const SMALL_PERCENT: u64 = 75;

/// From how many small files on they are a finding, and from which share of all files, in percent.
const SMALL_FILES: u64 = 20;
const SMALL_FILES_PERCENT: u64 = 50;

/// From which share of the data's records on the deletes are a finding, in percent.
const DELETES_PERCENT: u64 = 10;

/// From how many snapshots on they are a finding.
const SNAPSHOTS: u64 = 1_000;

/// From how many manifests on, with a smaller average size in bytes, they are a finding.
const MANIFESTS: u64 = 100;
const MANIFEST_BYTES: u64 = 1 << 20;

/// From which size on the metadata document is a finding, in bytes.
const METADATA_BYTES: u64 = 5 << 20;

/// The figures about a table's current snapshot and its metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthFigures {
    /// Its snapshots, in all branches.
    pub snapshots: u64,
    /// The time of its oldest snapshot, in milliseconds since 1970.
    pub oldest_snapshot_ms: Option<i64>,
    /// Its branches and tags.
    pub refs: u64,
    /// The size of its metadata document, in bytes.
    pub metadata_bytes: u64,
    /// The time of its last commit, in milliseconds since 1970.
    pub last_commit_ms: i64,
    /// The manifests of the current snapshot.
    pub manifests: u64,
    /// Their size, in bytes.
    pub manifest_bytes: u64,
    /// The files of the current snapshot.
    pub files: FileFigures,
}

/// The figures about the files of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileFigures {
    /// Data files.
    pub data_files: u64,
    /// Their size, in bytes.
    pub data_bytes: u64,
    /// Their records.
    pub data_records: u64,
    /// Data files that are smaller than 75 % of the target.
    pub small_files: u64,
    /// Small data files that a compaction rewrites: those of partitions with enough of them.
    pub compactable_files: u64,
    /// Files with deletes by position, and deletion vectors.
    pub position_delete_files: u64,
    /// Files with deletes by value.
    pub equality_delete_files: u64,
    /// The size of all files with deletes, in bytes.
    pub delete_bytes: u64,
    /// The records in all files with deletes.
    pub delete_records: u64,
    /// Whether only a part of the manifests was read, because there are too many.
    pub is_partial: bool,
}

impl FileFigures {
    /// Counts a data file. `target_bytes` is the size that writers aim at.
    pub fn add_data_file(&mut self, bytes: u64, records: u64, target_bytes: u64) {
        self.data_files += 1;
        self.data_bytes = self.data_bytes.saturating_add(bytes);
        self.data_records = self.data_records.saturating_add(records);
        self.small_files += u64::from(bytes < small_bytes(target_bytes));
    }

    /// Counts a file with deletes. Several deletion vectors of one file each have their own size.
    pub fn add_delete_file(&mut self, is_equality: bool, bytes: u64, records: u64) {
        let files = if is_equality { &mut self.equality_delete_files } else { &mut self.position_delete_files };
        *files += 1;
        self.delete_bytes = self.delete_bytes.saturating_add(bytes);
        self.delete_records = self.delete_records.saturating_add(records);
    }
}

/// The figures of a table, or of several, that tell how healthy they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HealthCounts {
    /// Data files of the current snapshot.
    pub data_files: u64,
    /// Those that are smaller than 75 % of the target.
    pub small_files: u64,
    /// Files with deletes, and deletion vectors, of the current snapshot.
    pub delete_files: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Manifests of the current snapshot.
    pub manifests: u64,
    /// The size of the metadata document, in bytes.
    pub metadata_bytes: u64,
}

impl HealthCounts {
    /// The names of the figures, as they are stored.
    pub const NAMES: [&'static str; 6] =
        ["data-files", "small-files", "delete-files", "snapshots", "manifests", "metadata-bytes"];

    /// Creates the figures from their values, in the order of [`Self::NAMES`].
    #[must_use]
    pub const fn from_values(values: [u64; 6]) -> Self {
        let [data_files, small_files, delete_files, snapshots, manifests, metadata_bytes] = values;
        Self { data_files, small_files, delete_files, snapshots, manifests, metadata_bytes }
    }

    /// Returns the values, in the order of [`Self::NAMES`].
    #[must_use]
    pub const fn values(&self) -> [u64; 6] {
        let Self { data_files, small_files, delete_files, snapshots, manifests, metadata_bytes } = *self;
        [data_files, small_files, delete_files, snapshots, manifests, metadata_bytes]
    }
}

impl From<&HealthFigures> for HealthCounts {
    fn from(figures: &HealthFigures) -> Self {
        let files = &figures.files;
        Self {
            data_files: files.data_files,
            small_files: files.small_files,
            delete_files: files.position_delete_files.saturating_add(files.equality_delete_files),
            snapshots: figures.snapshots,
            manifests: figures.manifests,
            metadata_bytes: figures.metadata_bytes,
        }
    }
}

/// The health of several tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthSummary {
    /// The number of the tables.
    pub tables: u64,
    /// The sums.
    pub total: HealthCounts,
    /// The largest value that a table has, for each figure.
    pub worst: HealthCounts,
}

/// Returns the size of data files that a table's writers aim at, in bytes.
#[must_use]
pub fn target_file_bytes(properties: &Properties) -> u64 {
    let own = properties.get("write.target-file-size-bytes").and_then(|text| text.trim().parse::<u64>().ok());
    own.filter(|bytes| *bytes > 0).unwrap_or(USUAL_TARGET_BYTES)
}

/// Returns the size below which a data file is small, in bytes.
#[must_use]
pub const fn small_bytes(target_bytes: u64) -> u64 {
    target_bytes / 100 * SMALL_PERCENT
}

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// Many data files are small.
    SmallFiles,
    /// There are many deletes for the data.
    ManyDeletes,
    /// There are files with deletes by value, which readers apply to all older data.
    EqualityDeletes,
    /// There are many snapshots.
    ManySnapshots,
    /// There are many small manifests.
    ManyManifests,
    /// The metadata document is large.
    LargeMetadata,
}

impl FindingKind {
    /// Returns its name, as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SmallFiles => "small-files",
            Self::ManyDeletes => "many-deletes",
            Self::EqualityDeletes => "equality-deletes",
            Self::ManySnapshots => "many-snapshots",
            Self::ManyManifests => "many-manifests",
            Self::LargeMetadata => "large-metadata",
        }
    }

    /// Returns the operation of maintenance that helps.
    #[must_use]
    pub const fn operation(self) -> MaintenanceOperation {
        match self {
            Self::SmallFiles | Self::ManyDeletes | Self::EqualityDeletes => MaintenanceOperation::CompactFiles,
            Self::ManySnapshots | Self::LargeMetadata => MaintenanceOperation::ExpireSnapshots,
            Self::ManyManifests => MaintenanceOperation::RewriteManifests,
        }
    }
}

/// Something about a table that makes it slow or large, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// What was found.
    pub message: String,
    /// What to do.
    pub advice: &'static str,
    /// The operation of maintenance that helps.
    pub operation: MaintenanceOperation,
}

/// Returns the findings about a table.
#[must_use]
pub fn findings(figures: &HealthFigures) -> Vec<Finding> {
    let files = &figures.files;
    let percent = |part: u64, whole: u64| part.saturating_mul(100) / whole.max(1);
    let mut found = Vec::new();
    let mut add = |is_found: bool, kind: FindingKind, message: String, advice| {
        if is_found {
            found.push(Finding { kind, message, advice, operation: kind.operation() });
        }
    };
    add(
        files.compactable_files >= SMALL_FILES
            && percent(files.compactable_files, files.data_files) >= SMALL_FILES_PERCENT,
        FindingKind::SmallFiles,
        format!(
            "{} of {} data files are small, with others in their partitions: the average is {} KiB",
            files.compactable_files,
            files.data_files,
            files.data_bytes / files.data_files.max(1) / 1_024
        ),
        "Compact the data files (compact-files), and let writers commit less often.",
    );
    add(
        files.delete_records > 0 && percent(files.delete_records, files.data_records) >= DELETES_PERCENT,
        FindingKind::ManyDeletes,
        format!("{} deletes stand against {} records", files.delete_records, files.data_records),
        "Compact the data files (compact-files), so that readers do not apply the deletes each time. It rewrites files of which 30 percent \
         of the rows are deleted.",
    );
    add(
        files.equality_delete_files > 0,
        FindingKind::EqualityDeletes,
        format!("{} files have deletes by value, which readers apply to all older data", files.equality_delete_files),
        "Let the writer use deletes by position or deletion vectors. A compaction (compact-files) rewrites files to which 10 delete files \
         apply.",
    );
    add(
        figures.snapshots >= SNAPSHOTS,
        FindingKind::ManySnapshots,
        format!("The table has {} snapshots", figures.snapshots),
        "Enable expire-snapshots in the table's policy, or lower its max-snapshot-age-ms.",
    );
    add(
        figures.manifests >= MANIFESTS && figures.manifest_bytes / figures.manifests < MANIFEST_BYTES,
        FindingKind::ManyManifests,
        format!(
            "The snapshot has {} manifests of {} KiB on average",
            figures.manifests,
            figures.manifest_bytes / figures.manifests.max(1) / 1_024
        ),
        "Rewrite the manifests (rewrite-manifests), and keep commit.manifest-merge.enabled.",
    );
    add(
        figures.metadata_bytes >= METADATA_BYTES,
        FindingKind::LargeMetadata,
        format!("The metadata document has {} KiB", figures.metadata_bytes / 1_024),
        "Expire snapshots (expire-snapshots), and lower write.metadata.previous-versions-max if the log is long.",
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(figures: &HealthFigures) -> Vec<&'static str> {
        findings(figures).iter().map(|finding| finding.kind.as_str()).collect()
    }

    #[test]
    fn empty_and_well_kept_tables_have_no_finding() {
        assert!(findings(&HealthFigures::default()).is_empty());
        let mut figures = HealthFigures {
            snapshots: 10,
            manifests: 200,
            manifest_bytes: 200 * (8 << 20),
            ..HealthFigures::default()
        };
        (0..100).for_each(|_| figures.files.add_data_file(500 << 20, 1_000_000, USUAL_TARGET_BYTES));
        figures.files.add_delete_file(false, 100, 1_000);
        assert_eq!(kinds(&figures), [""; 0]);
    }

    #[test]
    fn each_neglect_is_a_finding_with_an_advice() {
        let mut figures = HealthFigures {
            snapshots: 1_000,
            manifests: 100,
            manifest_bytes: 100 * 7_000,
            metadata_bytes: 6 << 20,
            ..HealthFigures::default()
        };
        (0..20).for_each(|_| figures.files.add_data_file(10_000, 100, USUAL_TARGET_BYTES));
        figures.files.compactable_files = 20;
        figures.files.add_delete_file(true, 100, 200);
        assert_eq!(
            kinds(&figures),
            ["small-files", "many-deletes", "equality-deletes", "many-snapshots", "many-manifests", "large-metadata"]
        );
        assert!(findings(&figures).iter().all(|finding| finding.advice.contains(finding.operation.as_str())));
    }

    #[test]
    fn counts_are_stored_by_the_names_and_in_the_order_of_their_values() {
        let mut figures = HealthFigures { snapshots: 4, manifests: 5, metadata_bytes: 6, ..HealthFigures::default() };
        (0..2).for_each(|_| figures.files.add_data_file(10, 1, 1_000));
        figures.files.add_data_file(1_000, 1, 1_000);
        figures.files.add_delete_file(true, 1, 1);
        figures.files.add_delete_file(false, 1, 1);
        let counts = HealthCounts::from(&figures);
        assert_eq!(counts.values(), [3, 2, 2, 4, 5, 6]);
        assert_eq!(HealthCounts::from_values(counts.values()), counts);
        let stored = serde_json::to_value(counts).unwrap();
        let by_name: Vec<u64> = HealthCounts::NAMES.iter().map(|name| stored[name].as_u64().unwrap()).collect();
        assert_eq!(by_name, counts.values());
    }

    #[test]
    fn small_files_that_no_compaction_rewrites_are_no_finding() {
        let mut figures = HealthFigures::default();
        (0..1_000).for_each(|_| figures.files.add_data_file(10_000, 100, USUAL_TARGET_BYTES));
        assert_eq!((kinds(&figures), figures.files.small_files), (vec![], 1_000));
    }

    #[test]
    fn target_of_the_table_decides_which_files_are_small() {
        let properties = Properties::from([("write.target-file-size-bytes".to_owned(), "1000".to_owned())]);
        let target_bytes = target_file_bytes(&properties);
        let mut files = FileFigures::default();
        files.add_data_file(749, 1, target_bytes);
        files.add_data_file(750, 1, target_bytes);
        assert_eq!((files.small_files, files.data_bytes), (1, 1_499));
        assert_eq!(target_file_bytes(&Properties::new()), 512 << 20);
    }
}
