//! Reads the entries of a manifest into columns.

use crate::avro::{AvroFile, Input, Schema, Slot};
use crate::blobs::{BlobColumn, BlobsBuilder};
use crate::error::{Limits, ManifestError};
use crate::lists::ListEncoder;
use crate::numbers::{Numbers, NumbersBuilder};
use crate::partition::{Partitions, PartitionsBuilder};
use crate::paths::{PathColumn, PathsBuilder};
use crate::plan::{LIST_COLUMNS, ListColumn, NUMBER_COLUMNS, NumberColumn, Plan, Step};
use crate::statistics::{BoundKind, CountKind, Statistics, StatisticsBuilder};
use tidewater_core::stop::Stop;

/// The most different file formats of a manifest. The specification has four.
const MAX_FORMATS: usize = 16;

/// The columns of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Columns {
    pub(crate) rows: usize,
    pub(crate) numbers: [Option<Numbers>; NUMBER_COLUMNS],
    pub(crate) lists: [Option<BlobColumn>; LIST_COLUMNS],
    pub(crate) paths: Option<PathColumn>,
    pub(crate) referenced_files: Option<PathColumn>,
    pub(crate) key_metadata: Option<BlobColumn>,
    pub(crate) format_names: Box<[Box<str>]>,
    /// The position of each entry's format in `format_names`.
    pub(crate) formats: Option<Numbers>,
    pub(crate) partitions: Partitions,
    /// The position of each entry's partition in `partitions`.
    pub(crate) partition_indexes: Option<Numbers>,
    pub(crate) statistics: Statistics,
    /// Whether an existing entry has no sequence number: it cannot inherit one.
    pub(crate) lacks_sequence_number: bool,
}

impl Columns {
    /// Reads all entries of a file.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub(crate) fn read(file: &AvroFile<'_>, limits: &Limits, stop: Stop<'_>) -> Result<Self, ManifestError> {
        let plan = Plan::new(file.schema())?;
        let partitions = PartitionsBuilder::new(file, plan.partition, limits.unpacked_bytes)?;
        let mut builder = Builder::new(partitions, limits.columns);
        // Positions in columns have 32 bits.
        let limit_bytes = limits.unpacked_bytes.min(u64::from(u32::MAX));
        file.read_records(limit_bytes, |record| {
            if builder.row % 1024 == 0 {
                stop.check()?;
            }
            if builder.row >= limits.entries {
                return Err(ManifestError::TooManyEntries(limits.entries));
            }
            builder.read(file.schema(), &plan.steps, record)?;
            builder.end_row()
        })?;
        stop.check()?;
        Ok(builder.finish())
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let numbers = self.numbers.iter().chain([&self.formats, &self.partition_indexes]).flatten();
        let blobs = self.lists.iter().chain([&self.key_metadata]).flatten();
        let paths = [&self.paths, &self.referenced_files].into_iter().flatten();
        numbers.map(Numbers::heap_bytes).sum::<usize>()
            + blobs.map(BlobColumn::heap_bytes).sum::<usize>()
            + paths.map(PathColumn::heap_bytes).sum::<usize>()
            + self.format_names.iter().map(|name| size_of_val(name) + name.len()).sum::<usize>()
            + self.partitions.heap_bytes()
            + self.statistics.heap_bytes()
    }
}

/// Collects the columns, entry by entry.
struct Builder {
    row: u32,
    numbers: [NumbersBuilder; NUMBER_COLUMNS],
    lists: [BlobsBuilder; LIST_COLUMNS],
    encoder: ListEncoder,
    paths: PathsBuilder,
    referenced_files: PathsBuilder,
    key_metadata: BlobsBuilder,
    format_names: Vec<Box<str>>,
    formats: NumbersBuilder,
    partitions: PartitionsBuilder,
    partition_indexes: NumbersBuilder,
    statistics: StatisticsBuilder,
    lacks_sequence_number: bool,
    current: Current,
}

/// What is known of the entry that is being read.
#[derive(Default)]
struct Current {
    status: Option<i64>,
    has_sequence_number: bool,
    has_path: bool,
    has_format: bool,
    has_partition: bool,
    has_record_count: bool,
    has_file_size: bool,
}

impl Builder {
    fn new(partitions: PartitionsBuilder, most_columns: u32) -> Self {
        Self {
            row: 0,
            numbers: Default::default(),
            lists: Default::default(),
            encoder: ListEncoder::default(),
            paths: PathsBuilder::default(),
            referenced_files: PathsBuilder::default(),
            key_metadata: BlobsBuilder::default(),
            format_names: Vec::new(),
            formats: NumbersBuilder::default(),
            partitions,
            partition_indexes: NumbersBuilder::default(),
            statistics: StatisticsBuilder::new(most_columns),
            lacks_sequence_number: false,
            current: Current::default(),
        }
    }

