//! Detects a quickstart's data folder that was moved or copied. Metadata and manifests contain absolute paths, so they still
//! point to the files in the old folder.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tidewater_core::location::Location;

/// The warehouse's folder, in the data folder.
pub(super) const WAREHOUSE: &str = "warehouse";

/// Why a quickstart does not start from this folder, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotHere {
    /// The folder was moved.
    #[error(
        "this quickstart was made in {old}. Its tables' files contain that path, so they cannot be read from {new}. Move the \
         folder back (`mv '{new}' '{old}'`), link the old path to it (`ln -s '{new}' '{old}'`), or start a new quickstart in \
         an empty folder with --data-dir",
        old = old.display(), new = new.display()
    )]
    Moved {
        /// The folder in which it was made.
        old: PathBuf,
        /// The folder in which it is.
        new: PathBuf,
    },
    /// The folder is a copy.
    #[error(
        "this is a copy of the quickstart in {old}. Its tables' files contain that path, so both catalogs would change and \
         remove the same files. Start the original (--data-dir '{old}'), or a new quickstart in an empty folder",
        old = old.display()
    )]
    Copied {
        /// The folder of the original.
        old: PathBuf,
    },
}

/// Checks that the warehouse with the root `root` is in `data_dir`.
///
/// # Errors
/// Fails if it is in the folder from which `data_dir` was moved or copied. A warehouse that was created outside the data folder is
/// accepted.
pub(super) fn check(root: &str, data_dir: &Path) -> Result<(), NotHere> {
    let Ok(root) = Location::parse(root) else { return Ok(()) };
    let (there, here) = (Path::new(root.path()), data_dir.join(WAREHOUSE));
    let (true, Some(old)) = (root.scheme() == "file" && there.ends_with(WAREHOUSE), there.parent()) else {
        return Ok(());
    };
    // A link may lead to the same folder. Without a folder here, no tables were copied.
    if there == here || !here.is_dir() || is_same(there, &here) {
        return Ok(());
    }
    let old = old.to_owned();
    Err(if there.is_dir() { NotHere::Copied { old } } else { NotHere::Moved { old, new: data_dir.to_owned() } })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    id(one).is_some_and(|found| Some(found) == id(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path) -> String {
        fs::create_dir_all(folder.join(WAREHOUSE)).unwrap();
        format!("file://{}", folder.join(WAREHOUSE).display())
    }

    #[test]
    fn moved_folder_and_copied_folder_get_different_errors() {
        let parent = tempfile::tempdir().unwrap();
        let (old, new) = (parent.path().join("old"), parent.path().join("new"));
        let root = made(&old);
        assert_eq!(check(&root, &old), Ok(()));
        made(&new);
        assert_eq!(check(&root, &new), Err(NotHere::Copied { old: old.clone() }));
        fs::remove_dir_all(&old).unwrap();
        let moved = check(&root, &new).unwrap_err();
        assert!(moved.to_string().contains(&format!("ln -s '{}' '{}'", new.display(), old.display())), "{moved}");
        std::os::unix::fs::symlink(&new, &old).unwrap();
        assert_eq!(check(&root, &new), Ok(()), "the old path leads here");
    }

    #[test]
    fn warehouse_outside_the_data_folder_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path());
        for root in ["s3://bucket/warehouse", "file:///srv/lake", "abfss://c@a.dfs.core.windows.net/warehouse"] {
            assert_eq!(check(root, folder.path()), Ok(()), "{root}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(check("file:///elsewhere/warehouse", empty.path()), Ok(()), "no tables were copied");
    }
}
