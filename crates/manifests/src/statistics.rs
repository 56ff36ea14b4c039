//! The statistics of all files of a manifest, by column (specification, "Manifest Entry Fields").

use std::collections::HashMap;

use crate::blobs::{BlobColumn, BlobsBuilder};
use crate::error::ManifestError;
use crate::numbers::{Numbers, NumbersBuilder};

/// The statistics of one column of the table in all files of a manifest. Files are named by their row in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnStatistics {
    counts: [Counts; COUNT_KINDS],
    bounds: [Option<Box<BlobColumn>>; BOUND_KINDS],
}

/// The kinds of numbers that each column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountKind {
    Size,
    Value,
    Null,
    Nan,
}

/// The kinds of bounds that each column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoundKind {
    Lower,
    Upper,
}

const COUNT_KINDS: usize = 4;
const BOUND_KINDS: usize = 2;

/// A number for each file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Counts {
    /// No file has one.
    #[default]
    None,
    /// The number is that of the file's rows, in all files.
    RecordCount,
    Own(Box<Numbers>),
}

impl ColumnStatistics {
    /// Returns the lower bound in a file, in the binary single-value form.
    #[must_use]
    pub fn lower_bound(&self, row: usize) -> Option<&[u8]> {
        self.bounds[BoundKind::Lower as usize].as_ref()?.get(row)
    }

    /// Returns the upper bound in a file, in the binary single-value form.
    #[must_use]
    pub fn upper_bound(&self, row: usize) -> Option<&[u8]> {
        self.bounds[BoundKind::Upper as usize].as_ref()?.get(row)
    }

    /// Returns a number of a file with so many rows.
    pub(crate) fn count(&self, kind: CountKind, row: usize, record_count: i64) -> Option<i64> {
        match &self.counts[kind as usize] {
            Counts::None => None,
            Counts::RecordCount => Some(record_count),
            Counts::Own(numbers) => numbers.get(row),
        }
    }

    fn heap_bytes(&self) -> usize {
        let counts = self.counts.iter().map(|counts| match counts {
            Counts::Own(numbers) => size_of_val(&**numbers) + numbers.heap_bytes(),
            Counts::None | Counts::RecordCount => 0,
        });
        let bounds = self.bounds.iter().flatten().map(|bounds| size_of_val(&**bounds) + bounds.heap_bytes());
        counts.sum::<usize>() + bounds.sum::<usize>()
    }
}

/// The statistics of all columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    /// The field ids, in order.
    ids: Box<[i32]>,
    columns: Box<[ColumnStatistics]>,
}

impl Statistics {
    /// Returns the columns with statistics, by field id in order.
    pub(crate) fn field_ids(&self) -> &[i32] {
        &self.ids
    }

    /// Returns the statistics of a column.
    #[inline]
    pub(crate) fn column(&self, field_id: i32) -> Option<&ColumnStatistics> {
        // Most tables' ids have no gaps, so that the position follows from the id.
        let guess = usize::try_from(field_id.wrapping_sub(*self.ids.first()?)).unwrap_or(usize::MAX);
        let position = match self.ids.get(guess) {
            Some(id) if *id == field_id => guess,
            _ => self.ids.binary_search(&field_id).ok()?,
        };
        self.columns.get(position)
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter().map(ColumnStatistics::heap_bytes).sum::<usize>();
        size_of_val(&*self.ids) + size_of_val(&*self.columns) + columns
    }
}

/// Collects one kind of statistics, column by column.
#[derive(Debug)]
struct Family<B> {
    ids: Vec<i32>,
    builders: Vec<B>,
    positions: HashMap<i32, usize>,
    /// The position of the column that is expected next: entries have their columns in the same order.
    next: usize,
}

impl<B> Default for Family<B> {
    fn default() -> Self {
        Self { ids: Vec::new(), builders: Vec::new(), positions: HashMap::new(), next: 0 }
    }
}

impl<B: Default> Family<B> {
    #[inline]
    fn column(&mut self, id: i32, most: u32) -> Result<&mut B, ManifestError> {
        let position = match self.ids.get(self.next) {
            Some(expected) if *expected == id => self.next,
            _ => self.find(id, most)?,
        };
        self.next = position + 1;
        Ok(&mut self.builders[position])
    }

    fn find(&mut self, id: i32, most: u32) -> Result<usize, ManifestError> {
        if let Some(position) = self.positions.get(&id) {
            return Ok(*position);
        }
        if self.ids.len() >= most as usize {
            return Err(ManifestError::TooManyColumns(most));
        }
        self.positions.insert(id, self.ids.len());
        self.ids.push(id);
        self.builders.push(B::default());
        Ok(self.ids.len() - 1)
    }

    fn into_columns(self) -> impl Iterator<Item = (i32, B)> {
        self.ids.into_iter().zip(self.builders)
    }
}

/// Collects the statistics of a manifest, file by file.
#[derive(Debug)]
pub(crate) struct StatisticsBuilder {
    counts: [Family<NumbersBuilder>; COUNT_KINDS],
    bounds: [Family<BlobsBuilder>; BOUND_KINDS],
    most_columns: u32,
}

impl StatisticsBuilder {
    /// Creates a builder for at most so many columns.
    pub(crate) fn new(most_columns: u32) -> Self {
        Self { counts: Default::default(), bounds: Default::default(), most_columns }
    }

    /// Begins with the columns of another file.
    pub(crate) fn begin_counts(&mut self, kind: CountKind) {
        self.counts[kind as usize].next = 0;
    }

    /// Begins with the columns of another file.
    pub(crate) fn begin_bounds(&mut self, kind: BoundKind) {
        self.bounds[kind as usize].next = 0;
    }

    /// Sets a number of a column. A negative one means that it is unknown.
    #[inline]
    pub(crate) fn set_count(&mut self, kind: CountKind, id: i32, row: u32, count: i64) -> Result<(), ManifestError> {
        if count >= 0 {
            self.counts[kind as usize].column(id, self.most_columns)?.set(row, count);
        }
        Ok(())
    }

    /// Sets a bound of a column.
    #[inline]
    pub(crate) fn set_bound(&mut self, kind: BoundKind, id: i32, row: u32, bound: &[u8]) -> Result<(), ManifestError> {
        self.bounds[kind as usize].column(id, self.most_columns)?.set(row, bound);
        Ok(())
    }

    /// Returns the statistics of so many files, with these numbers of rows.
    pub(crate) fn finish(self, rows: usize, record_counts: Option<&Numbers>) -> Statistics {
        let mut columns: HashMap<i32, ColumnStatistics> = HashMap::new();
        for (kind, family) in self.counts.into_iter().enumerate() {
            for (id, builder) in family.into_columns() {
                if let Some(numbers) = builder.finish(rows) {
                    let counts = match record_counts == Some(&numbers) {
                        true => Counts::RecordCount,
                        false => Counts::Own(Box::new(numbers)),
                    };
                    columns.entry(id).or_default().counts[kind] = counts;
                }
            }
        }
        for (kind, family) in self.bounds.into_iter().enumerate() {
            for (id, builder) in family.into_columns() {
                let bounds = builder.finish(rows).map(Box::new);
                columns.entry(id).or_default().bounds[kind] = bounds;
            }
        }
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_unstable_by_key(|(id, _)| *id);
        let (ids, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        Statistics { ids: ids.into(), columns: columns.into() }
    }
}
