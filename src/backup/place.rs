//! The folder or bucket of scheduled backups.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidewater_core::location::Location;
use uuid::Uuid;

use super::files::{BackupFileError, beside, cannot, finish, new_private};
use super::names::{BackupName, CLOCK_TOLERANCE_S};
use crate::base::clock::fresh_uuid;
use crate::base::named_file;
use crate::base::url_text;
use crate::storage::{Budget, OpenError, Setup, Storage, StorageError, TransferError};
use crate::warehouse::{InvalidSettings, StorageSettings};

/// The most objects of a bucket that are listed.
const MOST_LISTED: usize = 100_000;

/// A backup in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBackup {
    /// Its name.
    pub name: BackupName,
    /// The size of its file.
    pub size_bytes: u64,
}

/// Why the folder or bucket of backups cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupPlaceError {
    /// The folder does not exist.
    #[error("the folder for backups {} does not exist: create it, or mount its disk", .0.display())]
    NoFolder(PathBuf),
    /// The text is not a location.
    #[error("'{to}' is not a place for backups: {problem}")]
    NotALocation {
        /// The text.
        to: String,
        /// Why.
        problem: String,
    },
    /// The file with the settings of the bucket cannot be read. The text repeats no value of it.
    #[error("the storage settings {} cannot be used: {problem}", path.display())]
    SettingsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The settings of the bucket are not valid.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The storage cannot be opened with its settings.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file was not copied to or from the storage.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A file of the folder cannot be used.
    #[error(transparent)]
    File(#[from] BackupFileError),
    /// The place has no backup.
    #[error("there is no scheduled backup in {0}")]
    Empty(String),
    /// All backups of the place have a time in the future.
    #[error(
        "the only backups have a time in the future, such as {0}: check this machine's clock, or name the backup to restore"
    )]
    OnlyFuture(String),
    /// The place has backups of several catalogs.
    #[error("{place} has backups of several data folders: name the backup to restore. The newest of each are {newest}")]
    SeveralSeries {
        /// The place.
        place: String,
        /// The newest backup of each series.
        newest: String,
    },
    /// The place has a file of this name.
    #[error("{0} exists already")]
    Exists(String),
}

/// A folder or a bucket for backups.
#[derive(Debug)]
pub struct BackupPlace(Kind);

#[derive(Debug)]
enum Kind {
    Folder(PathBuf),
    Bucket { storage: Box<Storage>, root: Location },
}

impl BackupPlace {
    /// Opens a place: a folder, or a bucket whose settings are in a file. Sends no request.
    ///
    /// # Errors
    /// `NotALocation`; `SettingsFile`, `Settings`, `Open` for a bucket.
    pub fn open(to: &str, storage_file: Option<&Path>, budget: Budget) -> Result<Self, BackupPlaceError> {
        let path = to.strip_prefix("file://").unwrap_or(to);
        if !path.contains("://") {
            return Ok(Self(Kind::Folder(path.into())));
        }
        let invalid = |problem: String| BackupPlaceError::NotALocation {
            to: url_text::masked(to).into_owned(),
            problem: url_text::masked(&problem).into_owned(),
        };
        let root = Location::parse(to.trim_end_matches('/')).map_err(|error| invalid(error.to_string()))?;
        let StorageSettings { profile, credentials } =
            StorageSettings::parse(storage_file.map(read_settings).transpose()?, &root)?;
        let setup = Setup { id: Uuid::nil(), root: &root, profile: &profile, credentials: &credentials, budget };
        let storage = Box::new(Storage::open(&setup)?);
        Ok(Self(Kind::Bucket { storage, root }))
    }

