//! A scan: goes through its data manifests, and makes the text of its answer.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tidewater_manifests::Manifest;
use uuid::Uuid;

use super::deletes::{READS_AT_ONCE, length_bytes};
use super::error::PlanError;
use super::position::{Position, Weighed};
use super::reader::TableReader;
use super::work::{Context, Stops, Work};
use crate::heavy::Heavy;
use crate::manifests::Held;

/// How many entries a slice looks at.
const SLICE_ENTRIES: u32 = 8_192;

/// About how much memory the work on an entry takes, in bytes. It decides whether a slice goes to a worker.
pub(super) const ENTRY_BYTES: u64 = 256;

/// A data manifest that was read, or the reason why not.
type Read = (Weighed, Result<Arc<Held<Manifest>>, PlanError>);

/// The data manifests of a scan between two places, and its answer.
pub(super) struct Scan {
    context: Arc<Context>,
    reader: TableReader,
    heavy: Arc<Heavy>,
    owner: Uuid,
    position: Position,
    end: Position,
    /// The manifests that are not begun.
    manifests: VecDeque<Weighed>,
    /// The reads that have begun, in the order of their manifests.
    reads: FuturesOrdered<BoxFuture<'static, Read>>,
    present: Option<(Weighed, Arc<Held<Manifest>>)>,
    work: Box<Work>,
    read_bytes: u64,
    max_bytes: u64,
}

/// Why a scan paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// The last manifest is done.
    End,
    /// A stop is reached, or the time is over.
    Stop,
}

impl Scan {
    /// Creates a scan of the data manifests from `from` to `end`.
    pub(super) fn new(
        context: Arc<Context>,
        reader: TableReader,
        (heavy, owner): (&Arc<Heavy>, Uuid),
        (from, end): (Position, Position),
        max_bytes: u64,
    ) -> Self {
        let is_within = |manifest: &&Weighed| manifest.index >= from.manifest && Position::before(manifest.index) < end;
        let manifests = context.matching.iter().filter(is_within).copied().collect();
        let (heavy, reads) = (Arc::clone(heavy), FuturesOrdered::new());
        let (position, work) = (from, Box::default());
        Self {
            context,
            reader,
            heavy,
            owner,
            position,
            end,
            manifests,
            reads,
            present: None,
            work,
            read_bytes: 0,
            max_bytes,
        }
    }

    /// Returns the place that the scan has reached.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// Returns the answer so far.
    pub(super) const fn work(&self) -> &Work {
        &self.work
    }

    /// Returns how many bytes of manifests were read, or are being read.
    pub(super) const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Returns the manifests that are not done: the present one, and all behind it.
    pub(super) fn rest(&self) -> Vec<Weighed> {
        let is_left = |manifest: &&Weighed| manifest.index >= self.position.manifest;
        self.context.matching.iter().filter(is_left).copied().collect()
    }

    /// Takes the text of the answer so far.
    pub(super) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.work.text)
    }

    /// Appends tasks until the end or a stop, or until `goes_on` returns false.
    ///
    /// # Errors
    /// Those of reading and writing; `Unsupported` if the manifests are larger than the limit.
    pub(super) async fn fill(&mut self, stops: &Stops, goes_on: impl Fn(&Self) -> bool) -> Result<Pause, PlanError> {
        loop {
            if self.work.is_enough(stops) || !goes_on(self) {
                return Ok(if self.is_at_end() { Pause::End } else { Pause::Stop });
            }
            let Some((manifest, read)) = self.open().await? else { return Ok(Pause::End) };
            let len = u32::try_from(read.len()).unwrap_or(u32::MAX);
            let last = if manifest.index == self.end.manifest { self.end.entry.min(len) } else { len };
            let from = self.position.entry;
            if from >= last {
                self.leave(manifest);
                continue;
            }
            let to = last.min(from.saturating_add(SLICE_ENTRIES));
            let reached = self.slice(manifest, read, (from, to), stops).await?;
            self.position.entry = reached;
            if reached >= last {
                self.leave(manifest);
            } else if reached < to {
                return Ok(Pause::Stop);
            }
        }
    }

    /// Appends the text of the delete files that the answer needs, about `bytes` bytes. Returns whether all are written.
    ///
    /// # Errors
    /// `Unsupported` if a file cannot be written; `Heavy` if the request ends.
    pub(super) async fn write_deletes(&mut self, bytes: usize) -> Result<bool, PlanError> {
        let size = self.work.unwritten_bytes().min(bytes) as u64;
        let (context, mut work) = (Arc::clone(&self.context), std::mem::take(&mut self.work));
        let write = move || work.write_deletes(&context, bytes).map(|all| (work, all));
        let (work, all) = self.heavy.run(self.owner, size, write).await??;
        self.work = work;
        Ok(all)
    }

    fn is_at_end(&self) -> bool {
        self.present.is_none() && self.reads.is_empty() && self.manifests.is_empty()
    }

    /// Returns the present manifest, or the next one. `None` at the end.
    async fn open(&mut self) -> Result<Option<(Weighed, Arc<Held<Manifest>>)>, PlanError> {
        if let Some((manifest, read)) = &self.present {
            return Ok(Some((*manifest, Arc::clone(read))));
        }
        while self.reads.len() < READS_AT_ONCE {
            let Some(manifest) = self.manifests.pop_front() else { break };
            self.read(manifest)?;
        }
        let Some((manifest, read)) = self.reads.next().await else { return Ok(None) };
        let read = read?;
        // The list may name another length.
        let expected_bytes = self.context.source.data(manifest.index).map_or(0, length_bytes);
        self.add_read_bytes(read.file_bytes().saturating_sub(expected_bytes))?;
        if manifest.index > self.position.manifest {
            self.position = Position::before(manifest.index);
        }
        self.work.begin(&read);
        self.present = Some((manifest, Arc::clone(&read)));
        Ok(Some((manifest, read)))
    }

    /// Begins to read a manifest.
    fn read(&mut self, manifest: Weighed) -> Result<(), PlanError> {
        let Some(file) = self.context.source.data(manifest.index) else { return Ok(()) };
        let (reader, path, bytes) = (self.reader.clone(), file.path.clone(), length_bytes(file));
        self.add_read_bytes(bytes)?;
        self.reads.push_back(async move { (manifest, reader.manifest(&path).await) }.boxed());
        Ok(())
    }

    fn add_read_bytes(&mut self, bytes: u64) -> Result<(), PlanError> {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        if self.read_bytes > self.max_bytes {
            let message = format!(
                "The scan reads manifests of more than {} bytes: an administrator can raise the limit with the setting 'planning.max_bytes'",
                self.max_bytes
            );
            return Err(PlanError::Unsupported(message));
        }
        Ok(())
    }

    fn leave(&mut self, manifest: Weighed) {
        self.present = None;
        self.position = Position::before(manifest.index + 1);
    }

    async fn slice(
        &mut self,
        manifest: Weighed,
        read: Arc<Held<Manifest>>,
        (from, to): (u32, u32),
        stops: &Stops,
    ) -> Result<u32, PlanError> {
        let (context, stops, mut work) = (Arc::clone(&self.context), *stops, std::mem::take(&mut self.work));
        let bytes = u64::from(to - from) * ENTRY_BYTES;
        let slice = move || {
            let Some(file) = context.source.data(manifest.index) else { return Ok((work, to)) };
            work.slice(&context, (file, &read), (from, to), &stops).map(|reached| (work, reached))
        };
        let (work, reached) = self.heavy.run(self.owner, bytes, slice).await??;
        self.work = work;
        Ok(reached)
    }
}
