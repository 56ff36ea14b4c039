//! Whether a quickstart's folder is still where it was made. Its tables' files name their absolute paths, in metadata and in
//! manifests, so nothing in a folder that was moved or copied leads to what came along.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tidewater_core::location::Location;

/// The warehouse's folder, in the data folder.
pub(super) const WAREHOUSE: &str = "warehouse";

/// Why a quickstart is not started from this folder, with what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotHere {
    /// The folder was moved.
    #[error(
        "this quickstart was made in {old}, and its tables' files name that path, so from {new} they cannot be read: move it \
         back (`mv '{new}' '{old}'`), or let the old path lead here (`ln -s '{new}' '{old}'`); to begin anew instead, name an \
         empty folder with --data-dir",
        old = old.display(), new = new.display()
    )]
    Moved {
        /// Where it was made.
        old: PathBuf,
        /// Where it is.
        new: PathBuf,
    },
    /// The folder is a copy.
    #[error(
        "this is a copy of the quickstart in {old}: its tables' files name that path, so both catalogs would change and remove \
         the same files: start the first (--data-dir '{old}'), or begin anew in an empty folder",
        old = old.display()
    )]
    Copied {
        /// Where the first is.
        old: PathBuf,
    },
}

/// Checks that the warehouse whose root is `root` is the one in `data_dir`.
///
/// # Errors
/// When it is the one of the folder from which `data_dir` was moved or copied. A warehouse that somebody put elsewhere on
/// purpose is fine.
pub(super) fn check(root: &str, data_dir: &Path) -> Result<(), NotHere> {
    let Ok(root) = Location::parse(root) else { return Ok(()) };
    let (there, here) = (Path::new(root.path()), data_dir.join(WAREHOUSE));
    let (true, Some(old)) = (root.scheme() == "file" && there.ends_with(WAREHOUSE), there.parent()) else {
        return Ok(());
    };
    // Another path may lead to the same folder, over a link; and without a folder here, no tables have come along.
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
    fn a_folder_that_was_moved_is_told_from_one_that_was_copied() {
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
    fn a_warehouse_that_is_elsewhere_on_purpose_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path());
        for root in ["s3://bucket/warehouse", "file:///srv/lake", "abfss://c@a.dfs.core.windows.net/warehouse"] {
            assert_eq!(check(root, folder.path()), Ok(()), "{root}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(check("file:///elsewhere/warehouse", empty.path()), Ok(()), "nothing has come along");
    }
}
