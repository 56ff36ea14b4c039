//! Writes backups of the catalog's database to files, whole or not at all. Restores them into a data folder without a database.
//!
//! A server also makes backups by itself, in a folder or bucket (`scheduled.rs`).

mod files;
mod measures;
mod names;
mod packing;
mod place;
mod scheduled;
mod series;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::base::clock::Clock;
use crate::data_folder::owner::Owner;
use crate::data_folder::{self, ServerLock};
use crate::store::{self, BackupError, CopyProgress, NotInside, Proceed};
use files::{Partial, beside, cannot, check_outside, finish, new_private};
use series::SERIES_FILE;

pub use files::BackupFileError;
pub use measures::BackupMeasures;
pub use names::{BackupName, Retention};
pub use place::{BackupPlace, BackupPlaceError, ListedBackup};
pub use scheduled::ScheduledBackups;

/// The files and folders that may be in a data folder before a restore. None of them belongs to a catalog that would be lost.
const MAY_BE_THERE: [&str; 8] =
    ["master.key", "warehouse", "server.lock", "control.sock", "lost+found", SERIES_FILE, RESTORING, FETCHED];

/// The name of the copy that a restore checks before it becomes the database. A killed restore leaves it behind.
const RESTORING: &str = "restore.partial";

/// The name of a backup from a bucket that is being restored.
const FETCHED: &str = "restore.fetched";

/// The result of a backup or a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The size of the backup.
    pub size_bytes: u64,
    /// What a restore needs besides the backup.
    pub not_inside: NotInside,
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

/// Restores the backup `file`, which may be compressed, into the data folder `folder`, as the database `database` in it. The backup
/// is copied and the copy is checked before it becomes the database.
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
    let to = new_private(&partial.path, "create", false)?;
    packing::unpack(&mut from, &to, &|| false).map_err(cannot("copy the backup to", &partial.path))?;
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

/// Restores a backup from the folder or bucket of scheduled backups, as [`restore`] does: the one with this name, or else the newest that
/// has no time in the future. Returns its path or URL.
///
/// # Errors
/// As for [`restore`]; `Empty`, `OnlyFuture` or `SeveralSeries` without a name; if the place cannot be read.
pub async fn restore_from(
    place: &BackupPlace,
    name: Option<&BackupName>,
    folder: &Path,
    database: &Path,
    clock: &Clock,
) -> Result<(String, Done), BackupPlaceError> {
    let name = match name {
        Some(name) => name.clone(),
        None => place.newest(clock.now_ms()).await?,
    };
    // Before a long download.
    data_folder::prepare(folder, database).map_err(BackupFileError::from)?;
    check_vacant(folder)?;
    let fetched = Partial { path: folder.join(FETCHED) };
    // A killed restore may have left it.
    let _ = fs::remove_file(&fetched.path);
    let file = place.fetch(&name, &fetched.path).await?;
    let (folder, database) = (folder.to_owned(), database.to_owned());
    let restoring = tokio::task::spawn_blocking(move || restore(&file, &folder, &database));
    let done = restoring.await.map_err(|error| cannot("restore", &fetched.path)(io::Error::other(error)))??;
    Ok((place.path_of(&name), done))
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

#[cfg(test)]
mod tests;
