//! Which delete files apply to a data file (specification, "Scan Planning").

use std::collections::HashMap;

use super::equality::ColumnValues;
use super::partition_key;
use super::statistics::{FileStatistics, Partition};
use super::value::ValueType;
use crate::document::{PartitionSpec, SchemaIndex, Transform};

/// The field id of the column `file_path` of position delete files (specification, "Reserved Field IDs").
const FILE_PATH_ID: i32 = 2_147_483_546;

/// What a delete file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteKind<'a> {
    /// A deletion vector of this data file.
    Vector(&'a str),
    /// Positions of rows; only in this data file, if one is given.
    Positions(Option<&'a str>),
    /// Values of the columns with these ids.
    Equality(&'a [i32]),
}

/// A delete file, as a manifest lists it.
#[derive(Clone, Copy)]
pub struct DeleteFile<'a> {
    /// What it contains.
    pub kind: DeleteKind<'a>,
    /// Its data sequence number, its own or inherited.
    pub sequence_number: i64,
    /// The id of its partition spec.
    pub spec_id: i32,
    /// Its partition.
    pub partition: &'a Partition,
    /// Its statistics.
    pub statistics: &'a dyn FileStatistics,
}

/// A data file whose deletes are wanted.
#[derive(Clone, Copy)]
pub struct DataFile<'a> {
    /// Its location.
    pub path: &'a str,
    /// Its data sequence number, its own or inherited.
    pub sequence_number: i64,
    /// The id of its partition spec.
    pub spec_id: i32,
    /// Its partition.
    pub partition: &'a Partition,
    /// Its statistics.
    pub statistics: &'a dyn FileStatistics,
}

/// Why the delete files of a snapshot cannot be indexed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeletesError {
    /// A data file has several deletion vectors.
    #[error("Data file '{0}' has more than one deletion vector: the table's metadata is corrupt")]
    SeveralVectors(String),
    /// There are more delete files than numbers for them.
    #[error("The snapshot has too many delete files")]
    TooMany,
}

/// Collects the delete files of a snapshot.
#[derive(Debug)]
pub struct DeleteIndexBuilder<'s> {
    index: DeleteIndex,
    added: u32,
    unpartitioned: Vec<i32>,
    schema: &'s SchemaIndex<'s>,
    /// The positions of the columns in the index, by their ids.
    columns: HashMap<i32, usize>,
    key: Vec<u8>,
}

/// The delete files of a snapshot, by the data files that they apply to.
#[derive(Debug, Default)]
pub struct DeleteIndex {
    vectors: HashMap<Box<str>, Numbered>,
    by_path: HashMap<Box<str>, Vec<PathDeletes>>,
    by_partition: HashMap<Box<[u8]>, PartitionDeletes>,
    /// Equality deletes that apply to all partitions.
    global: Vec<EqualityDeletes>,
    /// The columns that equality deletes compare, as far as their values have statistics.
    columns: Vec<(i32, ValueType)>,
}

/// The number of a delete file, with its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Numbered {
    sequence_number: i64,
    number: u32,
}

/// The deletes of one partition. Both lists are sorted by sequence number.
#[derive(Debug, Default)]
struct PartitionDeletes {
    positions: Vec<PositionDeletes>,
    equality: Vec<EqualityDeletes>,
}

/// A file with positions in several data files, and the bounds of their paths.
#[derive(Debug)]
struct PositionDeletes {
    file: Numbered,
    lower: Option<Box<[u8]>>,
    upper: Option<Box<[u8]>>,
}

/// A file with positions in one data file of the partition with this key.
#[derive(Debug)]
struct PathDeletes {
    file: Numbered,
    key: Box<[u8]>,
}

/// A file with values of rows, and what its statistics say about them: for each column its position in the index.
#[derive(Debug)]
struct EqualityDeletes {
    file: Numbered,
    columns: Vec<(usize, ColumnValues)>,
}

/// Memory that [`DeleteIndex::find`] uses again for the next data file.
#[derive(Debug, Default)]
pub struct Scratch {
    key: Vec<u8>,
    columns: Vec<Option<ColumnValues>>,
}

