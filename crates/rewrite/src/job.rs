//! A rewrite of one table: its input, its limits, and the objects that it has written.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;
use tidewater_core::stop::Stop;
use tidewater_manifests::{Limits, Manifest, ManifestFile, ManifestList};
use uuid::Uuid;

use crate::error::RewriteError;
use crate::files::Files;

/// The largest manifest list or manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A rewrite of one table.
pub struct Job<'a> {
    table: &'a TableMetadata,
    files: Arc<dyn Files>,
    limits: JobLimits,
    id: Uuid,
    snapshot_id: i64,
    now_ms: i64,
    stop: Stop<'a>,
    written: Vec<String>,
    discarded: Vec<String>,
    markers: u128,
}

/// The limits of a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// The most memory, in bytes, by estimate.
    pub memory_bytes: u64,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'a> Job<'a> {
    /// Creates a rewrite of `table`. `id` is unique, and names its files. `now_ms` is the time in milliseconds since 1970.
    #[must_use]
    pub fn new(
        table: &'a TableMetadata,
        files: Arc<dyn Files>,
        limits: JobLimits,
        (id, now_ms): (Uuid, i64),
        stop: Stop<'a>,
    ) -> Self {
        // As in the reference implementation, the two halves of a random number, without a sign.
        let (high, low) = id.as_u64_pair();
        let snapshot_id = ((high ^ low) & i64::MAX.cast_unsigned()).cast_signed();
        Self {
            table,
            files,
            limits,
            id,
            snapshot_id,
            now_ms,
            stop,
            written: Vec::new(),
            discarded: Vec::new(),
            markers: 0,
        }
    }

    /// Returns the locations of the objects that it has written, in order. Until a commit names them, they belong to nothing: if
    /// there is none, the caller removes them.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Ends the job. Returns the locations of the objects that it has written, and of those that no commit will name, which the
    /// caller removes.
    #[must_use]
    pub fn into_written(self) -> (Vec<String>, Vec<String>) {
        (self.written, self.discarded)
    }

    /// Gives up the objects that were written after the first `kept`.
    pub(crate) fn discard_after(&mut self, kept: usize) {
        self.discarded.extend(self.written.drain(kept..));
    }

    pub(crate) const fn table(&self) -> &'a TableMetadata {
        self.table
    }

    pub(crate) const fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    pub(crate) const fn limits(&self) -> JobLimits {
        self.limits
    }

    pub(crate) const fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) const fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    pub(crate) const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(crate) const fn stop(&self) -> Stop<'a> {
        self.stop
    }

    /// Returns a number that no other file has.
    pub(crate) fn next_marker(&mut self) -> Uuid {
        self.markers += 1;
        Uuid::from_u128(self.id.as_u128() ^ (self.markers << 64))
    }

    /// Returns how many markers were given: a number for the names of files.
    pub(crate) const fn markers(&self) -> u128 {
        self.markers
    }

    /// Returns the location of a new metadata file.
    pub(crate) fn metadata_location(&self, name: &str) -> String {
        let folder = self.table.properties().get("write.metadata.path").map(|path| path.trim_end_matches('/'));
        match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => format!("{}/metadata/{name}", self.table.location()),
        }
    }

    /// Returns the folder of new data files that replace `old`: the folder of `old`, if it belongs to the table.
    pub(crate) fn data_folder(&self, old: &str) -> String {
        let own = |folder: &str| {
            let (table, folder) = (Location::parse(self.table.location()), Location::parse(folder));
            matches!((table, folder), (Ok(table), Ok(folder)) if table.contains(&folder))
        };
        match old.rsplit_once('/') {
            Some((folder, _)) if own(folder) => folder.to_owned(),
            _ => format!("{}/data", self.table.location()),
        }
    }

    /// Remembers an object that is about to be written.
    pub(crate) fn note_written(&mut self, location: &str) {
        self.written.push(location.to_owned());
    }

    /// Writes a new object.
    pub(crate) fn write(&mut self, location: &str, content: Vec<u8>) -> Result<(), RewriteError> {
        self.stop.check()?;
        self.note_written(location);
        Ok(self.files.write(location, Bytes::from(content))?)
    }

    /// Reads a manifest list.
    pub(crate) fn read_list(&self, location: &str) -> Result<ManifestList, RewriteError> {
        self.stop.check()?;
        let limits = self.manifest_limits();
        let content = self.files.read(location, limits.unpacked_bytes)?;
        ManifestList::parse(&content, &limits, self.stop).map_err(|source| unreadable(location, source))
    }

    /// Reads a manifest.
    pub(crate) fn read_manifest(&self, file: &ManifestFile) -> Result<Manifest, RewriteError> {
        self.stop.check()?;
        let limits = self.manifest_limits();
        let content = self.files.read(&file.path, limits.unpacked_bytes)?;
        Manifest::parse(&content, &limits, self.stop).map_err(|source| unreadable(&file.path, source))
    }

    fn manifest_limits(&self) -> Limits {
        Limits { unpacked_bytes: MAX_MANIFEST_BYTES.min(self.limits.memory_bytes), ..Limits::default() }
    }
}

/// Creates the error of a manifest that cannot be read.
pub(crate) fn unreadable(location: &str, source: tidewater_manifests::ManifestError) -> RewriteError {
    use tidewater_manifests::ManifestError;
    match source {
        ManifestError::Stopped(stopped) => RewriteError::Stopped(stopped),
        source => RewriteError::Manifest { location: location.to_owned(), source },
    }
}
