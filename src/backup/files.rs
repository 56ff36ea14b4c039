//! Files of backups: created privately, synced, renamed when they are complete, and removed when they are not.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::data_folder::FolderError;
use crate::store::BackupError;

/// Why a backup file was not written, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupFileError {
    /// The backup file exists already.
    #[error("{} exists already: choose another name, or replace it with --overwrite", .0.display())]
    Exists(PathBuf),
    /// The backup file would be in the data folder, among the catalog's own files.
    #[error(
        "{} is in the data folder of the catalog: choose a folder outside of it, best on another disk, for backups", .0.display()
    )]
    InDataFolder(PathBuf),
    /// The folder has no catalog.
    #[error("there is no catalog in {}: name its folder with --data-dir", .0.display())]
    NoCatalog(PathBuf),
    /// The data folder has other files.
    #[error(
        "{} is not empty (it holds {found}): a restore never replaces a catalog. Choose an empty folder with --data-dir, or \
         move its contents away first", path.display()
    )]
    NotEmpty {
        /// The data folder.
        path: PathBuf,
        /// The name of the first other file in it.
        found: String,
    },
    /// The file has a log beside it, so it is a database in use or a plain copy of one.
    #[error(
        "{} is not a whole backup: its newest changes are in {}-wal. Make a backup with `tidewater backup`",
        .0.display(), .0.display()
    )]
    HasLog(PathBuf),
    /// A file cannot be read, written or moved.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The failed action, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be copied, or the backup cannot be used.
    #[error(transparent)]
    Database(#[from] BackupError),
}

/// A file that is removed on drop, unless it was renamed before.
pub(super) struct Partial {
    pub(super) path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Fails after a rename, which is right.
        let _ = fs::remove_file(&self.path);
    }
}

/// Fails if `file` is in the data folder, by any path: it could replace the database or a key.
pub(super) fn check_outside(database: &Path, file: &Path) -> Result<(), BackupFileError> {
    let inside = database.parent().unwrap_or(database);
    let inside = inside.canonicalize().map_err(cannot("look at", inside))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A missing folder has nothing to replace. Creating the file reports it.
    let folder = folder.canonicalize().ok();
    // The file itself may be a link into the data folder.
    let target = file.canonicalize().ok();
    if folder.into_iter().chain(target).any(|path| path.starts_with(&inside)) {
        return Err(BackupFileError::InDataFolder(file.to_owned()));
    }
    Ok(())
}

/// Appends a suffix to a path's file name.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates an empty file that only its owner can read. Fails with `new` if the file exists.
pub(super) fn new_private(path: &Path, action: &'static str, new: bool) -> Result<File, BackupFileError> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if new {
        options.create_new(true)
    } else {
        options.create(true).truncate(true)
    };
    options.open(path).map_err(cannot(action, path))
}

/// Syncs a complete file and renames it to its final name. Returns its size in bytes.
pub(super) fn finish(partial: &Path, file: &Path) -> Result<u64, BackupFileError> {
    let complete = File::open(partial).map_err(cannot("read", partial))?;
    complete.sync_all().map_err(cannot("sync", partial))?;
    fs::rename(partial, file).map_err(cannot("write", file))?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot("sync", folder))?;
    Ok(complete.metadata().map_err(cannot("read", file))?.len())
}

pub(super) fn cannot<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BackupFileError + 'a {
    move |source| BackupFileError::File { action, path: path.to_owned(), source }
}
