//! Expires snapshots: a commit removes them from the table, and then their files are removed.
//!
//! Steps, each of which a kill may follow:
//! 1. The state of the lease gets the present document and the snapshots that expire.
//! 2. The commit removes the snapshots, branches and tags. It decides anew about the document that it replaces.
//! 3. Files that the removed snapshots lead to, and the current document does not, are removed: data and delete files, then
//!    manifests, lists and statistics. A file goes before the file that names it, so a repeated step finds all that are left.
//! 4. The state of the lease is empty again.
//!
//! The next run begins with step 3 if the state is not empty.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures_util::TryStreamExt;
use tidewater_core::commit::TableCommit;
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;
use tidewater_core::purge::{NamedFiles, allows_removal};
use tidewater_core::upkeep::{ExpireRules, Expired, FilePaths, KnownFiles, expire};
use tidewater_manifests::{ManifestFile, Status};

use super::reachable::{Counted, Reachable, named_files};
use super::reading::{READS_AT_ONCE, manifests_of, manifests_that_stay, read_manifests};
use super::removal::{Removal, Unneeded};
use super::run::{Run, RunError};
use crate::catalog::{CatalogError, TableEdit};
use crate::metadata::{Document, MetadataError};
use crate::store::{MaintenanceState, PendingRemoval, RunItem};

/// How many removed files are remembered, since several manifests can name the same file. Each takes about 16 bytes.
const REMEMBERED: usize = 1_000_000;

/// How many files are collected before they are removed.
const FILES_AT_ONCE: usize = 1_024;

/// The length of one snapshot's id in a commit, in bytes of JSON.
const ID_BYTES: u64 = 21;

/// The commit of an expiry.
struct ExpireEdit {
    rules: ExpireRules,
}

impl TableEdit for ExpireEdit {
    fn name(&self) -> &'static str {
        "expire-snapshots"
    }

    fn commit(&self, base: &TableMetadata, now_ms: i64) -> Result<Option<TableCommit>, CatalogError> {
        if !allows_removal(base.properties()) {
            return Ok(None);
        }
        let expired = expire(base, &self.rules, now_ms);
        let bytes = expired.snapshots.len() as u64 * ID_BYTES;
        Ok((!expired.is_empty()).then(|| TableCommit::from_updates(Vec::new(), expired.updates(), bytes)))
    }
}

/// Runs the operation.
pub(super) async fn run(run: &Run<'_>) -> Result<(), RunError> {
    if !run.is_dry() {
        finish_pending(run).await?;
    }
    let document = run.document().await?;
    let rules = run.policy(&document)?.expire_rules();
    let expired = expire(&document.metadata, &rules, run.parts.clock.now_ms());
    if expired.is_empty() {
        return Ok(());
    }
    if run.is_dry() {
        note(run, &expired);
        let removed = ids(&expired);
        return remove_files(run, &document, &removed, &Kept::Without(&removed)).await;
    }
    run.check_goes_on()?;
    hold_pending(run, Some(PendingRemoval { base: document.location.clone(), snapshots: id_list(&expired) })).await?;
    let edited = run.edit(Arc::new(ExpireEdit { rules })).await?;
    let Some(replaced) = edited.replaced else { return hold_pending(run, None).await };
    let base = run.parts.documents.get(&run.table.warehouse.storage, &replaced).await?;
    let gone = removed_by(&base.metadata, &edited.document.metadata);
    note_removed(run, &base.metadata, &edited.document.metadata, &expired);
    hold_pending(run, Some(PendingRemoval { base: replaced, snapshots: gone.iter().copied().collect() })).await?;
    finish_pending(run).await
}

/// What stays, for the search of unneeded files.
enum Kept<'a> {
    /// All snapshots of the current document.
    Current,
    /// All snapshots of the current document except these, which a dry run keeps.
    Without(&'a HashSet<i64>),
}

fn ids(expired: &Expired) -> HashSet<i64> {
    expired.snapshots.iter().map(|snapshot| snapshot.id).collect()
}

fn id_list(expired: &Expired) -> Vec<i64> {
    expired.snapshots.iter().map(|snapshot| snapshot.id).collect()
}

