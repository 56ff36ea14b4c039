//! The rows that delete files remove from data files (specification, "Row-level Deletes"; Puffin specification, "deletion-vector-v1").

use std::collections::{HashMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, StructArray};
use flate2::Crc;
use roaring::RoaringTreemap;
use tidewater_core::document::{Field, TableMetadata};
use tidewater_manifests::FileContent;

use super::columns::{Target, field_id};
use super::keys::write_key;
use super::parquet_file::ParquetFile;
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::FileRecord;

/// The field ids of position delete files (specification, "Reserved Field IDs").
const FILE_PATH_ID: i32 = 2_147_483_546;
const POSITION_ID: i32 = 2_147_483_545;

/// The begin of a deletion vector's blob, behind its length.
const VECTOR_MAGIC: [u8; 4] = [0xd1, 0xd3, 0x39, 0x64];

/// The memory of an entry in a set of keys beside the key, in bytes.
const KEY_BYTES: u64 = 48;

/// The deletes of a group of data files, read into memory.
#[derive(Debug, Default)]
pub(crate) struct Deletes {
    positions: HashMap<String, RoaringTreemap>,
    equality: HashMap<u32, EqualityDeletes>,
    used_bytes: u64,
}

/// The keys of an equality delete file.
#[derive(Debug)]
struct EqualityDeletes {
    columns: Vec<Target>,
    keys: HashSet<Box<[u8]>>,
}

/// The deletes that apply to one data file.
pub(crate) struct FileDeletes<'d> {
    positions: Option<&'d RoaringTreemap>,
    equality: Vec<&'d EqualityDeletes>,
}

impl Deletes {
    /// Reads a delete file, which applies to the data files `of`. `number` names it.
    ///
    /// # Errors
    /// `Files`, `Stopped`; `Unsupported` if it cannot be read, or its deletes do not fit into `memory_bytes`.
    pub(crate) fn read(
        &mut self,
        job: &mut Job<'_>,
        (number, file): (u32, &FileRecord),
        of: &HashSet<&str>,
        memory_bytes: u64,
    ) -> Result<(), RewriteError> {
        match file.content {
            FileContent::PositionDeletes if file.format == "puffin" => self.read_vector(job, file)?,
            FileContent::PositionDeletes => self.read_positions(job, file, of, memory_bytes)?,
            FileContent::EqualityDeletes => self.read_equality(job, number, file, memory_bytes)?,
            FileContent::Data => {}
        }
        self.check_memory(memory_bytes)
    }

    fn check_memory(&self, memory_bytes: u64) -> Result<(), RewriteError> {
        if self.used_bytes <= memory_bytes {
            return Ok(());
        }
        Err(RewriteError::unsupported(format!("the deletes take more than {memory_bytes} bytes of memory")))
    }

    fn read_vector(&mut self, job: &mut Job<'_>, file: &FileRecord) -> Result<(), RewriteError> {
        let damaged = |why: &str| RewriteError::unsupported(format!("the deletion vector in {} {why}", file.path));
        if !job.files().owns(&file.path) {
            return Err(damaged("is outside of the table's locations"));
        }
        let (Some(offset), Some(size), Some(path)) =
            (file.content_offset, file.content_size_bytes, &file.referenced_data_file)
        else {
            return Err(damaged("has no place or no data file"));
        };
        let range = u64::try_from(offset).ok().zip(u64::try_from(size).ok());
        let (begin, length) = range.ok_or_else(|| damaged("has a negative place"))?;
        if length > job.limits().memory_bytes / 8 {
            return Err(damaged("is larger than the memory for it"));
        }
        let blob = job.files().read_range(&file.path, begin..begin.saturating_add(length))?;
        let bitmap = parse_vector(&blob).map_err(damaged)?;
        if i64::try_from(bitmap.len()) != Ok(file.record_count) {
            return Err(damaged("has another number of positions than its manifest says"));
        }
        self.used_bytes += blob.len() as u64;
        self.positions.insert(path.clone(), bitmap);
        Ok(())
    }

    fn read_positions(
        &mut self,
        job: &mut Job<'_>,
        file: &FileRecord,
        of: &HashSet<&str>,
        memory_bytes: u64,
    ) -> Result<(), RewriteError> {
        let opened = ParquetFile::open(job, file, job.limits().memory_bytes / 8)?;
        opened.read(job, &[FILE_PATH_ID, POSITION_ID], |_, rows| {
            let misfit = || RewriteError::unsupported(format!("{} has no columns file_path and pos", file.path));
            let paths = column(&rows.columns, FILE_PATH_ID).and_then(|column| column.as_string_opt::<i32>());
            let positions =
                column(&rows.columns, POSITION_ID).and_then(|column| column.as_primitive_opt::<Int64Type>());
            let (Some(paths), Some(positions)) = (paths, positions) else { return Err(misfit()) };
            if paths.null_count() + positions.null_count() > 0 {
                return Err(misfit());
            }
            let mut bitmap: Option<(&str, &mut RoaringTreemap)> = None;
            for row in 0..paths.len() {
                let (path, position) = (paths.value(row), positions.value(row));
                let position = u64::try_from(position).map_err(|_| misfit())?;
                if bitmap.as_ref().is_none_or(|(of, _)| *of != path) {
                    if !of.contains(path) {
                        bitmap = None;
                        continue;
                    }
                    bitmap = Some((path, self.positions.entry(path.to_owned()).or_default()));
                }
                if let Some((_, bitmap)) = &mut bitmap
                    && bitmap.insert(position)
                {
                    // At most: runs take less.
                    self.used_bytes += 8;
                }
            }
            self.check_memory(memory_bytes)
        })
    }

