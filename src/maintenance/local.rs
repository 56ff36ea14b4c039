//! What is particular to the local disk: links that lead elsewhere, and folders that are left empty.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tidewater_core::location::Location;

/// The folders of a table on the local disk; none for a table that is elsewhere.
#[derive(Debug)]
pub(super) struct Folders {
    /// As they are called, and where that is once links are followed.
    places: Vec<(PathBuf, PathBuf)>,
    /// Those that were asked for, and whether they are inside.
    known: Mutex<BTreeMap<PathBuf, bool>>,
}

impl Folders {
    /// Those of `places` that are on the local disk.
    pub(super) async fn of(places: &[Location]) -> Self {
        let folders: Vec<PathBuf> = places.iter().filter(|place| is_local(place)).map(path).collect();
        let find = move || {
            let real = |folder: PathBuf| folder.canonicalize().ok().map(|real| (folder, real));
            folders.into_iter().filter_map(real).collect()
        };
        // A folder that cannot be found holds no file.
        let places = tokio::task::spawn_blocking(find).await.unwrap_or_default();
        Self { places, known: Mutex::default() }
    }

    /// Whether a file is where its name says: no link leads out of the table's folders. Elsewhere there are no links.
    pub(super) async fn really_hold(&self, file: &Location) -> bool {
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
            // There is no file in a folder that is not there.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let inside = tokio::task::spawn_blocking(is_inside).await.unwrap_or(false);
        self.known.lock().insert(folder, inside);
        inside
    }

    /// Removes the folders of the files that were asked for, and the table's own, where they are empty. One that is not, or
    /// cannot be removed, stays.
    pub(super) async fn remove_empty(&self) {
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in self.known.lock().iter().filter(|(_, inside)| **inside).map(|(folder, _)| folder) {
            let Some((place, _)) = self.places.iter().find(|(place, _)| folder.starts_with(place)) else { continue };
            folders.extend(folder.ancestors().take_while(|one| one.starts_with(place)).map(Path::to_owned));
        }
        // The deepest first.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        folders.dedup();
        let remove = move || folders.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
        // That it cannot be done harms nobody.
        let _ = tokio::task::spawn_blocking(remove).await;
    }
}

fn is_local(location: &Location) -> bool {
    location.scheme() == "file"
}

fn path(location: &Location) -> PathBuf {
    PathBuf::from(location.path())
}
