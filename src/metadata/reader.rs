//! Reads whole objects: no larger than is allowed, and large ones in memory that is shared fairly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidewater_core::location::Location;

use super::document::Document;
use super::error::{MetadataError, UnreadableError};
use super::gzip;
use super::kind::Metadata;
use crate::heavy::{Heavy, INLINE_BYTES, Permit};
use crate::storage::{Storage, StorageError};

/// Objects up to this size are read in one request, without waiting for memory. A larger one is asked for twice: what the
/// first answer tells is its size.
const READ_AT_ONCE_BYTES: u64 = 1 << 20;

/// The largest document that is read or written unless a setting says otherwise, unpacked.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 << 20;

/// Reads metadata documents and manifests.
#[derive(Debug, Clone)]
pub struct ObjectReader {
    heavy: Arc<Heavy>,
    /// Shared by all copies, as it can change while they are in use.
    limit_bytes: Arc<AtomicU64>,
}

/// What was read, with the memory that was reserved for it when it is large.
#[derive(Debug)]
pub struct ReadObject {
    /// The object, whole.
    pub bytes: Bytes,
    reserved: Option<Permit>,
}

/// Why an object was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It is larger than is read.
    #[error(
        "has {size_bytes} bytes, of {limit_bytes} allowed. An administrator can raise the limit with the setting 'limits.document_bytes'"
    )]
    TooLarge {
        /// How large it is.
        size_bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// Storage did not give it.
    #[error(transparent)]
    Storage(StorageError),
    /// There was no memory for it, or no worker, in time.
    #[error(transparent)]
    Heavy(#[from] crate::heavy::HeavyError),
}

impl Default for ObjectReader {
    fn default() -> Self {
        Self::new(Arc::default(), DEFAULT_LIMIT_BYTES)
    }
}

/// What unpacking and parsing gave.
enum Parsed<M> {
    /// The JSON, what it says, and what is wrong with it all the same.
    Done(Box<(Bytes, M, Vec<String>)>),
    /// It unpacks to more than was reserved for it.
    LargerThanPromised,
}

impl ObjectReader {
    /// Reads objects of at most `limit_bytes`, unpacked, and works on the large ones on `heavy`'s workers.
    #[must_use]
    pub fn new(heavy: Arc<Heavy>, limit_bytes: u64) -> Self {
        Self { heavy, limit_bytes: Arc::new(AtomicU64::new(limit_bytes)) }
    }

    /// The workers.
    #[must_use]
    pub const fn heavy(&self) -> &Arc<Heavy> {
        &self.heavy
    }

    /// The largest object that is read, unpacked.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Sets that, for every copy of this reader.
    pub fn set_limit_bytes(&self, limit_bytes: u64) {
        self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// All of [`ReadError`].
    pub async fn read(&self, storage: &Storage, location: &Location) -> Result<ReadObject, ReadError> {
        match storage.read_at_most(location, READ_AT_ONCE_BYTES.min(self.limit_bytes())).await {
            Ok(bytes) => Ok(ReadObject { bytes, reserved: None }),
            Err(StorageError::TooLarge { size_bytes, .. }) => {
                self.read_reserved(storage, location, size_bytes, size_bytes).await
            }
            Err(error) => Err(ReadError::Storage(error)),
        }
    }

    /// Does work on an object: on a worker when it is large, in the memory that was reserved for it.
    ///
    /// # Errors
    /// `Heavy`.
    pub async fn work<T: Send + 'static>(
        &self,
        storage: &Storage,
        object: ReadObject,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let ReadObject { bytes, reserved } = object;
        let size_bytes = bytes.len() as u64;
        Ok(match reserved {
            Some(reserved) => self.heavy.run_in(reserved, move || work(bytes)).await?,
            None => self.heavy.run(storage.owner(), size_bytes, move || work(bytes)).await?,
        })
    }

    /// Reads an object of a known size once there is memory for `working_bytes`.
    async fn read_reserved(
        &self,
        storage: &Storage,
        location: &Location,
        size_bytes: u64,
        working_bytes: u64,
    ) -> Result<ReadObject, ReadError> {
        let limit_bytes = self.limit_bytes();
        if size_bytes > limit_bytes {
            return Err(ReadError::TooLarge { size_bytes, limit_bytes });
        }
        let reserved = self.heavy.reserve(storage.owner(), working_bytes).await?;
        match storage.read_at_most(location, size_bytes).await {
            Ok(bytes) => Ok(ReadObject { bytes, reserved: Some(reserved) }),
            // It has grown since.
            Err(StorageError::TooLarge { size_bytes, .. }) => Err(ReadError::TooLarge { size_bytes, limit_bytes }),
            Err(error) => Err(ReadError::Storage(error)),
        }
    }

    /// Reads a metadata document.
    pub(super) async fn document<M: Metadata>(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let at = Location::parse(location)?;
        let failed = |error| failure(location, error);
        // Once: it can be changed meanwhile.
        let limit_bytes = self.limit_bytes();
        let mut object = self.read(storage, &at).await.map_err(failed)?;
        let mut unpacked_bytes = object.bytes.len() as u64;
        if gzip::is_compressed(&object.bytes) {
            unpacked_bytes = gzip::promised_bytes(&object.bytes).min(limit_bytes).max(unpacked_bytes);
            object = self.with_room(storage, &at, object, unpacked_bytes).await.map_err(failed)?;
        }
        let mut parsed = self.parse::<M>(storage, object, unpacked_bytes).await.map_err(failed)?;
        if matches!(parsed, Ok(Parsed::LargerThanPromised)) && unpacked_bytes < limit_bytes {
            let object = self.read(storage, &at).await.map_err(failed)?;
            let object = self.with_room(storage, &at, object, limit_bytes).await.map_err(failed)?;
            parsed = self.parse::<M>(storage, object, limit_bytes).await.map_err(failed)?;
        }
        match parsed {
            Ok(Parsed::Done(done)) => {
                let (json, metadata, problems) = *done;
                log_problems(location, &problems);
                let metadata = self.heavy.large(json.len() as u64, metadata);
                Ok(Arc::new(Document::new(location.to_owned(), at, json, metadata)))
            }
            Ok(Parsed::LargerThanPromised) => {
                let limit_bytes = self.limit_bytes();
                Err(MetadataError::UnpacksTooLarge { location: location.to_owned(), limit_bytes })
            }
            Err(source) => Err(MetadataError::Unreadable { location: location.to_owned(), source }),
        }
    }

    /// Sees to it that there is memory for what an object unpacks to. What was read is let go of while that is waited for,
    /// and read again.
    async fn with_room(
        &self,
        storage: &Storage,
        at: &Location,
        object: ReadObject,
        unpacked_bytes: u64,
    ) -> Result<ReadObject, ReadError> {
        if object.reserved.is_none() && unpacked_bytes < INLINE_BYTES {
            return Ok(object);
        }
        let stored_bytes = object.bytes.len() as u64;
        if object.reserved.is_none() {
            // Small enough to be held meanwhile.
            let reserved = Some(self.heavy.reserve(storage.owner(), unpacked_bytes).await?);
            return Ok(ReadObject { reserved, ..object });
        }
        drop(object);
        self.read_reserved(storage, at, stored_bytes, stored_bytes.max(unpacked_bytes)).await
    }

    async fn parse<M: Metadata>(
        &self,
        storage: &Storage,
        object: ReadObject,
        unpacked_bytes: u64,
    ) -> Result<Result<Parsed<M>, UnreadableError>, ReadError> {
        let parse = move |stored: Bytes| {
            let json = match gzip::is_compressed(&stored) {
                false => stored,
                true => match gzip::decompress(&stored, unpacked_bytes)? {
                    Some(json) => Bytes::from(json),
                    None => return Ok(Parsed::LargerThanPromised),
                },
            };
            let metadata = M::parse(&json)?;
            let problems = metadata.known_problems();
            Ok(Parsed::Done(Box::new((json, metadata, problems))))
        };
        self.work(storage, object, parse).await
    }
}

fn failure(location: &str, error: ReadError) -> MetadataError {
    let location = location.to_owned();
    match error {
        ReadError::TooLarge { size_bytes, limit_bytes } => {
            MetadataError::TooLarge { location, size_bytes, limit_bytes }
        }
        ReadError::Storage(StorageError::NotFound(_)) => MetadataError::Missing(location),
        ReadError::Storage(error) => MetadataError::Storage(error),
        ReadError::Heavy(error) => MetadataError::Heavy(error),
    }
}

/// Tells the operator of a document that some readers refuse: it was written before such documents were refused here, or by
/// another catalog.
fn log_problems(location: &str, problems: &[String]) {
    if let Some(first) = problems.first() {
        tracing::warn!(
            location,
            problems = problems.len(),
            first,
            "metadata breaks rules of the specification: `tidewater table check` lists them"
        );
    }
}