    fn read_equality(
        &mut self,
        job: &mut Job<'_>,
        number: u32,
        file: &FileRecord,
        memory_bytes: u64,
    ) -> Result<(), RewriteError> {
        let refuse = |why: String| RewriteError::unsupported(format!("the equality deletes in {}: {why}", file.path));
        let ids = file.equality_ids.clone().unwrap_or_default();
        let columns =
            ids.iter().map(|id| find_column(job.table(), *id)).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        if columns.is_empty() {
            return Err(refuse("they have no columns".to_owned()));
        }
        let opened = ParquetFile::open(job, file, job.limits().memory_bytes / 8)?;
        let mut keys = HashSet::new();
        let mut key = Vec::new();
        opened.read(job, &ids, |_, rows| {
            let fitted = fit(&rows.columns, &columns).map_err(refuse)?;
            let fitted: Vec<&ArrayRef> = fitted.iter().collect();
            for row in 0..rows.columns.len() {
                if !write_key(&fitted, row, &mut key) {
                    return Err(refuse("a column has a nested type".to_owned()));
                }
                if !keys.contains(key.as_slice()) {
                    self.used_bytes += key.len() as u64 + KEY_BYTES;
                    keys.insert(key.as_slice().into());
                }
            }
            self.check_memory(memory_bytes)
        })?;
        self.equality.insert(number, EqualityDeletes { columns, keys });
        Ok(())
    }

    /// Returns the deletes of a data file, to which the delete files with these numbers apply.
    pub(crate) fn of(&self, path: &str, numbers: &[u32]) -> FileDeletes<'_> {
        let equality = numbers.iter().filter_map(|number| self.equality.get(number)).collect();
        FileDeletes { positions: self.positions.get(path), equality }
    }
}

impl FileDeletes<'_> {
    /// Returns the ids of the columns that equality deletes compare.
    pub(crate) fn column_ids(&self) -> impl Iterator<Item = i32> {
        self.equality.iter().flat_map(|deletes| deletes.columns.iter().map(|column| column.id))
    }

    /// Returns which rows stay, or `None` if all do. `first` is the position of the first one in its file.
    ///
    /// # Errors
    /// Says why the deletes cannot be compared with the rows.
    pub(crate) fn keep(&self, first: u64, rows: &StructArray) -> Result<Option<Vec<bool>>, String> {
        let mut keep = vec![true; rows.len()];
        if let Some(positions) = self.positions {
            for (position, keep) in (first..).zip(&mut keep) {
                *keep = !positions.contains(position);
            }
        }
        let mut key = Vec::new();
        for deletes in &self.equality {
            let columns = fit(rows, &deletes.columns)?;
            let columns: Vec<&ArrayRef> = columns.iter().collect();
            for (row, keep) in keep.iter_mut().enumerate() {
                if !write_key(&columns, row, &mut key) {
                    return Err("an equality delete compares a nested column".to_owned());
                }
                *keep &= !deletes.keys.contains(key.as_slice());
            }
        }
        Ok(keep.contains(&false).then_some(keep))
    }
}

fn column(rows: &StructArray, id: i32) -> Option<&ArrayRef> {
    let position = rows.fields().iter().position(|field| field_id(field) == Some(id))?;
    Some(rows.column(position))
}

fn fit(rows: &StructArray, columns: &[Target]) -> Result<Vec<ArrayRef>, String> {
    Ok(super::columns::fit_struct(rows, columns, &HashMap::new())?.columns().to_vec())
}

/// Returns the top-level column with this id, from the current schema, or from the last one that had it. A row in a file without
/// the column has the column's default, or null.
fn find_column(table: &TableMetadata, id: i32) -> Result<Target, String> {
    let current = table.schema(table.current_schema_id());
    let older = table.schemas().collect::<Vec<_>>().into_iter().rev();
    let find = |fields: &[Field]| fields.iter().find(|field| field.id == id).cloned();
    let found = current.into_iter().chain(older).find_map(|schema| find(schema.fields()));
    let mut field = found.ok_or_else(|| format!("no schema has a top-level column with the id {id}"))?;
    field.required = false;
    Target::new(&field)
}

/// Parses the blob of a deletion vector.
fn parse_vector(blob: &[u8]) -> Result<RoaringTreemap, &'static str> {
    let (length, rest) = blob.split_first_chunk().ok_or("is too short")?;
    let (body, checksum) = rest.split_last_chunk().ok_or("is too short")?;
    if u32::from_be_bytes(*length) as usize != body.len() {
        return Err("has another length than it says");
    }
    let mut crc = Crc::new();
    crc.update(body);
    if crc.sum() != u32::from_be_bytes(*checksum) {
        return Err("has a wrong checksum");
    }
    let bitmap = body.strip_prefix(&VECTOR_MAGIC).ok_or("has an unknown form")?;
    RoaringTreemap::deserialize_from(bitmap).map_err(|_| "is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(positions: &RoaringTreemap) -> Vec<u8> {
        let mut body = VECTOR_MAGIC.to_vec();
        positions.serialize_into(&mut body).unwrap();
        let mut crc = Crc::new();
        crc.update(&body);
        [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_slice(), &crc.sum().to_be_bytes()].concat()
    }

    #[test]
    fn deletion_vector_has_the_positions_that_were_written() {
        let positions: RoaringTreemap = [0, 7, 4_294_967_296, 9_000_000_000].into_iter().collect();
        assert_eq!(parse_vector(&blob(&positions)), Ok(positions));
    }

    #[test]
    fn damaged_deletion_vector_is_refused() {
        let good = blob(&(3..500).collect());
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(parse_vector(&bad).is_err(), "byte {position}");
        }
        assert!(parse_vector(&good[..good.len() - 1]).is_err());
    }
}
