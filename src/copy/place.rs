//! The databases that a copy reads and writes, opened under the lock of their data folder if they have one.

use std::path::PathBuf;

use super::CopyPlaceError;
use crate::data_folder::owner::Owner;
use crate::data_folder::{self, FolderLock};
use crate::store::{self, CopyStore, PostgresSettings};

/// The place of a catalog's database.
#[derive(Debug, Clone)]
pub enum CopyPlace {
    /// A file in a data folder.
    Sqlite {
        /// The data folder.
        folder: PathBuf,
        /// The file.
        database: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres(PostgresSettings),
}

/// An opened database.
pub struct OpenedPlace {
    store: Box<dyn CopyStore>,
    folder: Option<(PathBuf, FolderLock)>,
}

impl OpenedPlace {
    /// Opens the database of an existing catalog.
    ///
    /// # Errors
    /// Fails if there is no catalog, a server uses its data folder, or the database cannot be used.
    pub async fn source(place: &CopyPlace) -> Result<Self, CopyPlaceError> {
        match place {
            CopyPlace::Sqlite { folder, database } if !database.exists() => {
                Err(CopyPlaceError::NoCatalog(folder.clone()))
            }
            place => Self::open(place, true).await,
        }
    }

    /// Opens the database of a target, and creates it if it is missing.
    ///
    /// # Errors
    /// Fails if a server uses the data folder, or the database cannot be used.
    pub async fn target(place: &CopyPlace) -> Result<Self, CopyPlaceError> {
        Self::open(place, false).await
    }

    async fn open(place: &CopyPlace, must_exist: bool) -> Result<Self, CopyPlaceError> {
        let (folder, database) = match place {
            CopyPlace::Postgres(settings) => {
                return Ok(Self { store: store::open_copy_postgres(settings, must_exist).await?, folder: None });
            }
            CopyPlace::Sqlite { folder, database } => (folder, database),
        };
        data_folder::prepare(folder, database)?;
        let lock = FolderLock::take(folder)?;
        let store = store::open_copy_sqlite(database)?;
        if let Some(owner) = Owner::for_root(folder) {
            for suffix in ["", "-wal", "-shm"] {
                let mut path = database.as_os_str().to_owned();
                path.push(suffix);
                let path = PathBuf::from(path);
                owner.give_path(&path).map_err(|source| CopyPlaceError::File { path, source })?;
            }
        }
        Ok(Self { store, folder: Some((folder.clone(), lock)) })
    }

    /// Returns the database.
    #[must_use]
    pub fn store(&self) -> &dyn CopyStore {
        self.store.as_ref()
    }

    /// Records in the data folder that it has a catalog.
    ///
    /// # Errors
    /// Fails if the file of the folder's lock cannot be written.
    pub fn note_catalog(&self) -> Result<(), CopyPlaceError> {
        let Some((folder, lock)) = &self.folder else { return Ok(()) };
        lock.note_catalog().map_err(|source| CopyPlaceError::File { path: folder.clone(), source })
    }
}