impl<'s> DeleteIndexBuilder<'s> {
    /// Starts an index. `specs` are the table's partition specs, and `schema` gives the types of the columns that equality
    /// deletes compare.
    pub fn new<'p>(specs: impl IntoIterator<Item = &'p PartitionSpec>, schema: &'s SchemaIndex<'s>) -> Self {
        let is_unpartitioned =
            |spec: &&PartitionSpec| spec.fields().iter().all(|field| field.transform == Transform::Void);
        Self {
            index: DeleteIndex::default(),
            added: 0,
            unpartitioned: specs.into_iter().filter(is_unpartitioned).map(PartitionSpec::id).collect(),
            schema,
            columns: HashMap::new(),
            key: Vec::new(),
        }
    }

    /// Adds a delete file. Returns its number: they count from 0 in the order of the calls.
    ///
    /// # Errors
    /// Fails if a data file has two deletion vectors, or there are too many files.
    pub fn add(&mut self, file: &DeleteFile<'_>) -> Result<u32, DeletesError> {
        let number = self.added;
        self.added = number.checked_add(1).ok_or(DeletesError::TooMany)?;
        let numbered = Numbered { sequence_number: file.sequence_number, number };
        partition_key::write(file.spec_id, file.partition, &mut self.key);
        match file.kind {
            DeleteKind::Vector(path) => {
                if self.index.vectors.insert(path.into(), numbered).is_some() {
                    return Err(DeletesError::SeveralVectors(path.to_owned()));
                }
            }
            DeleteKind::Positions(path) => self.add_positions(path, numbered, file.statistics),
            DeleteKind::Equality(ids) => {
                let deletes = EqualityDeletes { file: numbered, columns: self.columns(ids, file.statistics) };
                if self.unpartitioned.contains(&file.spec_id) {
                    self.index.global.push(deletes);
                } else {
                    self.partition().equality.push(deletes);
                }
            }
        }
        Ok(number)
    }

    fn add_positions(&mut self, path: Option<&str>, file: Numbered, statistics: &dyn FileStatistics) {
        let (lower, upper) = (statistics.lower_bound(FILE_PATH_ID), statistics.upper_bound(FILE_PATH_ID));
        let only = lower.filter(|lower| upper == Some(*lower)).and_then(|path| std::str::from_utf8(path).ok());
        if let Some(path) = path.or(only) {
            let deletes = PathDeletes { file, key: self.key.as_slice().into() };
            self.index.by_path.entry(path.into()).or_default().push(deletes);
        } else {
            let deletes = PositionDeletes { file, lower: lower.map(Into::into), upper: upper.map(Into::into) };
            self.partition().positions.push(deletes);
        }
    }

    /// Returns the deletes of the partition with the present key.
    fn partition(&mut self) -> &mut PartitionDeletes {
        self.index.by_partition.entry(self.key.as_slice().into()).or_default()
    }

    fn columns(&mut self, ids: &[i32], statistics: &dyn FileStatistics) -> Vec<(usize, ColumnValues)> {
        let mut columns = Vec::with_capacity(ids.len());
        for id in ids {
            let kind = self.schema.column(*id).and_then(|column| ValueType::from_type(column.column_type));
            let Some(kind) = kind else { continue };
            let position = *self.columns.entry(*id).or_insert_with(|| {
                self.index.columns.push((*id, kind));
                self.index.columns.len() - 1
            });
            columns.push((position, ColumnValues::read(statistics, *id, kind)));
        }
        columns
    }

    /// Returns the index.
    #[must_use]
    pub fn build(mut self) -> DeleteIndex {
        for deletes in self.index.by_partition.values_mut() {
            deletes.positions.sort_unstable_by_key(|deletes| deletes.file);
            deletes.equality.sort_unstable_by_key(|deletes| deletes.file);
        }
        self.index.global.sort_unstable_by_key(|deletes| deletes.file);
        self.index
    }
}

