//! Writes backups of the catalog's database to files, whole or not at all. Restores them into a data folder without a database.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::data_folder::owner::Owner;
use crate::data_folder::{self, FolderError, ServerLock};
use crate::store::{self, BackupError, CopyProgress, NotInside, Proceed};

/// The files and folders that may be in a data folder before a restore. None of them belongs to a catalog that would be lost.
const MAY_BE_THERE: [&str; 6] = ["master.key", "warehouse", "server.lock", "control.sock", "lost+found", RESTORING];

/// The name of the copy that a restore checks before it becomes the database. A killed restore leaves it behind.
const RESTORING: &str = "restore.partial";

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

/// The result of a backup or a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The size of the backup.
    pub size_bytes: u64,
    /// What a restore needs besides the backup.
    pub not_inside: NotInside,
}

/// A file that is removed on drop, unless it was renamed before.
struct Partial {
    path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Fails after a rename, which is right.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a backup of the catalog whose database is `database` to `file`, while a server may be using it. The file appears
/// under its name when it is complete, checked and synced. Only its owner can read it.
///
/// # Errors
/// `InDataFolder`; `Exists` without `overwrite`; `NoCatalog`; `File`; `Database`. An error leaves no file.
pub fn create(
    database: &Path,
    file: &Path,
    overwrite: bool,
    progress: &mut dyn FnMut(CopyProgress) -> Proceed,
) -> Result<Done, BackupFileError> {
    if !database.exists() {
        let folder = database.parent().unwrap_or(database);
        return Err(BackupFileError::NoCatalog(folder.to_owned()));
    }
    check_outside(database, file)?;
    if !overwrite && file.symlink_metadata().is_ok() {
        return Err(BackupFileError::Exists(file.to_owned()));
    }
    let partial = Partial { path: beside(file, &format!(".partial-{}", std::process::id())) };
    new_private(&partial.path, "create", true)?;
    let not_inside = store::backup(database, &partial.path, progress)?;
    let size_bytes = finish(&partial.path, file)?;
    Ok(Done { size_bytes, not_inside })
}

/// Fails if `file` is in the data folder, by any path: it could replace the database or a key.
fn check_outside(database: &Path, file: &Path) -> Result<(), BackupFileError> {
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

/// Restores the backup `file` into the data folder `folder`, as the database `database` in it. The backup is copied and the
/// copy is checked before it becomes the database.
///
/// # Errors
/// `NotEmpty`; `HasLog`; `File`; `Folder`, also if a server uses the folder; `Database` if the file is damaged, is not a backup,
/// or is from a newer version. An error leaves the folder without a database.
pub fn restore(file: &Path, folder: &Path, database: &Path) -> Result<Done, BackupFileError> {
    let mut from = File::open(file).map_err(cannot("read", file))?;
    if fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0) {
        return Err(BackupFileError::HasLog(file.to_owned()));
    }
    data_folder::prepare(folder, database)?;
    check_vacant(folder)?;
    let lock = ServerLock::take(folder)?;
    // Two restores may have found the folder vacant.
    check_vacant(folder)?;
    let partial = Partial { path: folder.join(RESTORING) };
    let mut to = new_private(&partial.path, "create", false)?;
    io::copy(&mut from, &mut to).map_err(cannot("copy the backup to", &partial.path))?;
    drop(to);
    let not_inside = store::check_backup(&partial.path).map_err(|error| name_backup(error, file))?;
    let size_bytes = finish(&partial.path, database)?;
    if let Some(owner) = Owner::for_root(folder) {
        owner.give_path(database).map_err(cannot("give away", database))?;
    }
    // The folder has a catalog from here on.
    lock.stopped();
    Ok(Done { size_bytes, not_inside })
}

fn check_vacant(folder: &Path) -> Result<(), BackupFileError> {
    for entry in fs::read_dir(folder).map_err(cannot("read", folder))? {
        let name = entry.map_err(cannot("read", folder))?.file_name();
        if !MAY_BE_THERE.iter().any(|known| name == *known) {
            let found = name.to_string_lossy().into_owned();
            return Err(BackupFileError::NotEmpty { path: folder.to_owned(), found });
        }
    }
    Ok(())
}

/// Puts the backup's path into an error about its copy.
fn name_backup(error: BackupError, file: &Path) -> BackupError {
    let path = file.to_owned();
    match error {
        BackupError::Damaged { problem, .. } => BackupError::Damaged { path, problem },
        BackupError::NotACatalog { .. } => BackupError::NotACatalog { path },
        BackupError::Open(error) => BackupError::Open(error.with_path(path)),
        other => other,
    }
}

/// Appends a suffix to a path's file name.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates an empty file that only its owner can read. Fails with `new` if the file exists.
fn new_private(path: &Path, action: &'static str, new: bool) -> Result<File, BackupFileError> {
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
fn finish(partial: &Path, file: &Path) -> Result<u64, BackupFileError> {
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

fn cannot<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BackupFileError + 'a {
    move |source| BackupFileError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