fn removed_by(base: &TableMetadata, next: &TableMetadata) -> HashSet<i64> {
    let left: HashSet<i64> = next.snapshots().iter().map(|snapshot| snapshot.id).collect();
    base.snapshots().iter().map(|snapshot| snapshot.id).filter(|id| !left.contains(id)).collect()
}

/// Records what expires.
fn note(run: &Run<'_>, expired: &Expired) {
    run.note(|details| {
        details.snapshots = expired.snapshots.len() as u64;
        details.refs = expired.refs.len() as u64;
    });
    for one in &expired.refs {
        let age =
            one.age_ms.map_or_else(|| "its snapshot is missing".to_owned(), |age_ms| format!("its age is {age_ms} ms"));
        run.add_item(|| RunItem {
            kind: one.kind.to_string(),
            name: one.name.clone(),
            reason: age,
            bytes: None,
            at_ms: None,
        });
    }
    for snapshot in &expired.snapshots {
        run.add_item(|| RunItem {
            kind: "snapshot".to_owned(),
            name: snapshot.id.to_string(),
            reason: snapshot.reason.as_str().to_owned(),
            bytes: None,
            at_ms: Some(snapshot.timestamp_ms),
        });
    }
}

/// Records what the commit removed, which may be more than was expected before.
fn note_removed(run: &Run<'_>, base: &TableMetadata, next: &TableMetadata, expected: &Expired) {
    note(run, expected);
    let snapshots = removed_by(base, next).len() as u64;
    let refs = base.refs().keys().filter(|name| !next.refs().contains_key(*name)).count() as u64;
    run.note(|details| (details.snapshots, details.refs) = (snapshots, refs));
}

async fn hold_pending(run: &Run<'_>, pending: Option<PendingRemoval>) -> Result<(), RunError> {
    change_state(run, |state| (state.pending, state.pending_tries) = (pending, 0)).await
}

async fn change_state(run: &Run<'_>, change: impl FnOnce(&mut MaintenanceState)) -> Result<(), RunError> {
    match run.held.change_state(change).await? {
        true => Ok(()),
        false => Err(RunError::Stopped("another server has taken over: it continues")),
    }
}

/// Removes the files of snapshots that a commit has removed, if there are any.
async fn finish_pending(run: &Run<'_>) -> Result<(), RunError> {
    let Some(pending) = run.held.state().pending else { return Ok(()) };
    // A removal that fails again and again is begun after longer and longer pauses.
    change_state(run, |state| state.pending_tries = state.pending_tries.saturating_add(1)).await?;
    match run.parts.documents.get(&run.table.warehouse.storage, &pending.base).await {
        Ok(base) => {
            let wanted = pending.snapshots.iter().copied().collect();
            remove_files(run, &base, &wanted, &Kept::Current).await?;
        }
        // Its files are orphans by now.
        Err(MetadataError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    hold_pending(run, None).await
}

/// Removes the files that the snapshots `wanted` of `base` lead to, and nothing that stays does. Snapshots that are in the current
/// document stay.
async fn remove_files(run: &Run<'_>, base: &Document, wanted: &HashSet<i64>, kept: &Kept<'_>) -> Result<(), RunError> {
    let current = run.document().await?;
    let present: HashSet<i64> = current.metadata.snapshots().iter().map(|snapshot| snapshot.id).collect();
    let (staying, gone) = match kept {
        Kept::Current => (named_files(run, &current).await?, wanted.difference(&present).copied().collect()),
        Kept::Without(gone) => {
            let left = present.difference(gone).copied().collect();
            (of_snapshots(&current.metadata, &left)?, (*gone).clone())
        }
    };
    let named = without(of_snapshots(&base.metadata, &gone)?, &staying);
    let mut manifests = manifests_of(run, &named).await?;
    let removal = Removal::new(run, run.own_locations(&current).await?).await;
    let reachable = needed_files(run, &current, &staying, &mut manifests).await?;
    remove_data_files(run, &removal, manifests.values(), reachable.files()).await?;
    let still_unneeded = |files: BTreeSet<String>| -> BTreeSet<String> {
        let is_needed = |file: &String| Location::parse(file).is_ok_and(|place| reachable.files().contains(&place));
        files.into_iter().filter(|file| !is_needed(file)).collect()
    };
    let paths = manifests.keys().map(ToString::to_string).collect();
    for (files, reason) in [
        (named.statistics, "statistics of expired snapshots"),
        (paths, "manifest of expired snapshots"),
        (named.manifest_lists, "manifest list of an expired snapshot"),
    ] {
        removal.remove_named(&still_unneeded(files), reason).await?;
        removal.check_failures()?;
    }
    Ok(())
}

/// Returns the files that stay, and removes the manifests that stay from `manifests`. Without any left, only lists and statistics are
/// unneeded, and no manifest has to be read unless another commit was made meanwhile.
async fn needed_files<'a>(
    run: &'a Run<'a>,
    current: &Document,
    staying: &NamedFiles,
    manifests: &mut BTreeMap<Box<str>, ManifestFile>,
) -> Result<Reachable<'a, FilePaths>, RunError> {
    let mut reachable = Reachable::new(run, Counted::Live, FilePaths::default());
    let stays = manifests_that_stay(run, staying).await?;
    manifests.retain(|path, _| !stays.contains_key(path));
    if !manifests.is_empty() {
        reachable.add_manifests(stays.into_values().collect()).await?;
    }
    // Another commit may have been made meanwhile. A writer that uses a file of an expired snapshot again keeps it.
    let fresh = run.document().await?;
    if fresh.location != current.location && !run.is_dry() {
        reachable.add_document(&fresh).await?;
    }
    reachable.sort();
    Ok(reachable)
}

