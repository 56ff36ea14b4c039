//! Removes the files of one dropped table: only files that its document leads to, and only below its own locations.
//!
//! A file is removed before the file that names it. So data and delete files go first, then statistics, manifests, manifest lists
//! and older documents, including those that the log does not name any more. The current document goes last. After a crash, the
//! next attempt finds all remaining files, and a missing manifest means that its files were removed before.

use std::collections::{BTreeSet, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt, TryChunksError, TryStreamExt};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tidewater_core::location::Location;
use tidewater_core::purge::{NamedFiles, allows_removal, inside, is_document_name, is_of_same_table};
use tokio_util::sync::CancellationToken;

use super::local::Folders;
use crate::base::clock::Clock;
use crate::manifests::{ManifestError, Manifests};
use crate::metadata::{Document, Documents, MetadataError, metadata_folder};
use crate::storage::StorageError;
use crate::store::{Change, Dropped, DroppedState, Progress, Store, StoreError};
use crate::vending::ValidLocations;
use crate::warehouse::OpenWarehouse;

/// How many files of a table are removed at the same time.
const FILES_AT_ONCE: usize = 16;

/// How many documents of a table are read at the same time.
const DOCUMENTS_AT_ONCE: usize = 4;

/// How many files are removed between two checks of the lease.
const FILES_A_LOOK: usize = 64;

/// The number of failed removals that ends an attempt: the storage does not answer.
const FAILURES: u64 = 100;

/// How many removed files are remembered, since several manifests can name the same file. Each takes 16 bytes and its share of the
/// set.
const REMEMBERED: usize = 2_000_000;

/// Why a removal stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// A later attempt may succeed.
    Later(String),
    /// It cannot succeed until a person acts.
    Never(String),
    /// Another server has the lease, or an administrator keeps the remaining files.
    Lost,
    /// The server is stopping.
    ServerStops,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Files that were removed, including files that were missing already.
    pub(super) removed: u64,
    /// Files outside of the table's own locations, which stay.
    pub(super) elsewhere: u64,
    /// Missing manifests and manifest lists.
    pub(super) missing: u64,
}

/// The removal of one table's files.
pub(super) struct Purge<'a> {
    store: &'a dyn Store,
    warehouse: &'a OpenWarehouse,
    documents: &'a Documents,
    clock: &'a Clock,
    job: &'a Dropped,
    /// Cancelled to keep the remaining files.
    keep_files: &'a CancellationToken,
    finishing: AtomicBool,
    removed: AtomicU64,
    elsewhere: AtomicU64,
    missing: AtomicU64,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

/// The files that lead to others.
#[derive(Debug, Clone, Copy)]
enum Leading {
    ManifestList,
    Manifest,
}

/// The locations in which the purge may remove files.
struct OwnFiles {
    locations: Vec<Location>,
    folders: Folders,
}

