//! Handles two things that only the local disk has: links that lead elsewhere, and empty folders.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tidewater_core::location::Location;

/// The folders of a table on the local disk. A table on an object store has none.
#[derive(Debug)]
pub(crate) struct Folders {
    /// Each folder's path, and its real path with all links resolved.
    places: Vec<(PathBuf, PathBuf)>,
    /// The folders that were checked, and whether each is inside a folder of the table.
    known: Mutex<BTreeMap<PathBuf, bool>>,
}

impl Folders {
    /// Finds the real paths of those `places` that are on the local disk.
    pub(crate) async fn resolve(places: &[Location]) -> Self {
        let folders: Vec<PathBuf> = places.iter().filter(|place| is_local(place)).map(path).collect();
        let find = move || {
            let real = |folder: PathBuf| folder.canonicalize().ok().map(|real| (folder, real));
            folders.into_iter().filter_map(real).collect()
        };
        // A folder that does not exist has no files.
        let places = tokio::task::spawn_blocking(find).await.unwrap_or_default();
        Self { places, known: Mutex::default() }
    }

    /// Returns whether a file is really inside the table's folders, that is, no link leads out of them. Always true on object
    /// stores, which have no links.
    pub(crate) async fn contain_really(&self, file: &Location) -> bool {
        if !is_local(file) {
            return true;
        }
        let Some(folder) = path(file).parent().map(Path::to_owned) else { return false };
        if let Some(known) = self.known.lock().get(&folder) {
            return *known;
        }
        let places: Vec<PathBuf> = self.places.iter().map(|(_, real)| real.clone()).collect();
        let asked = folder.clone();
        let is_inside = move || match asked.canonicalize() {
            Ok(real) => places.iter().any(|place| real.starts_with(place)),
            // A folder that does not exist has no files.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let inside = tokio::task::spawn_blocking(is_inside).await.unwrap_or(false);
        self.known.lock().insert(folder, inside);
        inside
    }

    /// Removes the empty folders among those that were checked, up to and including the table's own. Others stay.
    pub(super) async fn remove_empty(&self) {
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in self.known.lock().iter().filter(|(_, inside)| **inside).map(|(folder, _)| folder) {
            let Some((place, _)) = self.places.iter().find(|(place, _)| folder.starts_with(place)) else { continue };
            folders.extend(folder.ancestors().take_while(|one| one.starts_with(place)).map(Path::to_owned));
        }
        // Deepest first, so that a parent is empty when its turn comes.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        folders.dedup();
        let remove = move || folders.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
        // Best effort: an empty folder does no harm.
        let _ = tokio::task::spawn_blocking(remove).await;
    }
}

fn is_local(location: &Location) -> bool {
    location.scheme() == "file"
}

fn path(location: &Location) -> PathBuf {
    PathBuf::from(location.path())
}
