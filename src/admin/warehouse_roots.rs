//! Checks that a new warehouse's root overlaps no other root and not the data folder, under any path.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tidewater_core::location::Location;
use tidewater_core::storage::{StorageProfile, roots_overlap};

use super::limits::WAREHOUSES;
use super::{Admin, AdminError};
use crate::store::{Organisation, Warehouse};

/// The root of a warehouse, and the storage that it is in.
#[derive(Debug)]
struct Root {
    location: Location,
    profile: StorageProfile,
    /// The name of the warehouse if it belongs to the same organisation as the new one. Other names are secret.
    name: Option<String>,
}

impl Admin {
    /// Checks that the warehouse's name is free, and that its root does not overlap another root or the data folder.
    /// Follows symbolic links on the local disk.
    ///
    /// # Errors
    /// `TooMany`; `Exists`; `Conflict`; `Invalid` for the data folder, and for a path that cannot be followed.
    pub(super) async fn check_root(
        &self,
        of: &Organisation,
        new: &Warehouse,
        root: &Location,
    ) -> Result<(), AdminError> {
        let mut others = Vec::new();
        for organisation in self.store.organisation_list().await? {
            let all = self.store.warehouse_list(organisation.id).await?;
            let is_own = organisation.id == of.id;
            if is_own && all.len() >= WAREHOUSES {
                return Err(AdminError::TooMany(format!(
                    "Organisation '{}' has {WAREHOUSES} warehouses, the maximum",
                    of.name
                )));
            }
            if is_own && all.iter().any(|other| other.name == new.name) {
                return Err(AdminError::Exists(format!(
                    "Organisation '{}' has a warehouse '{}' already",
                    of.name, new.name
                )));
            }
            // A root that is not a location overlaps no other.
            others.extend(all.into_iter().filter_map(|other| {
                let location = Location::parse(&other.root).ok()?;
                Some(Root { location, profile: other.storage.profile, name: is_own.then_some(other.name) })
            }));
        }
        if new.storage.profile == StorageProfile::File {
            let (root, data_folder) = (root.clone(), self.config.data_folder().map(Path::to_owned));
            // The disk may be slow. Checks the data folder first, because a root around it may contain other roots too.
            let checked =
                tokio::task::spawn_blocking(move || check_on_disk(&root, data_folder.as_deref(), &others)).await;
            return checked.map_err(|error| AdminError::Failed(error.to_string().into()))?;
        }
        let own = (&new.storage.profile, root);
        match others.iter().find(|other| roots_overlap(own, (&other.profile, &other.location))) {
            Some(other) => Err(taken(root, other)),
            None => Ok(()),
        }
    }
}

/// Checks that a root on the local disk does not overlap the data folder or another root, after following links.
fn check_on_disk(root: &Location, data_folder: Option<&Path>, others: &[Root]) -> Result<(), AdminError> {
    let path = Path::new(root.path());
    let real = follow(path)
        .map_err(|error| AdminError::Invalid(format!("The folder of root {root} cannot be used: {error}")))?;
    // The server runs in its data folder, so its path can be followed.
    let data = data_folder.map(|folder| follow(folder).unwrap_or_else(|_| folder.to_owned()));
    if let Some(data) = data
        && is_shared(&real, &data)
    {
        return Err(AdminError::Invalid(format!(
            "Root {root}{} overlaps the server's data folder {}, which contains the catalog's database and keys: choose \
             a folder outside of it",
            leads_to(path, &real),
            data.display()
        )));
    }
    let on_disk = others.iter().filter(|other| other.profile == StorageProfile::File);
    for other in on_disk {
        let other_path = Path::new(other.location.path());
        let other_real = follow(other_path).unwrap_or_else(|_| other_path.to_owned());
        if is_shared(path, other_path) || is_shared(&real, &other_real) {
            return Err(taken(root, other));
        }
    }
    Ok(())
}

/// Returns whether one path contains the other, or both are the same.
fn is_shared(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Describes the target of a path with links, for a message.
fn leads_to(path: &Path, real: &Path) -> String {
    if path == real { String::new() } else { format!(" (a link that leads to {})", real.display()) }
}

/// Returns the path after following its links. Parts that do not exist stay unchanged.
fn follow(path: &Path) -> io::Result<PathBuf> {
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(real) => {
                let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
            }
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(existing).is_err() => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", existing.display()))),
        }
    }
    Ok(path.to_owned())
}

fn taken(root: &Location, by: &Root) -> AdminError {
    let by = by.name.as_ref().map_or_else(|| "another warehouse".to_owned(), |name| format!("warehouse '{name}'"));
    AdminError::Conflict(format!("Root {root} overlaps that of {by}: choose a folder that no other warehouse uses"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn location(path: &Path) -> Location {
        Location::parse(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn root_at_in_or_around_the_data_folder_is_refused_also_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let data = at("srv/data");
        fs::create_dir_all(&data).unwrap();
        symlink(&data, at("to-data")).unwrap();
        symlink(at("srv"), at("around")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        let check =
            |name: &str| check_on_disk(&location(&at(name)), Some(&data), &[]).map_err(|error| error.to_string());
        for name in ["srv/data", "srv/data/new/lake", "srv", "to-data", "to-data/lake", "around"] {
            let told = check(name).unwrap_err();
            assert!(told.contains("the server's data folder"), "{name}: {told}");
        }
        assert!(check("to-data").unwrap_err().contains("a link that leads to"), "the message names the link");
        assert!(check("dangling/lake").unwrap_err().contains("cannot be used"));
        for name in ["srv/lake", "srv/data2", "around/lake", "new/lake"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let linked = check_on_disk(&location(&at("srv/data")), Some(&at("to-data")), &[]);
        assert!(linked.is_err(), "the data folder's own links are followed");
    }

    #[test]
    fn root_that_reaches_another_through_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("lake/inner")).unwrap();
        symlink(at("lake"), at("link")).unwrap();
        let root = |name: &str, named: Option<&str>| Root {
            location: location(&at(name)),
            profile: StorageProfile::File,
            name: named.map(str::to_owned),
        };
        let check = |new: &str, other: Root| {
            let checked = check_on_disk(&location(&at(new)), Some(&at("data")), &[other]);
            checked.map_err(|error| error.to_string())
        };
        assert!(check("link/inner", root("lake", Some("lake"))).unwrap_err().contains("that of warehouse 'lake'"));
        assert!(check("lake", root("link/new", None)).unwrap_err().contains("that of another warehouse"));
        assert_eq!(check("other", root("link", None)), Ok(()));
    }
}
