//! Manifests and manifest lists: the files of the repository with this table's paths and snapshot ids.

use std::collections::HashMap;

use anyhow::{Context, Result};
use apache_avro::types::Value;
use apache_avro::{Reader, Writer};

use super::assets::{MANIFEST_LIST, MONTHS};
use super::table::Table;

/// Returns the manifest of a batch: an entry for each station's data file.
pub(super) fn manifest(table: &Table, batch: usize) -> Result<Vec<u8>> {
    let snapshot_id = Value::Union(1, Box::new(Value::Long(table.snapshot_id(batch))));
    rewrite(MONTHS[batch].manifest, &[], 0, |station, entry| {
        *field(entry, &["snapshot_id"])? = snapshot_id.clone();
        *field(entry, &["data_file", "file_path"])? = Value::String(table.data_file(batch, station));
        Ok(())
    })
}

/// Returns the manifest list of a batch's snapshot: the manifests of this batch and all batches before, newest first.
pub(super) fn manifest_list(table: &Table, batch: usize) -> Result<Vec<u8>> {
    let parent = batch.checked_sub(1).map_or("null".to_owned(), |before| table.snapshot_id(before).to_string());
    let metadata = [
        ("snapshot-id", table.snapshot_id(batch).to_string()),
        ("parent-snapshot-id", parent),
        ("sequence-number", sequence_number(batch).to_string()),
    ];
    rewrite(MANIFEST_LIST, &metadata, MONTHS.len() - 1 - batch, |newer, entry| {
        let batch = batch - newer;
        *field(entry, &["manifest_path"])? = Value::String(table.manifest(batch));
        *field(entry, &["manifest_length"])? = Value::Long(i64::try_from(manifest(table, batch)?.len())?);
        *field(entry, &["added_snapshot_id"])? = Value::Long(table.snapshot_id(batch));
        Ok(())
    })
}

/// Returns the sequence number of a batch's snapshot. A new table has 0.
pub(super) fn sequence_number(batch: usize) -> i64 {
    batch as i64 + 1
}

/// Returns an Avro file without its first `skip` records, and with `metadata` in its header. Applies `edit` to each remaining
/// record, with the record's index among them.
fn rewrite(
    template: &[u8],
    metadata: &[(&str, String)],
    skip: usize,
    edit: impl Fn(usize, &mut Value) -> Result<()>,
) -> Result<Vec<u8>> {
    let records = Reader::new(template)?;
    let schema = records.writer_schema().clone();
    let mut header: HashMap<_, _> = records.user_metadata().clone();
    header.extend(metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes())));
    let mut writer = Writer::new(&schema, Vec::new());
    for (key, value) in header {
        writer.add_user_metadata(key, value)?;
    }
    for (place, record) in records.skip(skip).enumerate() {
        let mut record = record?;
        edit(place, &mut record)?;
        writer.append(record)?;
    }
    Ok(writer.into_inner()?)
}

/// Returns the field at `path`: a field name for each level of nested records.
fn field<'a>(record: &'a mut Value, path: &[&str]) -> Result<&'a mut Value> {
    path.iter()
        .try_fold(record, |value, name| {
            let Value::Record(fields) = value else { return None };
            fields.iter_mut().find(|(found, _)| found == name).map(|(_, value)| value)
        })
        .with_context(|| format!("a record of the sample has no field {}", path.join(".")))
}
