//! Finds metadata documents that are newer than the pointer of their table. A database that lost its last changes leaves them.
//!
//! An unacknowledged change leaves one too, if the process was killed after it wrote the document and before it moved the
//! pointer. So a person must decide about each. Searches only warehouses on local disk.

use std::path::{Path, PathBuf};

use tidewater_core::name::TableIdent;

use crate::metadata::version_of;
use crate::store::{PageRequest, Store, StoreError, TableKind, WarehouseRef};

/// The most entries that are read of one folder.
const ENTRIES: usize = 100_000;

/// A table or view whose folder has a newer document than the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Its organisation's name.
    pub organisation: String,
    /// Its warehouse's name.
    pub warehouse: String,
    /// Its name.
    pub ident: TableIdent,
    /// The location of its current document.
    pub metadata_location: String,
    /// The newest document, in the same folder.
    pub newest: PathBuf,
}

/// The extent of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// The number of searched tables and views.
    pub tables: usize,
    /// Whether these are all tables and views.
    pub all: bool,
}

/// Searches up to `at_most` tables and views in the warehouses on local disk. Calls `tell` for each whose pointer is behind.
///
/// # Errors
/// Fails if the store does not answer. Skips folders that cannot be read.
pub async fn find_behind(
    store: &dyn Store,
    at_most: usize,
    mut tell: impl FnMut(Behind) + Send,
) -> Result<Looked, StoreError> {
    let mut looked = Looked { tables: 0, all: true };
    for organisation in store.organisation_list().await? {
        for warehouse in store.warehouse_list(organisation.id).await? {
            if !warehouse.root.starts_with("file://") {
                continue;
            }
            let warehouse_ref = WarehouseRef { organisation: organisation.id, warehouse: warehouse.id };
            for ident in idents(store, warehouse_ref, at_most - looked.tables).await? {
                if looked.tables == at_most {
                    return Ok(Looked { all: false, ..looked });
                }
                looked.tables += 1;
                let Some(record) = store.table_get(warehouse_ref, &ident).await? else { continue };
                if let Some(newest) = newest_beside(&record.metadata_location).await {
                    tell(Behind {
                        organisation: organisation.name.clone(),
                        warehouse: warehouse.name.clone(),
                        ident,
                        metadata_location: record.metadata_location,
                        newest,
                    });
                }
            }
        }
    }
    Ok(looked)
}

/// Returns the names of a warehouse's tables and views: one more than requested, if there are more.
async fn idents(store: &dyn Store, warehouse_ref: WarehouseRef, wanted: usize) -> Result<Vec<TableIdent>, StoreError> {
    let all = PageRequest::default();
    let mut namespaces = store.namespace_list(warehouse_ref, None, &all).await?.items.clone();
    let (mut next, mut found) = (0, Vec::new());
    while let Some(namespace) = namespaces.get(next).cloned() {
        next += 1;
        namespaces.extend(store.namespace_list(warehouse_ref, Some(&namespace), &all).await?.items.iter().cloned());
        for kind in [TableKind::Table, TableKind::View] {
            let limit = u32::try_from(wanted + 1 - found.len()).unwrap_or(u32::MAX);
            let page = PageRequest { after: None, limit: Some(limit) };
            let page = store.table_list(warehouse_ref, &namespace, kind, &page).await?;
            found.extend(page.items.iter().filter_map(|name| TableIdent::new(namespace.clone(), name).ok()));
            if found.len() > wanted {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Returns the newest document in the folder of the document at `location`, unless that is the newest.
pub async fn newest_beside(location: &str) -> Option<PathBuf> {
    let path = PathBuf::from(location.strip_prefix("file://")?);
    tokio::task::spawn_blocking(move || newest_in_folder_of(&path)).await.ok().flatten()
}

fn newest_in_folder_of(current: &Path) -> Option<PathBuf> {
    let version = version_of(current.to_str()?)?;
    let entries = std::fs::read_dir(current.parent()?).ok()?.take(ENTRIES).filter_map(Result::ok);
    let versions = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let found = name.ends_with(".metadata.json").then(|| version_of(&name)).flatten()?;
        (found > version).then(|| (found, entry.path()))
    });
    versions.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_document_is_the_one_with_the_highest_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["00009-a.metadata.json", "00010-b.metadata.json", "00011-c.gz.metadata.json", "00012-d.avro"] {
            std::fs::write(path(name), "").unwrap();
        }
        let newest = |name: &str| newest_in_folder_of(&path(name));
        assert_eq!(newest("00009-a.metadata.json"), Some(path("00011-c.gz.metadata.json")));
        assert_eq!(newest("00011-c.gz.metadata.json"), None);
        assert_eq!(newest("none/00001-a.metadata.json"), None);
    }
}
