//! Copies large objects between storage and files, without holding them in memory. Backups use it.

use std::path::Path as FilePath;

use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, WriteMultipart};
use tidewater_core::location::Location;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Storage, StorageError, translate};

/// The size of a part of an upload, in bytes. S3 takes up to 10,000 parts, so an object has at most 156 GiB.
pub(super) const PART_BYTES: usize = 16 << 20;

/// How many parts are sent at the same time.
pub(super) const PARTS_AT_ONCE: usize = 2;

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its location.
    pub location: Location,
    /// Its size.
    pub size_bytes: u64,
    /// The time of its last change, by the storage's clock, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// Why an object was not copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The local file cannot be read or written.
    #[error("cannot use the file {}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Storage {
    /// Uploads a file as a new object. The object appears when it is complete. An upload that fails is cancelled.
    ///
    /// # Errors
    /// `Storage`; `File`.
    pub async fn upload(&self, file: &FilePath, location: &Location) -> Result<(), TransferError> {
        let (store, path) = self.resolve(location)?;
        let in_file = |source| TransferError::File { path: file.to_owned(), source };
        let in_storage = |error| TransferError::Storage(translate(location, error));
        let mut from = File::open(file).await.map_err(in_file)?;
        // One request is enough for a small file, and leaves no parts behind if the server is killed.
        if from.metadata().await.map_err(in_file)?.len() <= PART_BYTES as u64 {
            let content = tokio::fs::read(file).await.map_err(in_file)?;
            store.put(&path, content.into()).await.map_err(in_storage)?;
            return Ok(());
        }
        let upload = store.put_multipart(&path).await.map_err(in_storage)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut part = vec![0; PART_BYTES];
        loop {
            let sent = match from.read(&mut part).await {
                Ok(0) => break,
                Ok(read) => upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(in_storage).map(|()| read),
                Err(source) => Err(in_file(source)),
            };
            match sent {
                Ok(read) => upload.write(&part[..read]),
                Err(error) => {
                    // The storage may keep the parts of an upload that cannot be cancelled. The first error says more.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
        }
        upload.finish().await.map_err(in_storage)?;
        Ok(())
    }

    /// Downloads an object into a new file that only its owner can read.
    ///
    /// # Errors
    /// `Storage`; `File`. The file may be incomplete then.
    pub async fn download(&self, location: &Location, file: &FilePath) -> Result<(), TransferError> {
        let (store, path) = self.resolve(location)?;
        let in_file = |source| TransferError::File { path: file.to_owned(), source };
        let in_storage = |error| TransferError::Storage(translate(location, error));
        let got = store.get(&path).await.map_err(in_storage)?;
        let promised = got.meta.size;
        let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).await.map_err(in_file)?;
        let (mut content, mut written) = (got.into_stream(), 0_u64);
        while let Some(bytes) = content.next().await.transpose().map_err(in_storage)? {
            to.write_all(&bytes).await.map_err(in_file)?;
            written += bytes.len() as u64;
        }
        to.flush().await.map_err(in_file)?;
        if written != promised {
            return Err(in_storage(super::cut_short(promised, usize::try_from(written).unwrap_or(usize::MAX))));
        }
        Ok(())
    }

    /// Lists up to `at_most` objects below `folder`, in any order.
    ///
    /// # Errors
    /// `Elsewhere`, `Refused`, `Unavailable`.
    pub async fn list_with_sizes(&self, folder: &Location, at_most: usize) -> Result<Vec<ListedObject>, StorageError> {
        self.list_objects(folder)?.take(at_most).try_collect().await
    }

    /// Lists all objects below `folder`, in any order, page by page. Leaves out objects whose names are not those of a location.
    ///
    /// # Errors
    /// `Elsewhere`; each item `Refused`, `Unavailable`.
    pub fn list_objects<'a>(
        &'a self,
        folder: &'a Location,
    ) -> Result<impl Stream<Item = Result<ListedObject, StorageError>> + Send + 'a, StorageError> {
        let (store, path) = self.resolve(folder)?;
        let found = store.list(Some(&path)).map_err(|error| translate(folder, error));
        Ok(found.try_filter_map(move |object| {
            let rest = object.location.as_ref().strip_prefix(path.as_ref()).unwrap_or_default();
            let location = folder.join(rest.trim_start_matches('/')).ok();
            let (size_bytes, modified_ms) = (object.size, object.last_modified.timestamp_millis());
            futures_util::future::ok(location.map(|location| ListedObject { location, size_bytes, modified_ms }))
        }))
    }
}
