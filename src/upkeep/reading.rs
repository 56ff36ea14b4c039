//! Reads manifest lists and manifests, several at a time. All runs of the server share a bound on the size of files that are read and
//! in use.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tidewater_core::location::Location;
use tidewater_core::purge::NamedFiles;
use tidewater_manifests::{Entries, Manifest, ManifestFile};
use tokio::sync::OwnedSemaphorePermit;

use super::parts::Parts;
use super::run::{Run, RunError};
use crate::manifests::{Held, ManifestError};
use crate::storage::Storage;

/// How many files one run reads at the same time.
pub(super) const READS_AT_ONCE: usize = 8;

/// The most manifests and manifest lists that all runs read and use at the same time, in MiB of their files. Parsed ones take a few
/// times as much.
pub(super) const READ_MIB: u32 = 64;

/// The share of a file whose size is not known, in MiB.
const UNKNOWN_MIB: u32 = 4;

/// A manifest in use.
pub(super) struct ReadManifest {
    path: Box<str>,
    manifest: Arc<Held<Manifest>>,
    _share: OwnedSemaphorePermit,
}

impl ReadManifest {
    /// Returns its entries. Their sequence numbers are not known.
    pub(super) fn entries(&self) -> Result<Entries<'_>, RunError> {
        // Sequence numbers do not matter here.
        let entries = self.manifest.entries(&named_manifest(&self.path));
        entries.map_err(|error| RunError::Failed(format!("cannot read {}: {error}", self.path)))
    }
}

/// Returns the share of a manifest in the memory for reading, in MiB.
fn share_mib(length_bytes: i64) -> u32 {
    let mib = u32::try_from(length_bytes >> 20).unwrap_or(READ_MIB).saturating_add(1);
    if length_bytes > 0 { mib.min(READ_MIB) } else { UNKNOWN_MIB }
}

/// Waits for a share of the memory for reading.
async fn share(parts: &Parts, mib: u32) -> Result<OwnedSemaphorePermit, ManifestError> {
    // It is never closed.
    Arc::clone(&parts.reads).acquire_many_owned(mib).await.map_err(|_| ManifestError::Missing)
}

/// Reads a manifest.
///
/// # Errors
/// All of [`ManifestError`].
pub(super) async fn open_manifest(
    parts: &Parts,
    storage: &Storage,
    file: &ManifestFile,
) -> Result<ReadManifest, ManifestError> {
    let location = Location::parse(&file.path).map_err(|_| ManifestError::Missing)?;
    let share = share(parts, share_mib(file.length)).await?;
    let manifest = parts.manifests.manifest(storage, &location).await?;
    Ok(ReadManifest { path: file.path.clone(), manifest, _share: share })
}

/// Reads the manifests that a list names. Keeps of each what a run needs: large tables have many.
///
/// # Errors
/// All of [`ManifestError`].
pub(super) async fn open_list(
    parts: &Parts,
    storage: &Storage,
    list: &str,
) -> Result<Vec<ManifestFile>, ManifestError> {
    let location = Location::parse(list).map_err(|_| ManifestError::Missing)?;
    let _share = share(parts, UNKNOWN_MIB).await?;
    let found = parts.manifests.list(storage, &location).await?;
    let slim = |file: &ManifestFile| {
        let (path, length, spec_id) = (file.path.clone(), file.length, file.spec_id);
        ManifestFile { path, length, spec_id, ..ManifestFile::default() }
    };
    Ok(found.files().iter().map(slim).collect())
}

/// Reads manifests, in any order. `None` for a missing one. The caller must not wait for anything while it has one of them or the
/// stream: others wait for their memory.
pub(super) fn read_manifests<'a>(
    run: &'a Run<'a>,
    files: Vec<ManifestFile>,
) -> impl Stream<Item = Result<(ManifestFile, Option<ReadManifest>), RunError>> + Send + 'a {
    let read = move |file: ManifestFile| async move {
        run.check_goes_on()?;
        match open_manifest(run.parts, &run.table.warehouse.storage, &file).await {
            Ok(read) => Ok((file, Some(read))),
            Err(ManifestError::Missing) if Location::parse(&file.path).is_ok() => Ok((file, None)),
            Err(error) => Err(unreadable(&file.path, &error)),
        }
    };
    stream::iter(files).map(read).buffer_unordered(READS_AT_ONCE)
}