/// Removes the files in manifests, except needed ones.
async fn remove_data_files<'m>(
    run: &Run<'_>,
    removal: &Removal<'_>,
    manifests: impl Iterator<Item = &'m ManifestFile>,
    needed: &FilePaths,
) -> Result<(), RunError> {
    let mut seen = HashSet::new();
    let mut waiting = Vec::new();
    let mut manifests = manifests.cloned().peekable();
    while manifests.peek().is_some() {
        let some = manifests.by_ref().take(READS_AT_ONCE).collect();
        let mut reads = Box::pin(read_manifests(run, some));
        while let Some((_, read)) = reads.try_next().await? {
            // A missing one was removed by an earlier run, after its files.
            let Some(manifest) = read else { continue };
            for entry in manifest.entries()?.iter().filter(|entry| entry.status() != Status::Deleted) {
                let location = entry.path().to_string();
                let is_needed = Location::parse(&location).is_ok_and(|place| needed.contains(&place));
                if !is_needed && seen.insert(fingerprint(&location)) {
                    let bytes = u64::try_from(entry.file_size_bytes()).ok();
                    waiting.push(Unneeded { location, bytes, reason: "file of expired snapshots", at_ms: None });
                }
            }
        }
        // Nothing is in use while files are removed.
        drop(reads);
        if seen.len() > REMEMBERED {
            seen.clear();
        }
        if waiting.len() >= FILES_AT_ONCE {
            removal.remove(std::mem::take(&mut waiting)).await?;
        }
    }
    removal.remove(waiting).await?;
    removal.check_failures()
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn of_snapshots(table: &TableMetadata, ids: &HashSet<i64>) -> Result<NamedFiles, RunError> {
    NamedFiles::of_snapshots(table, ids).map_err(|error| RunError::Failed(error.to_string()))
}

/// Returns the files of `named` that are not in `staying`, in any spelling.
fn without(named: NamedFiles, staying: &NamedFiles) -> NamedFiles {
    let mut known = FilePaths::default();
    for file in staying.manifest_lists.iter().chain(&staying.manifests).chain(&staying.statistics) {
        known.add(file);
    }
    let left = |files: BTreeSet<String>| {
        files.into_iter().filter(|file| Location::parse(file).is_ok_and(|place| !known.contains(&place))).collect()
    };
    let NamedFiles { manifest_lists, manifests, statistics, .. } = named;
    NamedFiles {
        manifest_lists: left(manifest_lists),
        manifests: left(manifests),
        statistics: left(statistics),
        older_documents: BTreeSet::new(),
    }
}