    /// Returns the folder. `None` for a bucket.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder),
            Kind::Bucket { .. } => None,
        }
    }

    /// Returns the path or URL of a backup, for people.
    #[must_use]
    pub fn path_of(&self, name: &BackupName) -> String {
        match &self.0 {
            Kind::Folder(folder) => folder.join(name.to_string()).display().to_string(),
            Kind::Bucket { root, .. } => format!("{root}/{name}"),
        }
    }

    /// Lists the backups of all series, oldest first. Other files are left out.
    ///
    /// # Errors
    /// `NoFolder`; `File`; `Storage`.
    pub async fn list(&self) -> Result<Vec<ListedBackup>, BackupPlaceError> {
        let mut all = match &self.0 {
            Kind::Folder(folder) => list_folder(folder)?,
            Kind::Bucket { storage, root } => {
                let objects = storage.list_with_sizes(root, MOST_LISTED).await?;
                let named = objects.into_iter().filter_map(|object| {
                    let name = object.location.as_str().strip_prefix(root.as_str())?.strip_prefix('/')?;
                    Some(ListedBackup { name: BackupName::parse(name)?, size_bytes: object.size_bytes })
                });
                named.collect()
            }
        };
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Writes a small file or object, and removes it.
    pub(super) async fn check(&self) -> Result<(), BackupPlaceError> {
        let name = format!(".tidewater-check-{}", fresh_uuid().simple());
        match &self.0 {
            Kind::Folder(folder) if !folder.is_dir() => Err(BackupPlaceError::NoFolder(folder.clone())),
            Kind::Folder(folder) => {
                let path = folder.join(name);
                blocking(move || {
                    drop(new_private(&path, "create", true)?);
                    Ok(fs::remove_file(&path).map_err(cannot("remove", &path))?)
                })
                .await
            }
            Kind::Bucket { storage, root } => {
                let invalid = |problem: String| BackupPlaceError::NotALocation { to: root.to_string(), problem };
                let object = root.join(&name).map_err(|error| invalid(error.to_string()))?;
                storage.create(&object, Bytes::from_static(b"tidewater")).await?;
                Ok(storage.remove(&object).await?)
            }
        }
    }

    /// Returns the newest backup at a time in milliseconds since 1970. Backups with a later time do not count: it is that of a wrong clock.
    ///
    /// # Errors
    /// `Empty`; `OnlyFuture`; `SeveralSeries`; those of [`Self::list`].
    pub async fn newest(&self, now_ms: i64) -> Result<BackupName, BackupPlaceError> {
        let latest_s = now_ms.div_euclid(1_000).saturating_add(CLOCK_TOLERANCE_S);
        let (all, future) = split_at(self.list().await?, latest_s);
        if let (true, Some(latest)) = (all.is_empty(), future.last()) {
            return Err(BackupPlaceError::OnlyFuture(self.path_of(&latest.name)));
        }
        let by_series: BTreeMap<&str, &BackupName> =
            all.iter().map(|backup| (backup.name.series.as_str(), &backup.name)).collect();
        match (by_series.len(), all.last()) {
            (0 | 1, Some(newest)) => Ok(newest.name.clone()),
            (_, None) => Err(BackupPlaceError::Empty(self.to_string())),
            _ => {
                let newest: Vec<String> = by_series.values().map(|name| name.to_string()).collect();
                Err(BackupPlaceError::SeveralSeries { place: self.to_string(), newest: newest.join(", ") })
            }
        }
    }

    /// Moves a complete file to the place. It appears there whole or not at all. Never replaces another file.
    pub(super) async fn put(&self, file: &Path, name: &BackupName) -> Result<(), BackupPlaceError> {
        match &self.0 {
            Kind::Folder(folder) => {
                let (file, to) = (file.to_owned(), folder.join(name.to_string()));
                blocking(move || move_file(&file, &to)).await
            }
            Kind::Bucket { storage, root } => {
                if self.list().await?.iter().any(|known| known.name == *name) {
                    return Err(BackupPlaceError::Exists(self.path_of(name)));
                }
                Ok(storage.upload(file, &object(root, name)?).await?)
            }
        }
    }

    /// Returns a local file with a backup: its own, or `copy` after a download.
    pub(super) async fn fetch(&self, name: &BackupName, copy: &Path) -> Result<PathBuf, BackupPlaceError> {
        match &self.0 {
            Kind::Folder(folder) => Ok(folder.join(name.to_string())),
            Kind::Bucket { storage, root } => {
                storage.download(&object(root, name)?, copy).await?;
                Ok(copy.to_owned())
            }
        }
    }

    /// Removes a backup. A missing one is no error.
    pub(super) async fn remove(&self, name: &BackupName) -> Result<(), BackupPlaceError> {
        match &self.0 {
            Kind::Folder(folder) => {
                let path = folder.join(name.to_string());
                blocking(move || match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", &path)(error).into()),
                    _ => Ok(()),
                })
                .await
            }
            Kind::Bucket { storage, root } => Ok(storage.remove(&object(root, name)?).await?),
        }
    }
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(folder) => write!(f, "{}", folder.display()),
            Kind::Bucket { root, .. } => write!(f, "{root}"),
        }
    }
}

fn object(root: &Location, name: &BackupName) -> Result<Location, BackupPlaceError> {
    let joined = root.join(&name.to_string());
    joined.map_err(|error| BackupPlaceError::NotALocation { to: root.to_string(), problem: error.to_string() })
}

/// Reads the settings of a storage from a TOML file, as `warehouse create --storage` does.
fn read_settings(path: &Path) -> Result<serde_json::Value, BackupPlaceError> {
    let unusable = |problem: String| BackupPlaceError::SettingsFile { path: path.to_owned(), problem };
    let text = named_file::read_text(path).map_err(|error| unusable(error.to_string()))?;
    // The parser's whole error quotes the file, which may contain a secret.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| unusable(error.message().to_owned()))?;
    serde_json::to_value(table).map_err(|_| unusable("a value has no form in JSON".to_owned()))
}

/// Divides backups, oldest first, into those up to a time in seconds since 1970, and later ones.
pub(super) fn split_at(mut all: Vec<ListedBackup>, latest_s: i64) -> (Vec<ListedBackup>, Vec<ListedBackup>) {
    let future = all.split_off(all.partition_point(|backup| backup.name.taken_s <= latest_s));
    (all, future)
}

fn list_folder(folder: &Path) -> Result<Vec<ListedBackup>, BackupPlaceError> {
    let entries = fs::read_dir(folder).map_err(|error| match error.kind() {
        ErrorKind::NotFound => BackupPlaceError::NoFolder(folder.to_owned()),
        _ => cannot("read", folder)(error).into(),
    })?;
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(cannot("read", folder))?;
        let Some(name) = entry.file_name().to_str().and_then(BackupName::parse) else { continue };
        match entry.metadata() {
            Ok(found) if found.is_file() => all.push(ListedBackup { name, size_bytes: found.len() }),
            // Another server may have removed it meanwhile.
            _ => {}
        }
    }
    Ok(all)
}

/// Moves a synced file to a new name, also on another disk.
fn move_file(file: &Path, to: &Path) -> Result<(), BackupPlaceError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupPlaceError::Exists(to.display().to_string()));
    }
    if file.parent() == to.parent() {
        finish(file, to)?;
        return Ok(());
    }
    let partial = beside(to, ".partial");
    let copied = copy_private(file, &partial).map_err(cannot("write", &partial));
    if let Err(error) = copied.and_then(|()| finish(&partial, to)) {
        // The first error says more.
        let _ = fs::remove_file(&partial);
        return Err(error.into());
    }
    Ok(())
}

fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut target = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

/// Runs file operations on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupPlaceError> + Send + 'static,
) -> Result<T, BackupPlaceError> {
    let stopped = |error| cannot("use", Path::new("the folder for backups"))(io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}