impl DeleteIndex {
    /// Returns whether the snapshot has no delete files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty() && self.by_path.is_empty() && self.by_partition.is_empty() && self.global.is_empty()
    }

    /// Estimates the used memory, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let equality = |list: &Vec<EqualityDeletes>| list.iter().map(EqualityDeletes::size_bytes).sum::<usize>();
        let partitions = self.by_partition.iter().map(|(key, deletes)| {
            let positions = deletes.positions.iter().map(PositionDeletes::size_bytes).sum::<usize>();
            key.len() + positions + equality(&deletes.equality)
        });
        let paths = self.by_path.iter().map(|(path, deletes)| {
            path.len() + deletes.iter().map(|one| size_of_val(one) + one.key.len()).sum::<usize>()
        });
        let vectors = self.vectors.keys().map(|path| path.len());
        table_bytes(&self.vectors)
            + table_bytes(&self.by_path)
            + table_bytes(&self.by_partition)
            + vectors.chain(paths).chain(partitions).sum::<usize>()
            + equality(&self.global)
            + size_of_val(self.columns.as_slice())
    }

    /// Replaces `found` by the numbers of the delete files that apply to a data file, sorted:
    /// - the deletion vector of its path, if it is not older;
    /// - otherwise the position deletes of its partition that are not older, and may have its path;
    /// - the equality deletes of its partition, or of all partitions, that are newer. Those with other values only, by the
    ///   statistics of both files, are left out.
    pub fn find(&self, file: &DataFile<'_>, scratch: &mut Scratch, found: &mut Vec<u32>) {
        found.clear();
        if self.is_empty() {
            return;
        }
        partition_key::write(file.spec_id, file.partition, &mut scratch.key);
        scratch.columns.clear();
        scratch.columns.resize_with(self.columns.len(), || None);
        let partition = self.by_partition.get(scratch.key.as_slice());
        let vector = self.vectors.get(file.path).filter(|vector| vector.sequence_number >= file.sequence_number);
        if let Some(vector) = vector {
            found.push(vector.number);
        } else {
            self.find_positions(file, partition, &scratch.key, found);
        }
        self.find_equality(file, &self.global, scratch, found);
        if let Some(partition) = partition {
            self.find_equality(file, &partition.equality, scratch, found);
        }
        found.sort_unstable();
    }

    fn find_positions(
        &self,
        file: &DataFile<'_>,
        partition: Option<&PartitionDeletes>,
        key: &[u8],
        found: &mut Vec<u32>,
    ) {
        if let Some(partition) = partition {
            let deletes = &partition.positions;
            let first = deletes.partition_point(|deletes| deletes.file.sequence_number < file.sequence_number);
            let admits = |deletes: &&PositionDeletes| deletes.admits(file.path.as_bytes());
            found.extend(deletes[first..].iter().filter(admits).map(|deletes| deletes.file.number));
        }
        let of_path = self.by_path.get(file.path).into_iter().flatten();
        let applies =
            |deletes: &&PathDeletes| deletes.file.sequence_number >= file.sequence_number && *deletes.key == *key;
        found.extend(of_path.filter(applies).map(|deletes| deletes.file.number));
    }

    fn find_equality(
        &self,
        file: &DataFile<'_>,
        deletes: &[EqualityDeletes],
        scratch: &mut Scratch,
        found: &mut Vec<u32>,
    ) {
        let first = deletes.partition_point(|deletes| deletes.file.sequence_number <= file.sequence_number);
        for deletes in &deletes[first..] {
            let may_share = deletes.columns.iter().all(|(position, deleted)| {
                let (id, kind) = self.columns[*position];
                let values =
                    scratch.columns[*position].get_or_insert_with(|| ColumnValues::read(file.statistics, id, kind));
                values.may_share(deleted)
            });
            if may_share {
                found.push(deletes.file.number);
            }
        }
    }
}

/// Returns the memory of a map's own table, in bytes: a control byte for each place.
fn table_bytes<K, V>(map: &HashMap<K, V>) -> usize {
    map.capacity() * (size_of::<(K, V)>() + 1)
}

impl EqualityDeletes {
    fn size_bytes(&self) -> usize {
        size_of_val(self)
            + self.columns.iter().map(|(_, values)| size_of::<usize>() + values.size_bytes()).sum::<usize>()
    }
}

impl PositionDeletes {
    fn size_bytes(&self) -> usize {
        let bounds = [&self.lower, &self.upper];
        size_of_val(self) + bounds.into_iter().flatten().map(|bound| bound.len()).sum::<usize>()
    }

    /// Returns whether the bounds admit a path. An upper bound that was cut off admits the paths that start with it.
    fn admits(&self, path: &[u8]) -> bool {
        self.lower.as_deref().is_none_or(|lower| lower <= path)
            && self.upper.as_deref().is_none_or(|upper| path <= upper || path.starts_with(upper))
    }
}
