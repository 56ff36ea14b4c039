//! The files of a table in the answer about its health: by size, and by partition.

use serde::Serialize;
use tidewater_core::upkeep::{PartitionFigures, PartitionSummary, SizeClass};

use crate::upkeep::PartitionsHealth;

/// The data files of a class of sizes.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SizeEntry {
    below_bytes: Option<u64>,
    files: u64,
    bytes: u64,
}

impl From<SizeClass> for SizeEntry {
    fn from(SizeClass { below_bytes, files, bytes }: SizeClass) -> Self {
        Self { below_bytes, files, bytes }
    }
}

/// The files by partition.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PartitionsEntry {
    counted: u64,
    partial: bool,
    largest: Vec<PartitionEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PartitionEntry {
    spec_id: i32,
    values: Vec<PartitionValue>,
    data_files: u64,
    data_bytes: u64,
    data_records: u64,
    delete_files: u64,
}

#[derive(Serialize)]
struct PartitionValue {
    name: String,
    value: Option<String>,
}

impl From<PartitionsHealth> for PartitionsEntry {
    fn from(PartitionsHealth { counted, is_partial, largest }: PartitionsHealth) -> Self {
        Self { counted, partial: is_partial, largest: largest.into_iter().map(Into::into).collect() }
    }
}

impl From<(PartitionSummary, Vec<String>)> for PartitionEntry {
    fn from((summary, names): (PartitionSummary, Vec<String>)) -> Self {
        let PartitionSummary { spec_id, values, figures } = summary;
        let PartitionFigures { data_files, data_bytes, data_records, delete_files, .. } = figures;
        let values = names.into_iter().zip(values).map(|(name, value)| PartitionValue { name, value }).collect();
        Self { spec_id, values, data_files, data_bytes, data_records, delete_files }
    }
}