impl<'a> Purge<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        warehouse: &'a OpenWarehouse,
        documents: &'a Documents,
        clock: &'a Clock,
        job: &'a Dropped,
        keep_files: &'a CancellationToken,
    ) -> Self {
        Self {
            store,
            warehouse,
            documents,
            clock,
            job,
            keep_files,
            finishing: AtomicBool::new(job.state == DroppedState::Finishing),
            removed: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            first_failure: Mutex::new(None),
        }
    }

    /// Returns whether only the current document is left.
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::SeqCst)
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts { removed: of(&self.removed), elsewhere: of(&self.elsewhere), missing: of(&self.missing) }
    }

    /// Removes all files of the table.
    pub(super) async fn run(&self) -> Result<(), Stopped> {
        let document = match self.documents.get(&self.warehouse.storage, &self.job.metadata_location).await {
            Ok(document) => document,
            // An earlier attempt removed it as the last file.
            Err(MetadataError::Missing(_)) if self.is_finishing() => return Ok(()),
            Err(error @ (MetadataError::Storage(_) | MetadataError::Heavy(_))) => {
                return Err(Stopped::Later(error.to_string()));
            }
            Err(error @ MetadataError::Missing(_)) => {
                return Err(Stopped::Never(format!("{error}: which files the table has is not known")));
            }
            Err(error) => return Err(Stopped::Never(error.to_string())),
        };
        if !allows_removal(document.metadata.properties()) {
            tracing::info!(table = %self.job.id, "a table's files stay, since its gc.enabled is not true");
            return Ok(());
        }
        let (heavy, json) = (self.documents.reader().heavy(), document.json.clone());
        let named =
            heavy.run(self.job.warehouse_ref.organisation.0, json.len() as u64, move || NamedFiles::parse(&json)).await;
        let named = named.map_err(|error| Stopped::Later(error.to_string()))?;
        let named = named.map_err(|error| Stopped::Never(error.to_string()))?;
        let locations = self.locations(&document).await?;
        let own = OwnFiles { folders: Folders::resolve(&locations).await, locations };
        if !self.is_finishing() {
            self.remove_referenced_files(&own, &document, named).await?;
            self.remove_earlier_documents(&own, &document).await?;
            self.finish().await?;
        }
        self.remove(&own, [document.location.clone()]).await?;
        own.folders.remove_empty().await;
        match self.elsewhere.load(Ordering::Relaxed) {
            0 => {}
            count => tracing::warn!(
                table = %self.job.id, count,
                "files of a dropped table are outside of its own locations, and stay"
            ),
        }
        Ok(())
    }

    async fn remove_referenced_files(
        &self,
        own: &OwnFiles,
        document: &Document,
        named: NamedFiles,
    ) -> Result<(), Stopped> {
        let NamedFiles { manifest_lists, mut manifests, statistics, mut older_documents } = named;
        // The current document goes last, in whichever spelling the log names it.
        older_documents.retain(|file| !document.is_at(file));
        for list in &manifest_lists {
            manifests.extend(self.read(own, list, Leading::ManifestList).await?.into_iter().flatten());
        }
        // Read all manifests before removing the first file: an unreadable manifest must not leave a half-removed table.
        for manifest in &manifests {
            self.read(own, manifest, Leading::Manifest).await?;
        }
        self.missing.store(0, Ordering::Relaxed);
        self.elsewhere.store(0, Ordering::Relaxed);
        self.remove_files_of(own, &manifests).await?;
        self.remove(own, statistics).await?;
        self.remove(own, manifests).await?;
        self.remove(own, manifest_lists).await?;
        self.remove(own, older_documents).await
    }

    /// Removes the data and delete files that manifests name.
    async fn remove_files_of(&self, own: &OwnFiles, manifests: &BTreeSet<String>) -> Result<(), Stopped> {
        let mut remembered = HashSet::new();
        for manifest in manifests {
            let Some(mut files) = self.read(own, manifest, Leading::Manifest).await? else { continue };
            if remembered.len() > REMEMBERED {
                remembered.clear();
            }
            files.retain(|file| remembered.insert(fingerprint(file)));
            self.remove_some(own, files).await?;
        }
        self.check_failures()
    }

    /// Returns the table's own location, and those locations of its properties that overlap no other table. The store prevents
    /// overlaps. This checks again, since a removed file is lost.
    async fn locations(&self, document: &Document) -> Result<Vec<Location>, Stopped> {
        let valid = ValidLocations::from_table(&document.metadata, &self.warehouse.root);
        let valid = valid.map_err(|refused| Stopped::Never(refused.to_string()))?;
        let (own, others) = (valid.all().own(), valid.all().others());
        if own.as_str() != self.job.location {
            let message = format!("its document has the location {own}, but the catalog has {}", self.job.location);
            return Err(Stopped::Never(message));
        }
        let mut alone = match others {
            [] => Vec::new(),
            others => {
                let alone = self.store.location_alone(self.job.warehouse_ref, self.job.id, others).await;
                alone.map_err(|error| later(&error))?
            }
        };
        if alone.len() < others.len() {
            tracing::warn!(table = %self.job.id, "a dropped table shares locations with others: its files there stay");
        }
        alone.push(own.clone());
        Ok(alone)
    }

    /// Records that only the current document is left.
    async fn finish(&self) -> Result<(), Stopped> {
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add(super::LEASE_MS);
        let progress = Progress::Continue { until_ms, finishing: true };
        let (organisation, id, attempt) = (self.job.warehouse_ref.organisation, self.job.id, self.job.attempts);
        match self.store.dropped_progress(organisation, id, attempt, &progress, &Change::by_catalog(now_ms)).await {
            Ok(true) => {
                self.finishing.store(true, Ordering::SeqCst);
                Ok(())
            }
            Ok(false) => Err(Stopped::Lost),
            Err(error) => Err(later(&error)),
        }
    }

    /// Fails if this attempt has lost the lease, or the remaining files must stay.
    async fn check_lease(&self) -> Result<(), Stopped> {
        if self.keep_files.is_cancelled() {
            return Err(Stopped::Lost);
        }
        let found = self.store.dropped_get(self.job.warehouse_ref, self.job.id).await.map_err(|error| later(&error))?;
        let is_removed = |state| matches!(state, DroppedState::Removing | DroppedState::Finishing);
        let goes_on = |found: Dropped| found.purge && found.attempts == self.job.attempts && is_removed(found.state);
        if found.is_some_and(goes_on) { Ok(()) } else { Err(Stopped::Lost) }
    }

    /// Reads the files that a manifest list or a manifest names. Returns `None` if it is elsewhere or missing.
    async fn read(&self, own: &OwnFiles, text: &str, kind: Leading) -> Result<Option<Vec<String>>, Stopped> {
        self.check_lease().await?;
        let Some(location) = own.find(text).await else { return Ok(None) };
        let manifests = Manifests::new(self.documents.reader(), &self.warehouse.storage);
        let named = match kind {
            Leading::ManifestList => manifests.read_list(&location).await,
            Leading::Manifest => manifests.read_manifest(&location).await,
        };
        match named {
            Ok(named) => Ok(Some(named)),
            Err(ManifestError::Missing) => {
                self.missing.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(ManifestError::Unreadable(error)) => Err(unreadable(text, &*error)),
            Err(error @ (ManifestError::Busy { .. } | ManifestError::Unavailable(_))) => {
                Err(Stopped::Later(error.to_string()))
            }
        }
    }

    /// Removes documents of the table that its log does not name any more. Looks in the table's metadata folder, at files that are
    /// named like metadata documents, and removes those with this table's UUID and location.
    async fn remove_earlier_documents(&self, own: &OwnFiles, current: &Document) -> Result<(), Stopped> {
        let Ok(folder) = Location::parse(&metadata_folder(&*current.metadata)) else { return Ok(()) };
        if !own.locations.iter().any(|warehouse_ref| warehouse_ref.contains(&folder)) {
            return Ok(());
        }
        let storage = &self.warehouse.storage;
        let found = storage.list_all(&folder).map_err(|error| Stopped::Later(error.to_string()))?;
        let is_document = |location: &Location| {
            let name = location.as_str().strip_prefix(folder.as_str()).and_then(|name| name.strip_prefix('/'));
            name.is_some_and(is_document_name) && location.as_str() != current.location
        };
        let documents = found.try_filter(|location| std::future::ready(is_document(location)));
        let mut batches = pin!(documents.try_chunks(FILES_A_LOOK));
        loop {
            let batch = match batches.next().await {
                None => return self.check_failures(),
                Some(Ok(batch)) => batch,
                Some(Err(TryChunksError(_, error @ StorageError::Refused { .. }))) => {
                    tracing::warn!(table = %self.job.id, %error, "metadata files that a dropped table's log does not name stay");
                    return self.check_failures();
                }
                Some(Err(TryChunksError(_, error))) => return Err(Stopped::Later(error.to_string())),
            };
            self.check_lease().await?;
            let of_this_table = stream::iter(batch).map(|location| self.is_of_this_table(location, current));
            let of_this_table: Vec<Option<String>> =
                of_this_table.buffer_unordered(DOCUMENTS_AT_ONCE).try_collect().await?;
            self.remove_some(own, of_this_table.into_iter().flatten()).await?;
        }
    }

    /// Returns the document's location if the document is this table's. An unreadable document may be another table's.
    async fn is_of_this_table(&self, location: Location, current: &Document) -> Result<Option<String>, Stopped> {
        match self.documents.get(&self.warehouse.storage, location.as_str()).await {
            Ok(found) => Ok(is_of_same_table(&found.metadata, &current.metadata).then(|| location.as_str().to_owned())),
            Err(error @ (MetadataError::Storage(StorageError::Unavailable { .. }) | MetadataError::Heavy(_))) => {
                Err(Stopped::Later(error.to_string()))
            }
            Err(_) => Ok(None),
        }
    }

    /// Removes files. Fails if any removal of this attempt failed.
    async fn remove(&self, own: &OwnFiles, files: impl IntoIterator<Item = String>) -> Result<(), Stopped> {
        self.remove_some(own, files).await?;
        self.check_failures()
    }

    /// Removes files, a few at a time, as long as the lease is held.
    async fn remove_some(&self, own: &OwnFiles, files: impl IntoIterator<Item = String>) -> Result<(), Stopped> {
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            self.check_lease().await?;
            self.remove_at_once(own, files.by_ref().take(FILES_A_LOOK).collect()).await;
            if self.keep_files.is_cancelled() {
                return Err(Stopped::Lost);
            }
        }
        Ok(())
    }

    async fn remove_at_once(&self, own: &OwnFiles, files: Vec<String>) {
        let removals = stream::iter(files).for_each_concurrent(FILES_AT_ONCE, |file| async move {
            let Some(location) = own.find(&file).await else {
                self.elsewhere.fetch_add(1, Ordering::Relaxed);
                return;
            };
            if self.failures.load(Ordering::Relaxed) >= FAILURES || self.keep_files.is_cancelled() {
                return;
            }
            match self.warehouse.storage.remove(&location).await {
                Ok(()) => {
                    self.removed.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    self.first_failure.lock().get_or_insert_with(|| error.to_string());
                }
            }
        });
        removals.await;
    }

    fn check_failures(&self) -> Result<(), Stopped> {
        match self.failures.load(Ordering::Relaxed) {
            0 => Ok(()),
            count => {
                let first = self.first_failure.lock().clone().unwrap_or_default();
                Err(Stopped::Later(format!("{count} files could not be removed, the first: {first}")))
            }
        }
    }
}

impl OwnFiles {
    /// Returns the location of a file, if it is inside this table's locations.
    async fn find(&self, text: &str) -> Option<Location> {
        let location = inside(text, &self.locations)?;
        self.folders.contain_really(&location).await.then_some(location)
    }
}

fn later(error: &StoreError) -> Stopped {
    Stopped::Later(error.to_string())
}

fn unreadable(file: &str, error: &dyn std::error::Error) -> Stopped {
    let shown: String = file.chars().take(500).collect();
    Stopped::Never(format!("cannot read which files {shown} names, so none is removed: {error}"))
}

/// Returns a short hash of a file's name.
fn fingerprint(file: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(file).into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}
