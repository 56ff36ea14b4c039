//! Reads parts of objects, and writes large new objects piece by piece, without holding them in memory. Rewrites of data files
//! use it.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use object_store::{ObjectStoreExt, WriteMultipart};
use tidewater_core::location::Location;

use super::local::NewFile;
use super::transfer::{PART_BYTES, PARTS_AT_ONCE};
use super::{Backend, Storage, StorageError, cut_short, local_error, translate};

/// A new object that is being written.
pub struct NewObject {
    storage: Storage,
    location: Location,
    /// The pieces so far, while the object is small enough for one request.
    first: Vec<u8>,
    large: Option<Large>,
}

/// A new object that is larger than one request.
enum Large {
    File(NewFile, PathBuf),
    Parts(WriteMultipart),
}

impl std::fmt::Debug for NewObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewObject").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Storage {
    /// Reads a range of bytes of the object at `location`.
    ///
    /// # Errors
    /// `NotFound`, `Elsewhere`, `Refused`; `Unavailable`, also if the object ends before the range does.
    pub async fn read_range(&self, location: &Location, range: Range<u64>) -> Result<Bytes, StorageError> {
        let length = range.end.saturating_sub(range.start);
        let read = async {
            let (store, path) = self.resolve(location)?;
            let bytes = store.get_range(&path, range).await.map_err(|error| translate(location, error))?;
            if bytes.len() as u64 == length {
                Ok(bytes)
            } else {
                Err(translate(location, cut_short(length, bytes.len())))
            }
        };
        self.measured("read", location, read).await
    }

    /// Begins a new object with a name that no other has. It appears when it is finished.
    #[must_use]
    pub fn begin_object(&self, location: Location) -> NewObject {
        NewObject { storage: self.clone(), location, first: Vec::new(), large: None }
    }
}

impl NewObject {
    /// Appends a piece.
    ///
    /// # Errors
    /// `AlreadyExists`, `Elsewhere`, `Impossible`, `BelowFile`, `NoSpace`, `Refused`, `Unavailable`. The object must be
    /// discarded then.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), StorageError> {
        if self.large.is_none() {
            self.first.extend_from_slice(piece);
            if self.first.len() < PART_BYTES {
                return Ok(());
            }
            self.large = Some(self.begin_large().await?);
            let first = std::mem::take(&mut self.first);
            return self.append(first.into()).await;
        }
        self.append(Bytes::copy_from_slice(piece)).await
    }

    async fn begin_large(&self) -> Result<Large, StorageError> {
        let (store, path) = self.storage.resolve(&self.location)?;
        if matches!(self.storage.backend, Backend::Local(_)) {
            let path = PathBuf::from(self.location.path());
            let file = on_disk(&path, NewFile::create).await;
            return file.map(|file| Large::File(file, path.clone())).map_err(|error| self.local_error(&path, error));
        }
        let upload = store.put_multipart(&path).await.map_err(|error| translate(&self.location, error))?;
        Ok(Large::Parts(WriteMultipart::new_with_chunk_size(upload, PART_BYTES)))
    }

    async fn append(&mut self, piece: Bytes) -> Result<(), StorageError> {
        match &mut self.large {
            Some(Large::Parts(parts)) => {
                let sent = parts.wait_for_capacity(PARTS_AT_ONCE).await;
                sent.map_err(|error| translate(&self.location, error))?;
                parts.put(piece);
                Ok(())
            }
            Some(Large::File(file, path)) => {
                let path = path.clone();
                let written = file.write(piece).await;
                written.map_err(|error| self.local_error(&path, error))
            }
            None => Ok(()),
        }
    }

    /// Ends the object. It is durable when this returns.
    ///
    /// # Errors
    /// Those of [`Storage::create`].
    pub async fn finish(mut self) -> Result<(), StorageError> {
        match self.large.take() {
            None => self.storage.create(&self.location, std::mem::take(&mut self.first).into()).await,
            Some(Large::Parts(parts)) => {
                parts.finish().await.map(|_| ()).map_err(|error| translate(&self.location, error))
            }
            Some(Large::File(file, path)) => file.finish().await.map_err(|error| self.local_error(&path, error)),
        }
    }

    /// Ends the upload of an object that is not wanted any more. Ignores a failure: the storage may keep the parts then.
    pub async fn discard(mut self) {
        match self.large.take() {
            Some(Large::Parts(parts)) => drop(parts.abort().await),
            Some(Large::File(file, path)) => {
                drop(file);
                drop(tokio::fs::remove_file(path).await);
            }
            None => {}
        }
    }

    fn local_error(&self, path: &FilePath, error: std::io::Error) -> StorageError {
        local_error(&self.location, path, self.storage.root(), error)
    }
}

async fn on_disk<T: Send + 'static>(path: &FilePath, work: fn(&FilePath) -> std::io::Result<T>) -> std::io::Result<T> {
    let path = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir, name: &str) -> Location {
        Location::parse(folder.path().to_str().unwrap()).unwrap().join(name).unwrap()
    }

    #[tokio::test]
    async fn pieces_of_a_small_and_a_large_object_are_read_back_by_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        for pieces in [3, 40] {
            let at = place(&folder, &format!("new/folder/{pieces}.parquet"));
            let mut object = storage.begin_object(at.clone());
            for piece in 0..pieces {
                object.write(&vec![piece; 1 << 20]).await.unwrap();
            }
            object.finish().await.unwrap();
            let all = storage.read(&at).await.unwrap();
            assert_eq!(all.len(), usize::from(pieces) << 20);
            let part = storage.read_range(&at, (2 << 20) - 1..(2 << 20) + 1).await.unwrap();
            assert_eq!(part[..], [1, 2]);
            let behind = storage.read_range(&at, all.len() as u64 - 1..all.len() as u64 + 1).await;
            assert!(matches!(behind, Err(StorageError::Unavailable { .. })), "{behind:?}");
        }
    }

    #[tokio::test]
    async fn discarded_object_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for pieces in [1, 20] {
            let at = place(&folder, "x.parquet");
            let mut object = Storage::local().begin_object(at);
            for _ in 0..pieces {
                object.write(&vec![7; 1 << 20]).await.unwrap();
            }
            object.discard().await;
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn object_never_replaces_an_existing_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = place(&folder, "x.parquet");
        Storage::local().create(&at, Bytes::from_static(b"old")).await.unwrap();
        let mut small = Storage::local().begin_object(at.clone());
        small.write(b"new").await.unwrap();
        assert!(matches!(small.finish().await, Err(StorageError::AlreadyExists(_))));
        let mut large = Storage::local().begin_object(at.clone());
        let written = large.write(&vec![7; 17 << 20]).await;
        assert!(matches!(written, Err(StorageError::AlreadyExists(_))), "{written:?}");
        large.discard().await;
        assert_eq!(Storage::local().read(&at).await.unwrap(), "old");
    }
}
