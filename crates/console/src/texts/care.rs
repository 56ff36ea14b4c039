//! The texts about a table's files, its maintenance, and the preview of its rows.

pub const BLOBS: &str = "Contents";
pub const BY_POLICY: &str = "a policy";
pub const BYTES_OF_DATA: &str = "Size of data";
pub const CHOSEN_HERE: &str = "Set here";
pub const CLEAR_POLICY: &str = "Clear this policy";
pub const CLEAR_POLICY_HINT: &str = "All fields are inherited again.";
pub const DEFAULT_VALUE: &str = "the default";
pub const DELETES_BY_POSITION: &str = "Delete files by position, and deletion vectors";
pub const DELETES_BY_VALUE: &str = "Delete files by value";
pub const DELETES_APPLIED: &str = "Deleted rows are left out: deletes apply to the files that were read.";
pub const DELETE_RECORDS: &str = "Deletes";
pub const DONE_POLICY: &str = "The policy is set.";
pub const DONE_POLICY_CLEARED: &str = "The policy is cleared.";
pub const DRY_RUN: &str = "Dry run";
pub const DRY_RUN_HINT: &str = "A dry run lists what would go, and why. It changes nothing.";
pub const DURATION_HINT: &str =
    "Times are a number with a unit: s, min, h or d, such as 5d. An empty field is inherited.";
pub const ENABLED: &str = "Runs";
pub const ENDED_AT: &str = "Ended";
pub const FIELD: &str = "Field";
pub const FILES_BY_PARTITION: &str = "Files by partition";
pub const FILES_BY_SIZE: &str = "Data files by size";
pub const FILES_KIND: &str = "Data files and delete files";
pub const FINDINGS: &str = "Advice";
pub const FIRST_ROWS: &str = "First rows";
pub const FROM: &str = "From";
pub const HEALTH: &str = "Health";
pub const HEALTHY: &str = "Nothing is wrong with this table.";
pub const INHERITED: &str = "inherited";
pub const LAST_COMMIT: &str = "Last commit";
pub const MAINTENANCE: &str = "Maintenance";
pub const MAINTENANCE_HINT: &str = "The catalog compacts small files, rewrites manifests, computes statistics, expires snapshots and removes orphan files. Nothing runs unless a policy says so.";
pub const MANIFESTS: &str = "Manifests";
pub const MISSING_RUN: &str = "There is no such run. Records of old runs are removed.";
pub const MORE_ITEMS: &str = "The list has only the first objects.";
pub const NOT_A_DURATION: &str = "A time is a whole number with a unit: s, min, h or d, such as 5d.";
pub const NOT_A_WHOLE_NUMBER: &str = "The number is not a whole number.";
pub const NOTHING_GOES: &str = "There is nothing to do.";
pub const NO_FILES: &str = "The table has no data files yet.";
pub const NO_PARTITIONS: &str = "You may not read the data of this table, so its partitions are not shown.";
pub const NO_ROWS: &str = "The table has no rows.";
pub const NO_RUNS: &str = "There is no run yet.";
pub const NO_STATISTICS: &str = "The table has no statistics files. The operation compute-statistics writes them.";
pub const NULL: &str = "null";
pub const OFF: &str = "off";
pub const ON: &str = "on";
pub const OUTCOME: &str = "Outcome";
pub const PARTITION: &str = "Partition";
pub const POLICY: &str = "Policy in force";
pub const POLICY_HINT: &str = "The nearest policy that has a field decides about it: the table, its namespaces, the warehouse. Properties of the table such as history.expire.max-snapshot-age-ms stand before the policies of its namespaces.";
pub const REASON: &str = "Reason";
pub const REPLACED_FILES: &str = "Files replaced";
pub const RUN: &str = "Run";
pub const RUNS: &str = "Runs";
pub const RUN_AGAIN: &str = "Show the present state";
pub const RUN_NOW: &str = "Run now";
pub const RUN_NOW_HINT: &str = "The run does it for real. Files that it removes cannot be restored.";
pub const RUNNING: &str = "The run is not at its end.";
pub const SET_POLICY: &str = "Set the policy";
pub const SMALL_FILES: &str = "Small data files";
pub const STARTED: &str = "Started";
pub const STARTED_BY: &str = "Started by";
pub const START_RUN: &str = "Start an operation";
pub const STATISTICS_FILES: &str = "Statistics files";
pub const STAYED: &str = "Files that stay";
pub const THIS_NAMESPACE: &str = "this namespace";
pub const THIS_TABLE: &str = "this table";
pub const THIS_WAREHOUSE: &str = "this warehouse";
pub const WENT: &str = "Went";
pub const WOULD_GO: &str = "Would go";
pub const WRITTEN_FILES: &str = "Files written";

/// Says how many of the manifests the figures are from.
#[must_use]
pub fn partly(read: &str, all: &str) -> String {
    format!("The table is large: the figures of files are those of the first {read} of {all} manifests.")
}

/// Says how many partitions are shown.
#[must_use]
pub fn of_partitions(shown: usize, all: &str, is_partial: bool) -> String {
    match is_partial {
        true => {
            format!("The {shown} largest of the first {all} partitions. There are more, which are not counted here.")
        }
        false => format!("The {shown} largest of {all} partitions."),
    }
}

/// Names files that are smaller than a size.
#[must_use]
pub fn below(size: &str) -> String {
    format!("below {size}")
}

/// Names files that are not smaller than a size.
#[must_use]
pub fn from_size(size: &str) -> String {
    format!("{size} and more")
}

/// Names a namespace as the place of a policy.
#[must_use]
pub fn of_namespace(name: &str) -> String {
    format!("namespace {name}")
}

/// Names a warehouse as the place of a policy.
#[must_use]
pub fn of_warehouse(name: &str) -> String {
    format!("warehouse {name}")
}

/// Says how many snapshots and references a run removed.
#[must_use]
pub fn snapshots_and_references(snapshots: &str, references: &str) -> String {
    format!("{snapshots} snapshots, {references} branches and tags")
}

/// Says how many files there are, with their size.
#[must_use]
pub fn files_of_size(files: &str, size: &str) -> String {
    format!("{files} files ({size})")
}

/// Says how many rows are shown of a table that may have more.
#[must_use]
pub fn first_rows(number: usize) -> String {
    format!("{number} rows of the first files, in no particular order. The table may have more.")
}

/// Names the columns that are not shown.
#[must_use]
pub fn columns_left_out(names: &str) -> String {
    format!("Not shown, because there are too many columns or their types cannot be read here: {names}.")
}
