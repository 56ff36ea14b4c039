//! The files of one manifest after the other: compared with the filter, and written as the tasks of an answer. It runs on the workers for heavy
//! work, a slice at a time.

use std::collections::HashMap;
use std::sync::Arc;

use tidewater_core::scan::answer::{write_delete_file, write_task};
use tidewater_core::scan::bound::Bound;
use tidewater_core::scan::deletes::{DataFile, Scratch};
use tidewater_core::scan::metrics::may_match;
use tidewater_core::scan::residual::write_json;
use tidewater_core::scan::statistics::{FileStatistics, Partition, Unknown};
use tidewater_manifests::{Entry, Manifest, ManifestFile, RowIds};

use super::content::Buffers;
use super::deletes::Deletes;
use super::departure::Watch;
use super::error::PlanError;
use super::indexed::unreadable;
use super::position::Weighed;
use super::prepared::{Prepared, Rest, SpecFilter, Verdict};
use super::source::Source;

/// The most memory of remembered residuals, in bytes. A filter may be long, and a manifest may have many partitions.
const MAX_REMEMBERED_BYTES: usize = 8 << 20;

/// About how many bytes a delete file takes in an answer.
const DELETE_FILE_BYTES: usize = 400;

/// What a scan reads, and how. All its slices share it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) source: Source,
    /// The data manifests that the filter admits.
    pub(super) matching: Vec<Weighed>,
    pub(super) filter: Prepared,
    pub(super) deletes: Deletes,
    pub(super) watch: Watch,
}

/// Where a slice ends before its last entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stops {
    /// The most files of the whole answer.
    pub(super) files: u64,
    /// How many bytes of text are enough for now.
    pub(super) bytes: usize,
    /// Whether delete files that are not written yet count among the bytes.
    pub(super) counts_deletes: bool,
    /// How many certain rows of the whole answer are enough.
    pub(super) rows: Option<u64>,
}

/// The answer so far, and memory that slices use again.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The text of tasks, joined by commas, as far as it was not taken.
    pub(super) text: Vec<u8>,
    /// The files in the answer.
    pub(super) files: u64,
    /// The data files that were compared with the filter.
    pub(super) considered: u64,
    /// The rows of files all of whose rows match.
    pub(super) rows: u64,
    /// The delete files that the answer needs, in the order of its list, by their numbers.
    referenced: Vec<u32>,
    /// The positions of delete files in the answer's list, by their numbers.
    positions: HashMap<u32, u32>,
    /// How many of the referenced delete files are written.
    written: usize,
    /// The row ids that the entries of the present manifest inherit, once a slice needed them.
    row_ids: Option<RowIds>,
    verdicts: Verdicts,
    buffers: Buffers,
    scratch: Scratch,
    found: Vec<u32>,
    references: Vec<u32>,
}

/// What the filter says about the partitions of the present manifest.
#[derive(Debug, Default)]
struct Verdicts {
    by_index: Vec<Option<Verdict>>,
    bytes: usize,
}

impl Work {
    /// Starts another manifest.
    pub(super) fn begin(&mut self, manifest: &Manifest) {
        self.verdicts.by_index.clear();
        self.verdicts.by_index.resize(manifest.partition_count(), None);
        self.verdicts.bytes = 0;
        self.row_ids = None;
    }

    /// Looks at the entries of a manifest from `from` to `to`. Returns the entry at which it ends, which is before `to` if a stop is reached.
    ///
    /// # Errors
    /// `Unsupported` if a file cannot be written; `Heavy` if the request ends.
    pub(super) fn slice(
        &mut self,
        context: &Context,
        (file, manifest): (&ManifestFile, &Manifest),
        (from, to): (u32, u32),
        stops: &Stops,
    ) -> Result<u32, PlanError> {
        let row_ids = self.row_ids.get_or_insert_with(|| manifest.row_ids(file)).clone();
        let entries = manifest.entries_with(file, row_ids).map_err(|error| unreadable(file, &error))?;
        let spec = context.filter.spec(file.spec_id)?;
        for row in from..to {
            context.watch.check(row)?;
            if self.is_full(stops) {
                return Ok(row);
            }
            let Some(entry) = entries.get(row as usize) else { return Ok(to) };
            if context.source.has(&entry) {
                if !self.add(context, spec, &entry, stops)? {
                    return Ok(row);
                }
                self.considered += 1;
            }
        }
        Ok(to)
    }

    /// Returns whether the whole answer has enough files or rows.
    pub(super) fn is_enough(&self, stops: &Stops) -> bool {
        self.has_rows(stops) || self.files >= stops.files
    }

    /// Returns whether the answer has as many rows as were asked for.
    pub(super) fn has_rows(&self, stops: &Stops) -> bool {
        stops.rows.is_some_and(|rows| self.rows >= rows)
    }

    /// Returns about how many bytes the referenced delete files take that are not written.
    pub(super) fn unwritten_bytes(&self) -> usize {
        (self.referenced.len() - self.written) * DELETE_FILE_BYTES
    }