    fn read(&mut self, schema: &Schema, steps: &[Step], input: &mut Input<'_>) -> Result<(), ManifestError> {
        for step in steps {
            match step {
                Step::Skip(node) => schema.skip(*node, input)?,
                Step::Number(column, slot) => {
                    if slot.is_present(input)? {
                        let number = input.long()?;
                        self.set_number(*column, number)?;
                    }
                }
                Step::Path(slot) => {
                    if slot.is_present(input)? {
                        self.paths.set(self.row, input.text()?);
                        self.current.has_path = true;
                    }
                }
                Step::ReferencedFile(slot) => {
                    if slot.is_present(input)? {
                        self.referenced_files.set(self.row, input.text()?);
                    }
                }
                Step::Format(slot) => {
                    if slot.is_present(input)? {
                        let name = input.text()?;
                        self.set_format(name)?;
                    }
                }
                Step::Partition(slot) => {
                    if slot.is_present(input)? {
                        let index = self.partitions.read(schema, input)?;
                        self.partition_indexes.set(self.row, i64::from(index));
                        self.current.has_partition = true;
                    }
                }
                Step::KeyMetadata(slot) => {
                    if slot.is_present(input)? {
                        self.key_metadata.set(self.row, input.bytes()?);
                    }
                }
                Step::List(column, slot, item) => self.read_list(*column, *slot, *item, input)?,
                Step::Counts(kind, slot, value) => self.read_counts(*kind, *slot, *value, input)?,
                Step::Bounds(kind, slot, value) => self.read_bounds(*kind, *slot, *value, input)?,
                Step::DataFile(slot, steps) => {
                    if slot.is_present(input)? {
                        self.read(schema, steps, input)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn set_number(&mut self, column: NumberColumn, number: i64) -> Result<(), ManifestError> {
        let (field, valid) = match column {
            NumberColumn::Status => {
                self.current.status = Some(number);
                ("status", (0..=2).contains(&number))
            }
            NumberColumn::Content => ("content", (0..=2).contains(&number)),
            NumberColumn::RecordCount => {
                self.current.has_record_count = true;
                ("record_count", number >= 0)
            }
            NumberColumn::FileSize => {
                self.current.has_file_size = true;
                ("file_size_in_bytes", number >= 0)
            }
            NumberColumn::SequenceNumber => {
                self.current.has_sequence_number = true;
                ("sequence_number", true)
            }
            NumberColumn::SortOrderId => ("sort_order_id", i32::try_from(number).is_ok()),
            _ => ("", true),
        };
        if !valid {
            return Err(ManifestError::Value { field, value: number.to_string() });
        }
        self.numbers[column as usize].set(self.row, number);
        Ok(())
    }

    fn set_format(&mut self, name: &str) -> Result<(), ManifestError> {
        let known = self.format_names.iter().position(|known| known.eq_ignore_ascii_case(name));
        let position = match known {
            Some(position) => position,
            None if self.format_names.len() == MAX_FORMATS => {
                let value = name.chars().take(40).collect();
                return Err(ManifestError::Value { field: "file_format", value });
            }
            None => {
                self.format_names.push(name.to_ascii_lowercase().into());
                self.format_names.len() - 1
            }
        };
        self.formats.set(self.row, i64::try_from(position).unwrap_or_default());
        self.current.has_format = true;
        Ok(())
    }

    fn read_list(
        &mut self,
        column: ListColumn,
        slot: Slot,
        item: Slot,
        input: &mut Input<'_>,
    ) -> Result<(), ManifestError> {
        if !slot.is_present(input)? {
            return Ok(());
        }
        self.encoder.clear();
        loop {
            let count = input.block_count()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if item.is_present(input)? {
                    let number = input.long()?;
                    if column == ListColumn::EqualityIds && i32::try_from(number).is_err() {
                        return Err(ManifestError::Value { field: "equality_ids", value: number.to_string() });
                    }
                    self.encoder.push(number);
                }
            }
        }
        self.lists[column as usize].set(self.row, self.encoder.bytes());
        Ok(())
    }

    fn read_counts(
        &mut self,
        kind: CountKind,
        slot: Slot,
        value: Slot,
        input: &mut Input<'_>,
    ) -> Result<(), ManifestError> {
        if !slot.is_present(input)? {
            return Ok(());
        }
        self.statistics.begin_counts(kind);
        loop {
            let count = input.block_count()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let id = input.int()?;
                if value.is_present(input)? {
                    self.statistics.set_count(kind, id, self.row, input.long()?)?;
                }
            }
        }
    }

    fn read_bounds(
        &mut self,
        kind: BoundKind,
        slot: Slot,
        value: Slot,
        input: &mut Input<'_>,
    ) -> Result<(), ManifestError> {
        if !slot.is_present(input)? {
            return Ok(());
        }
        self.statistics.begin_bounds(kind);
        loop {
            let count = input.block_count()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let id = input.int()?;
                if value.is_present(input)? {
                    self.statistics.set_bound(kind, id, self.row, input.bytes()?)?;
                }
            }
        }
    }

    /// Checks that the entry has what the specification requires, and begins the next.
    fn end_row(&mut self) -> Result<(), ManifestError> {
        let entry = std::mem::take(&mut self.current);
        for (is_present, name) in [
            (entry.status.is_some(), "status"),
            (entry.has_path, "file_path"),
            (entry.has_format, "file_format"),
            (entry.has_record_count, "record_count"),
            (entry.has_file_size, "file_size_in_bytes"),
            (entry.has_partition || self.partitions.is_unpartitioned(), "partition"),
        ] {
            if !is_present {
                return Err(ManifestError::Missing(name));
            }
        }
        self.lacks_sequence_number |= entry.status == Some(0) && !entry.has_sequence_number;
        self.row += 1;
        Ok(())
    }

    fn finish(self) -> Columns {
        let rows = self.row as usize;
        let numbers = self.numbers.map(|builder| builder.finish(rows));
        let statistics = self.statistics.finish(rows, numbers[NumberColumn::RecordCount as usize].as_ref());
        Columns {
            rows,
            numbers,
            lists: self.lists.map(|builder| builder.finish(rows)),
            paths: self.paths.finish(rows),
            referenced_files: self.referenced_files.finish(rows),
            key_metadata: self.key_metadata.finish(rows),
            format_names: self.format_names.into(),
            formats: self.formats.finish(rows),
            partitions: self.partitions.finish(),
            partition_indexes: self.partition_indexes.finish(rows),
            statistics,
            lacks_sequence_number: self.lacks_sequence_number,
        }
    }
}
