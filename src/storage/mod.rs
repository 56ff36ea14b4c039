//! Object storage behind one door: documents are read and written by their location, whatever holds them.

mod local;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tidewater_core::location::Location;

/// Why storage did not give or take an object.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no object at that location.
    #[error("no object at {0}")]
    NotFound(Location),
    /// Something is there already, and nothing is ever overwritten.
    #[error("an object is at {0} already")]
    AlreadyExists(Location),
    /// No store is configured for this kind of location.
    #[error("locations of the kind '{0}://' are not configured")]
    NotConfigured(String),
    /// The store did not answer, refused, or is full.
    #[error("storage is not available for {location}: {source}")]
    Unavailable {
        /// What was to be read or written.
        location: Location,
        /// What it said.
        source: object_store::Error,
    },
}

/// The object stores that this process can reach.
#[derive(Debug, Clone)]
pub struct Storage {
    local: Arc<dyn ObjectStore>,
}

impl Default for Storage {
    fn default() -> Self {
        Self::local()
    }
}

impl Storage {
    /// The local disk.
    #[must_use]
    pub fn local() -> Self {
        Self { local: Arc::new(LocalFileSystem::new()) }
    }

    /// The whole object at `location`.
    ///
    /// # Errors
    /// `NotFound`, `NotConfigured`, `Unavailable`.
    pub async fn read(&self, location: &Location) -> Result<Bytes, StorageError> {
        let (store, path) = self.resolve(location)?;
        let got = store.get(&path).await.map_err(|error| translate(location, error))?;
        got.bytes().await.map_err(|error| translate(location, error))
    }

    /// Writes a new object; it is durable when this returns: a pointer must never outlive its document in a power cut.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one (which then is untouched), `NotConfigured`, `Unavailable`.
    pub async fn create(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        if location.scheme() != "file" {
            return Err(StorageError::NotConfigured(location.scheme().to_owned()));
        }
        let path = PathBuf::from(location.path());
        let created = tokio::task::spawn_blocking(move || local::create(&path, &bytes)).await;
        created.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StorageError::AlreadyExists(location.clone()),
            _ => local_error(location, error),
        })
    }

    /// Removes an object; it is no error when there is none.
    ///
    /// # Errors
    /// `NotConfigured`, `Unavailable`.
    pub async fn remove(&self, location: &Location) -> Result<(), StorageError> {
        let (store, path) = self.resolve(location)?;
        match store.delete(&path).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(translate(location, error)),
            _ => Ok(()),
        }
    }

    /// Whether an object that was read or written before has been taken away since, where to look costs next to nothing:
    /// on the local disk, where people move files by hand. Elsewhere, and when the look itself fails, the answer is no.
    #[must_use]
    pub fn was_taken_away(&self, location: &Location) -> bool {
        // Not in a task for blocking calls: that costs ten times the call itself, which takes about a microsecond.
        location.scheme() == "file" && matches!(std::path::Path::new(location.path()).try_exists(), Ok(false))
    }

    /// Makes ready a place that a client is about to write to. On the local disk a folder has to be there first (DuckDB
    /// writes a staged table's manifests before anything else is); elsewhere there are no folders.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made.
    pub async fn prepare(&self, folder: &Location) -> Result<(), StorageError> {
        if folder.scheme() != "file" {
            return Ok(());
        }
        tokio::fs::create_dir_all(folder.path()).await.map_err(|error| local_error(folder, error))
    }

    fn resolve(&self, location: &Location) -> Result<(&dyn ObjectStore, Path), StorageError> {
        match location.scheme() {
            "file" => Ok((self.local.as_ref(), literal(location)?)),
            other => Err(StorageError::NotConfigured(other.to_owned())),
        }
    }
}

/// The path as it is written: `Path::from` would escape a `%`, and so name another file than engines read.
fn literal(location: &Location) -> Result<Path, StorageError> {
    Path::parse(location.path())
        .map_err(|error| StorageError::Unavailable { location: location.clone(), source: error.into() })
}

fn local_error(location: &Location, error: io::Error) -> StorageError {
    let source = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) };
    StorageError::Unavailable { location: location.clone(), source }
}

fn translate(location: &Location, error: object_store::Error) -> StorageError {
    match error {
        object_store::Error::NotFound { .. } => StorageError::NotFound(location.clone()),
        object_store::Error::AlreadyExists { .. } => StorageError::AlreadyExists(location.clone()),
        source => StorageError::Unavailable { location: location.clone(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir, name: &str) -> Location {
        Location::parse(folder.path().to_str().unwrap()).unwrap().join(name).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_written_once_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        let at = place(&folder, "t/metadata/a b%20c+ü.json");
        storage.create(&at, Bytes::from_static(b"first")).await.unwrap();
        let second = storage.create(&at, Bytes::from_static(b"second")).await;
        assert!(matches!(second, Err(StorageError::AlreadyExists(_))), "{second:?}");
        assert_eq!(storage.read(&at).await.unwrap(), "first");
        assert_eq!(std::fs::read(folder.path().join("t/metadata/a b%20c+ü.json")).unwrap(), b"first");
    }

    #[tokio::test]
    async fn a_file_that_was_taken_away_is_missed_on_the_local_disk() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        let at = place(&folder, "a b%20c.json");
        storage.create(&at, Bytes::new()).await.unwrap();
        assert!(!storage.was_taken_away(&at));
        storage.remove(&at).await.unwrap();
        assert!(storage.was_taken_away(&at));
        assert!(!storage.was_taken_away(&Location::parse("s3://bucket/x").unwrap()));
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_from_what_cannot_be_reached() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        assert!(matches!(storage.read(&place(&folder, "none")).await, Err(StorageError::NotFound(_))));
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let below_a_file = storage.create(&place(&folder, "file/x"), Bytes::new()).await;
        assert!(matches!(below_a_file, Err(StorageError::Unavailable { .. })), "{below_a_file:?}");
        let s3 = Location::parse("s3://bucket/x").unwrap();
        assert!(matches!(storage.read(&s3).await, Err(StorageError::NotConfigured(_))));
        storage.remove(&place(&folder, "none")).await.unwrap();
    }
}
