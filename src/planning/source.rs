//! The manifests that a scan reads, from the manifest lists of its snapshots.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use tidewater_core::document::{Element, Snapshot};
use tidewater_core::scan::range::SourceSnapshots;
use tidewater_manifests::{Entry, ManifestContent, ManifestFile, ManifestList, Status};
use uuid::Uuid;

use super::departure::Watch;
use super::error::PlanError;
use super::position::Weighed;
use super::prepared::Prepared;
use super::reader::TableReader;
use crate::config::PlanningConfig;
use crate::heavy::Heavy;
use crate::manifests::Held;

/// About how much memory the work on a manifest of a list takes, in bytes.
const MANIFEST_BYTES: u64 = 256;

/// The manifests of a scan.
#[derive(Debug)]
pub(super) struct Source {
    /// The manifest list of a snapshot. `None` for an incremental scan: it has copies of a few manifests of many lists.
    list: Option<Arc<Held<ManifestList>>>,
    copies: Vec<ManifestFile>,
    /// The indexes of the data manifests, in the list or the copies.
    data: Vec<u32>,
    deletes: Vec<u32>,
    /// For an incremental scan: only files that these snapshots added.
    added_in: Option<HashSet<i64>>,
}

/// The manifests whose files a filter may match.
#[derive(Debug)]
pub(super) struct Matching {
    /// The data manifests.
    pub(super) data: Vec<Weighed>,
    /// The delete manifests.
    pub(super) deletes: Vec<ManifestFile>,
}

/// The part of a snapshot that names its manifests.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ManifestsOf {
    manifest_list: Option<String>,
}

impl Source {
    /// Reads the manifest lists of snapshots.
    ///
    /// # Errors
    /// `Unsupported` if there are more manifests or files than the limits, or a snapshot has no manifest list; those of reading; `Heavy`.
    pub(super) async fn read(
        reader: &TableReader,
        snapshots: &SnapshotLists,
        limits: &PlanningConfig,
        (heavy, owner, watch): (&Arc<Heavy>, Uuid, &Watch),
    ) -> Result<Self, PlanError> {
        let mut source = Self { list: None, copies: Vec::new(), data: Vec::new(), deletes: Vec::new(), added_in: None };
        if snapshots.is_incremental {
            source.added_in = Some(snapshots.lists.iter().map(|(id, _)| *id).collect());
            check(snapshots.lists.len() as u64, limits.max_manifests, "manifest lists", "planning.max_manifests")?;
        }
        let mut chosen = Choice { source, seen: HashSet::new(), files: 0, delete_files: 0 };
        for (_, path) in &snapshots.lists {
            let list = reader.list(path).await?;
            let (bytes, limits, watch) = (list.files().len() as u64 * MANIFEST_BYTES, *limits, watch.clone());
            let add = move || chosen.add(list, &limits, &watch).map(|()| chosen);
            chosen = heavy.run(owner, bytes, add).await??;
        }
        Ok(chosen.source)
    }

