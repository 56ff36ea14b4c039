//! The deletes of a scan: which delete files apply to a data file.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tidewater_core::scan::deletes::{DataFile, Scratch};
use tidewater_manifests::{Entry, ManifestFile};

use super::error::PlanError;
use super::indexed::{DeleteManifest, Indexed, entries_of};
use super::reader::TableReader;
use crate::config::PlanningConfig;
use crate::manifests::Held;

/// How many manifests are read at the same time for one request.
pub(super) const READS_AT_ONCE: usize = 8;

/// The delete files of a scan.
#[derive(Debug, Default)]
pub(super) struct Deletes(Option<Indexes>);

#[derive(Debug)]
struct Indexes {
    manifests: Arc<[DeleteManifest]>,
    indexed: Arc<Held<Indexed>>,
}

impl Deletes {
    /// Creates the deletes of a scan from their manifests and the index of their files.
    pub(super) const fn new(manifests: Arc<[DeleteManifest]>, indexed: Arc<Held<Indexed>>) -> Self {
        Self(Some(Indexes { manifests, indexed }))
    }

    /// Reads delete manifests.
    ///
    /// # Errors
    /// `Unsupported` if they exceed the limits; those of reading.
    pub(super) async fn read(
        reader: &TableReader,
        files: Vec<ManifestFile>,
        limits: &PlanningConfig,
    ) -> Result<Vec<DeleteManifest>, PlanError> {
        let check = |bytes: u64| {
            let message = || {
                format!(
                    "The scan's delete manifests have {bytes} bytes, of {} allowed: an administrator can raise the limit with the setting 'planning.max_bytes'",
                    limits.max_bytes
                )
            };
            if bytes > limits.max_bytes { Err(PlanError::Unsupported(message())) } else { Ok(()) }
        };
        check(files.iter().map(length_bytes).fold(0, u64::saturating_add))?;
        let read = |file: ManifestFile| async move {
            let manifest = reader.manifest(&file.path).await?;
            Ok::<_, PlanError>(DeleteManifest { file, manifest })
        };
        let mut reads = stream::iter(files.into_iter().map(read)).buffered(READS_AT_ONCE);
        let (mut manifests, mut bytes) = (Vec::new(), 0);
        while let Some(one) = reads.try_next().await? {
            // The list may name another length.
            bytes += one.manifest.file_bytes();
            check(bytes)?;
            manifests.push(one);
        }
        Ok(manifests)
    }

    /// Replaces `found` by the numbers of the delete files that apply to a data file, sorted.
    pub(super) fn find(&self, file: &DataFile<'_>, scratch: &mut Scratch, found: &mut Vec<u32>) {
        match &self.0 {
            Some(all) => all.indexed.index.find(file, scratch, found),
            None => found.clear(),
        }
    }

    /// Calls `with` with the entry of a delete file, and the id of its partition spec.
    ///
    /// # Errors
    /// Those of `with`.
    pub(super) fn entry<T>(
        &self,
        number: u32,
        with: impl FnOnce(&Entry<'_>, i32) -> Result<T, PlanError>,
    ) -> Result<Option<T>, PlanError> {
        let Some(Indexes { manifests, indexed }) = &self.0 else { return Ok(None) };
        let Some((manifest, row)) = indexed.places.get(number as usize) else { return Ok(None) };
        let DeleteManifest { file, manifest } = &manifests[*manifest as usize];
        let entries = entries_of(manifest, file)?;
        entries.get(*row as usize).map(|entry| with(&entry, file.spec_id)).transpose()
    }
}

/// Returns the length of a manifest as its list says, in bytes.
pub(super) fn length_bytes(file: &ManifestFile) -> u64 {
    u64::try_from(file.length).unwrap_or_default()
}