    fn is_full(&self, stops: &Stops) -> bool {
        // A plan has its delete files in the same answer. In the parts of a long answer they come at its end.
        let deletes = if stops.counts_deletes { self.unwritten_bytes() } else { 0 };
        self.is_enough(stops) || self.text.len() + deletes >= stops.bytes
    }

    /// Adds a file unless no row of it matches. Returns false if it does not fit: a plan task has it then.
    fn add(
        &mut self,
        context: &Context,
        spec: &SpecFilter,
        entry: &Entry<'_>,
        stops: &Stops,
    ) -> Result<bool, PlanError> {
        let verdict = self.verdicts.of(spec, entry)?;
        let Verdict::Kept(rest) = verdict else { return Ok(true) };
        if !may_match(rest.shows.as_ref().unwrap_or(&rest.filter), entry) {
            return Ok(true);
        }
        let hides = context.filter.hides;
        let content = self.buffers.content_file(entry, spec.spec_id, hides);
        let data = DataFile {
            path: content.path,
            sequence_number: entry.sequence_number(),
            spec_id: spec.spec_id,
            partition: content.partition,
            // Without statistics, a delete file applies unless its partition excludes it.
            statistics: if hides { &Unknown } else { entry },
        };
        context.deletes.find(&data, &mut self.scratch, &mut self.found);
        // One file can have a million deletes.
        let new = self.found.iter().filter(|number| !self.positions.contains_key(number)).count();
        let deletes = (self.referenced.len() - self.written + new) * DELETE_FILE_BYTES;
        if stops.counts_deletes && self.text.len() + deletes > stops.bytes {
            return Ok(false);
        }
        self.references.clear();
        for number in &self.found {
            let next = u32::try_from(self.referenced.len()).unwrap_or(u32::MAX);
            let position = *self.positions.entry(*number).or_insert_with(|| {
                self.referenced.push(*number);
                next
            });
            self.references.push(position);
        }
        if self.files > 0 {
            self.text.push(b',');
        }
        let statistics = &context.filter.statistics;
        write_task(&content, &spec.types, statistics, &self.references, &rest.json, &mut self.text).map_err(
            |error| PlanError::Unsupported(format!("Data file {} cannot be planned: {error}", content.path)),
        )?;
        self.files += 1;
        if self.references.is_empty() && rest.filter == Bound::True {
            self.rows += u64::try_from(entry.record_count()).unwrap_or_default();
        }
        Ok(true)
    }

    /// Appends the text of referenced delete files, joined by commas. Returns whether all are written; otherwise `bytes` bytes of text are
    /// there.
    ///
    /// # Errors
    /// `Unsupported` if a file cannot be written; `Heavy` if the request ends.
    pub(super) fn write_deletes(&mut self, context: &Context, bytes: usize) -> Result<bool, PlanError> {
        let Self { text, buffers, referenced, written, .. } = self;
        for (count, number) in (0..).zip(&referenced[*written..]) {
            context.watch.check(count)?;
            if text.len() >= bytes {
                return Ok(false);
            }
            if *written > 0 {
                text.push(b',');
            }
            let found = context.deletes.entry(*number, |entry, spec_id| {
                let content = buffers.content_file(entry, spec_id, context.filter.hides);
                write_delete_file(&content, &context.filter.spec(spec_id)?.types, text).map_err(|error| {
                    PlanError::Unsupported(format!("Delete file {} cannot be planned: {error}", content.path))
                })
            })?;
            debug_assert!(found.is_some(), "each number is that of a delete file");
            *written += 1;
        }
        Ok(true)
    }
}

impl Verdicts {
    /// Returns what the filter says about the partition of an entry.
    fn of(&mut self, spec: &SpecFilter, entry: &Entry<'_>) -> Result<Verdict, PlanError> {
        let index = entry.partition_index() as usize;
        if let Some(Some(known)) = self.by_index.get(index) {
            return Ok(known.clone());
        }
        let verdict = judge(spec, entry.partition())?;
        if let Verdict::Kept(rest) = &verdict {
            self.bytes += rest.json.len();
            if self.bytes > MAX_REMEMBERED_BYTES {
                self.by_index.fill(None);
                self.bytes = rest.json.len();
            }
        }
        if let Some(known) = self.by_index.get_mut(index) {
            *known = Some(verdict.clone());
        }
        Ok(verdict)
    }
}

fn judge(spec: &SpecFilter, partition: &Partition) -> Result<Verdict, PlanError> {
    if !spec.inclusive.matches(partition) {
        return Ok(Verdict::Excluded);
    }
    let filter = spec.residuals.of(partition);
    if filter == Bound::False {
        return Ok(Verdict::Excluded);
    }
    let shows = spec.visible.as_ref().map(|visible| visible.of(partition)).filter(|visible| *visible != Bound::True);
    let mut json = Vec::new();
    write_json(&filter, &mut json)
        .map_err(|error| PlanError::Unsupported(format!("The filter cannot be written for the client: {error}")))?;
    Ok(Verdict::Kept(Arc::new(Rest { filter, shows, json: json.into() })))
}
