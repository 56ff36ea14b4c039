//! Reads manifest lists and manifests by their location, within the limits of [`ObjectReader`].

use tidewater_core::location::Location;
use tidewater_manifests::{UnreadableError, files_of_manifest, manifests_of_list};

use super::error::ManifestError;
use crate::metadata::ObjectReader;
use crate::storage::Storage;

/// Reads the names in a file of at most so many bytes, unpacked.
type NamesIn = fn(&[u8], u64) -> Result<Vec<String>, UnreadableError>;

/// Reads the manifest lists and manifests in one warehouse's storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manifests<'a> {
    reader: &'a ObjectReader,
    storage: &'a Storage,
}

impl<'a> Manifests<'a> {
    /// Creates a reader. Large files are read in the memory of `reader`, and worked on by its workers.
    pub(crate) const fn new(reader: &'a ObjectReader, storage: &'a Storage) -> Self {
        Self { reader, storage }
    }

    /// Reads which manifests a manifest list names.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub(crate) async fn read_list(&self, location: &Location) -> Result<Vec<String>, ManifestError> {
        self.read(location, manifests_of_list).await
    }

    /// Reads which data files and delete files a manifest names.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub(crate) async fn read_manifest(&self, location: &Location) -> Result<Vec<String>, ManifestError> {
        self.read(location, files_of_manifest).await
    }

    async fn read(&self, location: &Location, names: NamesIn) -> Result<Vec<String>, ManifestError> {
        let object = self.reader.read(self.storage, location).await?;
        let limit_bytes = self.reader.limit_bytes();
        let named = self.reader.work(self.storage, object, move |bytes| names(&bytes, limit_bytes)).await?;
        named.map_err(ManifestError::unreadable)
    }
}