    /// Copies a manifest of a list that is not held. Returns its index.
    fn copy(&mut self, file: &ManifestFile) -> u32 {
        self.copies.push(file.clone());
        u32::try_from(self.copies.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns whether an incremental scan leaves out a manifest, because none of its snapshots added it.
    fn is_from_elsewhere(&self, file: &ManifestFile) -> bool {
        let added_in = |ids: &HashSet<i64>| file.added_snapshot_id.is_some_and(|id| ids.contains(&id));
        self.added_in.as_ref().is_some_and(|ids| !added_in(ids))
    }

    /// Returns a data manifest.
    pub(super) fn data(&self, index: u32) -> Option<&ManifestFile> {
        self.data.get(index as usize).and_then(|at| self.at(*at))
    }

    fn at(&self, index: u32) -> Option<&ManifestFile> {
        let files = self.list.as_ref().map_or(self.copies.as_slice(), |list| list.files());
        files.get(index as usize)
    }

    /// Returns how many manifests there are.
    pub(super) fn len(&self) -> usize {
        self.data.len() + self.deletes.len()
    }

    /// Returns the manifests whose files may match the filter. Deletes apply only to files of their partitions.
    ///
    /// # Errors
    /// `Unsupported` if a manifest has an unknown partition spec; `Heavy` if the request ends.
    pub(super) fn matching(&self, filter: &Prepared, watch: &Watch) -> Result<Matching, PlanError> {
        let (mut data, mut deletes) = (Vec::new(), Vec::new());
        for (index, at) in (0..).zip(&self.data) {
            watch.check(index)?;
            let Some(file) = self.at(*at) else { continue };
            if may_match(file, filter)? {
                data.push(Weighed { index, entries: entries(file) });
            }
        }
        for (index, at) in (0..).zip(&self.deletes) {
            watch.check(index)?;
            let Some(file) = self.at(*at) else { continue };
            if may_match(file, filter)? {
                deletes.push(file.clone());
            }
        }
        Ok(Matching { data, deletes })
    }

    /// Returns whether the scan reads the file of an entry.
    pub(super) fn has(&self, entry: &Entry<'_>) -> bool {
        match (&self.added_in, entry.status()) {
            (_, Status::Deleted) | (Some(_), Status::Existing) => false,
            (None, _) => true,
            (Some(added_in), Status::Added) => entry.snapshot_id().is_some_and(|id| added_in.contains(&id)),
        }
    }
}

/// The manifests of the lists that were read.
struct Choice {
    source: Source,
    /// Their locations.
    seen: HashSet<Box<str>>,
    files: u64,
    delete_files: u64,
}

impl Choice {
    /// Adds the manifests of a list.
    ///
    /// # Errors
    /// `Unsupported` if there are more manifests or files than the limits; `Heavy` if the request ends.
    fn add(&mut self, list: Arc<Held<ManifestList>>, limits: &PlanningConfig, watch: &Watch) -> Result<(), PlanError> {
        let Self { source, seen, files, delete_files } = self;
        let is_incremental = source.added_in.is_some();
        for (index, file) in (0..).zip(list.files()) {
            watch.check(index)?;
            let is_left_out = is_incremental && file.content == ManifestContent::Deletes;
            // The newest list comes first: it has the row ids that an older one may lack.
            if is_left_out || source.is_from_elsewhere(file) || !seen.insert(file.path.clone()) {
                continue;
            }
            let index = if is_incremental { source.copy(file) } else { index };
            let (manifests, live) = match file.content {
                ManifestContent::Data => (&mut source.data, &mut *files),
                ManifestContent::Deletes => (&mut source.deletes, &mut *delete_files),
            };
            manifests.push(index);
            *live += live_files(file).unwrap_or_default();
            // At each, since a list can have a million.
            check(source.len() as u64, limits.max_manifests, "manifests", "planning.max_manifests")?;
        }
        check(*files, limits.max_files, "data files", "planning.max_files")?;
        check(*delete_files, limits.max_delete_files, "delete files", "planning.max_delete_files")?;
        if !is_incremental {
            source.list = Some(list);
        }
        Ok(())
    }
}

fn may_match(file: &ManifestFile, filter: &Prepared) -> Result<bool, PlanError> {
    // A list of the first format version may lack the partition's summaries, and the numbers of files.
    Ok(live_files(file) != Some(0) && filter.spec(file.spec_id)?.inclusive.may_match_summaries(&file.partitions))
}

/// Returns how many files of a manifest belong to the table, if its list says so.
fn live_files(file: &ManifestFile) -> Option<u64> {
    let number = |count: Option<i32>| count.and_then(|count| u64::try_from(count).ok());
    Some(number(file.added_files_count)? + number(file.existing_files_count)?)
}

/// Returns how many entries a manifest has, if its list says so.
fn entries(file: &ManifestFile) -> Option<u32> {
    let deleted = u64::try_from(file.deleted_files_count?).ok()?;
    u32::try_from(live_files(file)? + deleted).ok()
}

/// Fails if a snapshot has more of something than a limit.
fn check(count: u64, limit: u64, what: &str, setting: &str) -> Result<(), PlanError> {
    if count <= limit {
        return Ok(());
    }
    let message = format!(
        "The scan has more {what} than the {limit} that this server plans: an administrator can raise the limit with the setting '{setting}'"
    );
    Err(PlanError::Unsupported(message))
}

/// The manifest lists of a scan's snapshots.
#[derive(Debug)]
pub(super) struct SnapshotLists {
    /// The ids of the snapshots, each with the location of its manifest list.
    lists: Vec<(i64, String)>,
    is_incremental: bool,
}

impl SnapshotLists {
    /// Finds the manifest lists of snapshots.
    ///
    /// # Errors
    /// `Unsupported` if a snapshot has no manifest list, as the first format version allows.
    pub(super) fn new(snapshots: &SourceSnapshots<'_>) -> Result<Self, PlanError> {
        let (snapshots, is_incremental) = match snapshots {
            SourceSnapshots::Empty => (&[][..], false),
            SourceSnapshots::At(snapshot) => (std::slice::from_ref(snapshot), false),
            SourceSnapshots::Appended(snapshots) => (snapshots.as_slice(), true),
        };
        let list = |snapshot: &Element<'_, Snapshot>| list_of(snapshot).map(|list| (snapshot.id, list));
        let lists = snapshots.iter().map(list).collect::<Result<_, _>>()?;
        Ok(Self { lists, is_incremental })
    }
}

fn list_of(snapshot: &Element<'_, Snapshot>) -> Result<String, PlanError> {
    let found = serde_json::from_str::<ManifestsOf>(snapshot.json).ok().and_then(|named| named.manifest_list);
    found.ok_or_else(|| PlanError::Unsupported(format!("Snapshot {} has no manifest list", snapshot.id)))
}
