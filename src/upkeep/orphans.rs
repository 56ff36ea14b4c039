//! Removes orphan files: files in the table's own locations that no metadata leads to.
//!
//! The storage is listed page by page. Each page is compared with the files of the table's document, and just before files are
//! removed, the pointer is read again: files of a commit that was made meanwhile stay. A file that a writer has not committed yet
//! stays as long as it is younger than the safe age. Ages are by the storage's clock: that of this server may be ahead of it.

use futures_util::stream::StreamExt;
use tidewater_core::location::Location;
use tidewater_core::purge::is_document_name;
use tidewater_core::upkeep::{FileNames, file_stays};

use super::reachable::{Counted, Reachable};
use super::removal::{Removal, Unneeded};
use super::run::{Run, RunError};
use crate::base::clock::fresh_uuid;
use crate::metadata::Document;
use crate::storage::ListedObject;

/// How many unneeded files are found before they are removed.
const FILES_AT_ONCE: usize = 1_000;

/// Runs the operation.
pub(super) async fn run(run: &Run<'_>) -> Result<(), RunError> {
    let document = run.document().await?;
    let least_age_ms = run.policy(&document)?.orphan_age_ms(run.parts.config.min_orphan_age_ms());
    let removal = Removal::new(run, run.own_locations(&document).await?).await;
    // The time of the start: a file that is too young now stays, however long the run takes.
    let now_ms = time_ms(run, removal.locations()).await?;
    let search = Search { run, least_age_ms, now_ms, documents_stay: has_origin(run).await? };
    let mut reachable = Reachable::new(run, Counted::All, FileNames::default());
    reachable.add_document(&document).await?;
    let names: Vec<String> = partition_names(&document);
    let partitions: Vec<&str> = names.iter().map(String::as_str).collect();
    for folder in outermost(removal.locations()) {
        search.remove_below(&removal, &mut reachable, &folder, &partitions).await?;
    }
    removal.check_failures()
}

/// Returns the time with which the last changes of files are compared: the storage's, or this server's if that is earlier. A dry run
/// writes nothing, so it has this server's only.
async fn time_ms(run: &Run<'_>, locations: &[Location]) -> Result<i64, RunError> {
    let own_ms = run.parts.clock.now_ms();
    let Some(location) = locations.first().filter(|_| !run.is_dry()) else { return Ok(own_ms) };
    // If it stays because of a kill, its name is that of an orphan.
    let name = format!("metadata/clock-{}.stats", fresh_uuid());
    let probe = location.join(&name).map_err(|error| RunError::Failed(error.to_string()))?;
    let storage_ms = run.table.warehouse.storage.time_ms(&probe).await;
    let storage_ms = storage_ms.map_err(|error| RunError::Failed(error.to_string()))?;
    Ok(storage_ms.map_or(own_ms, |storage_ms| own_ms.min(storage_ms)))
}

/// Returns the locations that are in no other one.
fn outermost(locations: &[Location]) -> Vec<Location> {
    let is_inside = |one: &Location| locations.iter().any(|other| other != one && other.contains(one));
    locations.iter().filter(|one| !is_inside(one)).cloned().collect()
}

/// Returns whether the table has documents that another catalog wrote. Its documents stay then: that catalog may need them.
async fn has_origin(run: &Run<'_>) -> Result<bool, RunError> {
    let origin = run.parts.store.table_origin(run.table.warehouse.warehouse_ref, run.table.record.id).await?;
    Ok(origin.is_some())
}

/// Returns the names of all partition fields: their folders may begin with `_`.
fn partition_names(document: &Document) -> Vec<String> {
    let specs = document.metadata.partition_specs();
    specs.flat_map(|spec| spec.fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>()).collect()
}

struct Search<'a> {
    run: &'a Run<'a>,
    least_age_ms: i64,
    now_ms: i64,
    documents_stay: bool,
}

impl<'a> Search<'a> {
    /// Removes the orphans below a location of the table.
    async fn remove_below(
        &self,
        removal: &Removal<'_>,
        reachable: &mut Reachable<'a, FileNames>,
        folder: &Location,
        partitions: &[&str],
    ) -> Result<(), RunError> {
        let storage = &self.run.table.warehouse.storage;
        let listed = storage.list_objects(folder).map_err(|error| RunError::Failed(error.to_string()))?;
        let mut listed = std::pin::pin!(listed);
        let mut found = Vec::new();
        while let Some(object) = listed.next().await {
            let object = object.map_err(|error| RunError::Failed(error.to_string()))?;
            if found.is_empty() {
                self.run.check_goes_on()?;
            }
            if let Some(unneeded) = self.examine(reachable.files(), folder, object, partitions) {
                found.push(unneeded);
            }
            if found.len() >= FILES_AT_ONCE {
                self.remove(removal, reachable, std::mem::take(&mut found)).await?;
            }
        }
        self.remove(removal, reachable, found).await
    }

    /// Returns a file that is an orphan as far as the known metadata shows. Counts files that stay although no metadata is known to lead
    /// to them.
    fn examine(
        &self,
        known: &FileNames,
        folder: &Location,
        object: ListedObject,
        partitions: &[&str],
    ) -> Option<Unneeded> {
        let below = object.location.path().strip_prefix(folder.path()).unwrap_or_default().trim_start_matches('/');
        let name = below.rsplit('/').next().unwrap_or(below);
        if known.contains(name) {
            return None;
        }
        let age_ms = self.now_ms.saturating_sub(object.modified_ms);
        let stays = file_stays(below, partitions, age_ms, self.least_age_ms).map(|stays| stays.as_str());
        let is_document =
            name.ends_with(".metadata.json") || name.contains(".metadata.json.") || is_document_name(name);
        let stays = stays.or((self.documents_stay && is_document).then_some("registered"));
        if let Some(reason) = stays {
            self.run.note(|details| *details.kept.entry(reason.to_owned()).or_default() += 1);
            return None;
        }
        let (bytes, at_ms) = (Some(object.size_bytes), Some(object.modified_ms));
        Some(Unneeded { location: object.location.to_string(), bytes, reason: "orphan", at_ms })
    }

    /// Removes orphans, except those that a commit needs which was made since the metadata was read.
    async fn remove(
        &self,
        removal: &Removal<'_>,
        reachable: &mut Reachable<'a, FileNames>,
        mut found: Vec<Unneeded>,
    ) -> Result<(), RunError> {
        if found.is_empty() {
            return Ok(());
        }
        let current = self.run.document().await?;
        if !reachable.knows(&current.location) {
            let locations = self.run.own_locations(&current).await?;
            if !removal.locations().iter().all(|place| locations.contains(place)) {
                return Err(RunError::Stopped(
                    "the table's locations have changed: the next run looks in the new ones",
                ));
            }
            reachable.add_document(&current).await?;
            found.retain(|file| !reachable.files().contains(&file.location));
        }
        removal.remove(found).await
    }
}
