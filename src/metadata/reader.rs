//! Reads whole objects, up to a limit. Large ones reserve memory first, which organisations share fairly.

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

/// Objects up to this size are read in one request, without waiting for memory. A larger object takes two requests: the first
/// returns only its size.
const READ_AT_ONCE_BYTES: u64 = 1 << 20;

/// The default limit for documents that are read or written, unpacked.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 << 20;

/// Reads metadata documents and manifests.
#[derive(Debug, Clone)]
pub struct ObjectReader {
    heavy: Arc<Heavy>,
    /// Shared by all clones, since a reload of the settings can change it.
    limit_bytes: Arc<AtomicU64>,
}

/// A read object. A large one has reserved memory.
#[derive(Debug)]
pub struct ReadObject {
    /// The whole object.
    pub bytes: Bytes,
    reserved: Option<Permit>,
}

/// Why an object was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The object is larger than the limit.
    #[error(
        "has {size_bytes} bytes, of {limit_bytes} allowed. An administrator can raise the limit with the setting 'limits.document_bytes'"
    )]
    TooLarge {
        /// The object's size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(StorageError),
    /// No worker or memory became free in time.
    #[error(transparent)]
    Heavy(#[from] crate::heavy::HeavyError),
}

impl Default for ObjectReader {
    fn default() -> Self {
        Self::new(Arc::default(), DEFAULT_LIMIT_BYTES)
    }
}

/// The result of unpacking and parsing.
enum Parsed<M> {
    /// The JSON, its metadata, and the violations of the specification that were found.
    Done(Box<(Bytes, M, Vec<String>)>),
    /// The document unpacks to more bytes than were reserved.
    LargerThanPromised,
}

impl ObjectReader {
    /// Creates a reader of objects of at most `limit_bytes`, unpacked. It processes large ones on the workers of `heavy`.
    #[must_use]
    pub fn new(heavy: Arc<Heavy>, limit_bytes: u64) -> Self {
        Self { heavy, limit_bytes: Arc::new(AtomicU64::new(limit_bytes)) }
    }

    /// Returns the workers.
    #[must_use]
    pub const fn heavy(&self) -> &Arc<Heavy> {
        &self.heavy
    }

    /// Returns the limit for objects, unpacked, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Sets the limit for objects, for every clone of this reader.
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

    /// Runs `work` on an object. Work on a large one runs on a worker, within its reserved memory.
    ///
    /// # Errors
    /// `Heavy`.
    pub async fn work<T: Send + 'static>(
        &self,
        storage: &Storage,
        object: ReadObject,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let size_bytes = object.bytes.len() as u64;
        self.work_as(storage, object, size_bytes, work).await
    }

    /// Runs `work` on an object on a worker, also if the object is small: a small packed object can be much work.
    ///
    /// # Errors
    /// `Heavy`.
    pub async fn work_on_worker<T: Send + 'static>(
        &self,
        storage: &Storage,
        object: ReadObject,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let size_bytes = INLINE_BYTES.max(object.bytes.len() as u64);
        self.work_as(storage, object, size_bytes, work).await
    }

    async fn work_as<T: Send + 'static>(
        &self,
        storage: &Storage,
        object: ReadObject,
        size_bytes: u64,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let ReadObject { bytes, reserved } = object;
        Ok(match reserved {
            Some(reserved) => self.heavy.run_in(reserved, move || work(bytes)).await?,
            None => self.heavy.run(storage.owner(), size_bytes, move || work(bytes)).await?,
        })
    }

    /// Reserves memory for `working_bytes`, then reads an object of a known size.
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
        let failed = |error| to_metadata_error(location, error);
        // Read once, since a reload can change it meanwhile.
        let limit_bytes = self.limit_bytes();
        let mut object = self.read(storage, &at).await.map_err(failed)?;
        let mut unpacked_bytes = object.bytes.len() as u64;
        if gzip::is_compressed(&object.bytes) {
            unpacked_bytes = gzip::promised_bytes(&object.bytes).min(limit_bytes).max(unpacked_bytes);
            object = self.reserve_unpacked(storage, &at, object, unpacked_bytes).await.map_err(failed)?;
        }
        let mut parsed = self.parse::<M>(storage, object, unpacked_bytes).await.map_err(failed)?;
        if matches!(parsed, Ok(Parsed::LargerThanPromised)) && unpacked_bytes < limit_bytes {
            let object = self.read(storage, &at).await.map_err(failed)?;
            let object = self.reserve_unpacked(storage, &at, object, limit_bytes).await.map_err(failed)?;
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

    /// Reserves memory for the unpacked object. Frees a large object while it waits for memory, and reads it again.
    async fn reserve_unpacked(
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
            // The packed object is small enough to stay in memory while this waits.
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

fn to_metadata_error(location: &str, error: ReadError) -> MetadataError {
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

/// Logs a warning about a document that some readers refuse. Another catalog wrote it, or an older version of this one, which did
/// not check the rule.
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
