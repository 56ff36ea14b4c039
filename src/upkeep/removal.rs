//! Removes files of a table, a few at a time, in its own locations only.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tidewater_core::location::Location;
use tidewater_core::purge::inside;

use super::run::{Run, RunError};
use crate::maintenance::Folders;
use crate::store::RunItem;

/// How many files are removed at the same time.
const FILES_AT_ONCE: usize = 8;

/// How many files are removed between two checks of the lease.
const FILES_A_LOOK: usize = 64;

/// The number of failed removals that ends a run: the storage does not answer.
const FAILURES: u64 = 20;

/// A file to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unneeded {
    /// Its location, as metadata or the storage spells it.
    pub(super) location: String,
    /// Its size in bytes, if it is known.
    pub(super) bytes: Option<u64>,
    /// Why it is removed, for the record.
    pub(super) reason: &'static str,
    /// The time of its last change, if it is known, in milliseconds since 1970.
    pub(super) at_ms: Option<i64>,
}

/// The removal of files in one run.
pub(super) struct Removal<'a> {
    run: &'a Run<'a>,
    locations: Vec<Location>,
    folders: Folders,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl<'a> Removal<'a> {
    /// Creates the removal of files below `locations`, which belong to the run's table alone.
    pub(super) async fn new(run: &'a Run<'a>, locations: Vec<Location>) -> Self {
        let folders = Folders::resolve(&locations).await;
        Self { run, locations, folders, failures: AtomicU64::new(0), first_failure: Mutex::new(None) }
    }

    /// Returns the locations below which files may be removed.
    pub(super) fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// Returns the location of a file that may be removed.
    pub(super) async fn find(&self, file: &str) -> Option<Location> {
        let location = inside(file, &self.locations)?;
        self.folders.contain_really(&location).await.then_some(location)
    }

    /// Removes files, or only records them in a dry run.
    pub(super) async fn remove(&self, files: Vec<Unneeded>) -> Result<(), RunError> {
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            self.run.check_goes_on()?;
            let some: Vec<Unneeded> = files.by_ref().take(FILES_A_LOOK).collect();
            stream::iter(some).for_each_concurrent(FILES_AT_ONCE, |file| self.remove_one(file)).await;
            if self.failures.load(Ordering::Relaxed) >= FAILURES {
                return self.check_failures();
            }
        }
        Ok(())
    }

    /// Removes files that metadata names, for the same reason.
    pub(super) async fn remove_named(&self, names: &BTreeSet<String>, reason: &'static str) -> Result<(), RunError> {
        let unneeded = |location: &String| Unneeded { location: location.clone(), bytes: None, reason, at_ms: None };
        self.remove(names.iter().map(unneeded).collect()).await
    }

    async fn remove_one(&self, file: Unneeded) {
        let Some(location) = self.find(&file.location).await else {
            self.run.note(|details| *details.kept.entry("elsewhere".to_owned()).or_default() += 1);
            return;
        };
        if !self.run.is_dry() {
            let removed = self.run.table.warehouse.storage.remove(&location).await;
            if let Err(error) = removed {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.first_failure.lock().get_or_insert_with(|| error.to_string());
                return;
            }
        }
        self.run.note(|details| {
            details.files += 1;
            details.bytes = details.bytes.saturating_add(file.bytes.unwrap_or(0));
        });
        self.run.add_item(|| RunItem {
            kind: "file".to_owned(),
            name: location.to_string(),
            reason: file.reason.to_owned(),
            bytes: file.bytes,
            at_ms: file.at_ms,
        });
    }

    /// Fails if files could not be removed.
    pub(super) fn check_failures(&self) -> Result<(), RunError> {
        match self.failures.load(Ordering::Relaxed) {
            0 => Ok(()),
            count => {
                let first = self.first_failure.lock().clone().unwrap_or_default();
                Err(RunError::Failed(format!("{count} files could not be removed, the first: {first}")))
            }
        }
    }
}
