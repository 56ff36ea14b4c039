//! Decides which metadata documents leave a table's log for good with a commit (Iceberg table property
//! `write.metadata.delete-after-commit.enabled`; `CatalogUtil.deleteRemovedMetadataFiles` in the reference implementation).

use crate::document::TableMetadata;

/// The property that asks for the removal. Without it all documents stay.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// The most documents that one commit may remove. Further documents stay until the table is purged.
pub const MAX_REMOVED_BY_COMMIT: usize = 1_000;

/// Returns the documents that left the log with the commit from `base` (at `base_location`) to `next`, oldest first.
/// Empty unless the properties of `next` ask for their removal.
///
/// `origin` is the last document of the table that another catalog wrote. The result contains neither it nor older
/// documents, since another table or catalog may refer to them.
#[must_use]
pub fn removed_by_commit(
    base: &TableMetadata,
    base_location: &str,
    next: &TableMetadata,
    origin: Option<&str>,
) -> Vec<String> {
    if !deletes_after_commit(next) || origin == Some(base_location) {
        return Vec::new();
    }
    let (before, after) = (base.metadata_log(), next.metadata_log());
    // A commit adds the replaced document to the log, and cuts the log at its beginning.
    let cut = (before.len() + 1).saturating_sub(after.len());
    let first_kept = before.iter().nth(cut);
    let first_kept = first_kept.as_ref().map_or(base_location, |entry| &entry.metadata_file);
    if after.iter().next().is_none_or(|entry| *entry.metadata_file != *first_kept) {
        return Vec::new();
    }
    let foreign = origin.map_or(0, |origin| {
        let at_origin = before.iter().enumerate().filter(|(_, entry)| *entry.metadata_file == *origin);
        at_origin.last().map_or(0, |(at, _)| at + 1)
    });
    let own = before.iter().take(cut).skip(foreign).take(MAX_REMOVED_BY_COMMIT);
    own.map(|entry| entry.metadata_file.to_string()).collect()
}

/// Returns whether a table's properties ask for the removal of documents that leave its log.
#[must_use]
pub fn deletes_after_commit(table: &TableMetadata) -> bool {
    table.properties().get(DELETE_AFTER_COMMIT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