/// Reads manifest lists, in any order. `None` for the manifests of a missing one.
pub(super) fn read_lists<'a>(
    run: &'a Run<'a>,
    lists: Vec<String>,
) -> impl Stream<Item = Result<(String, Option<Vec<ManifestFile>>), RunError>> + Send + 'a {
    let read = move |list: String| async move {
        run.check_goes_on()?;
        match open_list(run.parts, &run.table.warehouse.storage, &list).await {
            Ok(files) => Ok((list, Some(files))),
            Err(ManifestError::Missing) if Location::parse(&list).is_ok() => Ok((list, None)),
            Err(error) => Err(unreadable(&list, &error)),
        }
    };
    stream::iter(lists).map(read).buffer_unordered(READS_AT_ONCE)
}

/// Manifests by their paths.
pub(super) type Manifests = BTreeMap<Box<str>, ManifestFile>;

/// Returns the manifests of lists that exist. Missing lists were removed by an earlier run.
///
/// # Errors
/// Fails if a list cannot be read.
pub(super) async fn manifests_of(run: &Run<'_>, named: &NamedFiles) -> Result<Manifests, RunError> {
    all_manifests(run, named, |_| Ok(())).await
}

/// Returns the manifests of lists that must exist.
///
/// # Errors
/// Fails if a list is missing or cannot be read.
pub(super) async fn manifests_that_stay(run: &Run<'_>, named: &NamedFiles) -> Result<Manifests, RunError> {
    all_manifests(run, named, |list| Err(unreadable(list, &ManifestError::Missing))).await
}

async fn all_manifests(
    run: &Run<'_>,
    named: &NamedFiles,
    missing: impl Fn(&str) -> Result<(), RunError>,
) -> Result<Manifests, RunError> {
    let mut manifests = Manifests::new();
    let mut lists = std::pin::pin!(read_lists(run, named.manifest_lists.iter().cloned().collect()));
    while let Some((list, files)) = lists.try_next().await? {
        match files {
            Some(files) => manifests.extend(files.into_iter().map(|file| (file.path.clone(), file))),
            None => missing(&list)?,
        }
        check_count(run, manifests.len())?;
    }
    manifests.extend(named.manifests.iter().map(|path| (path.as_str().into(), named_manifest(path))));
    Ok(manifests)
}

/// Returns a manifest of which only the path is known (format v1).
pub(super) fn named_manifest(path: &str) -> ManifestFile {
    ManifestFile { path: path.into(), ..ManifestFile::default() }
}

/// Fails if a table has too many files for the memory of a run.
pub(super) fn check_count(run: &Run<'_>, count: usize) -> Result<(), RunError> {
    let most = run.parts.config.files_per_table;
    if count <= most {
        return Ok(());
    }
    Err(RunError::Failed(format!(
        "the table has more than {most} files: raise `maintenance.files_per_table`, which takes 10 bytes of memory for each"
    )))
}

/// Returns the error for a file without which it is not known which files the table needs.
pub(super) fn unreadable(file: &str, error: &ManifestError) -> RunError {
    let shown: String = file.chars().take(300).collect();
    RunError::Failed(format!(
        "{shown} {error}: no more files are removed, because it is not known which the table needs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_of_a_manifest_is_its_size_and_never_more_than_all() {
        let mib = 1 << 20;
        let lengths = [(1, 1), (mib - 1, 1), (mib, 2), (8 * mib, 9), (64 * mib, READ_MIB), (i64::MAX, READ_MIB)];
        for (length_bytes, wanted) in lengths.into_iter().chain([(0, UNKNOWN_MIB), (-1, UNKNOWN_MIB)]) {
            assert_eq!(share_mib(length_bytes), wanted, "{length_bytes}");
        }
    }
}
