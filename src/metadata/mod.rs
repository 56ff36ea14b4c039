//! Metadata documents. They are immutable, so they are read once and cached as bytes to send and in parsed form to commit.

mod document;
mod error;
mod failures;
mod file_name;
mod gzip;
mod kind;
mod prepared;
mod reader;

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use tidewater_core::location::Location;
use tidewater_core::view::ViewMetadata;
use tokio::time::Instant;
use uuid::Uuid;

pub use document::Document;
pub use error::{MetadataError, UnreadableError};
pub use file_name::{Compression, metadata_folder, next_file_name, version_of};
pub use kind::Metadata;
pub use prepared::LoadResult;
pub use reader::{DEFAULT_LIMIT_BYTES, ObjectReader, ReadError, ReadObject};

use crate::base::deadline;
use crate::base::flight::Flights;
use crate::heavy::HeavyError;
use crate::storage::{Storage, StorageError};
use failures::SlowFailures;
use kind::Kept;

/// Reads, writes and keeps documents. The memory it takes is bounded by the bytes it was given.
#[derive(Debug)]
pub struct Documents {
    cache: Arc<Cache<Key, Kept, ByWeight>>,
    reader: ObjectReader,
    /// The documents that are being read, by what they are taken for.
    reads: Flights<(Key, &'static str), Result<Kept, MetadataError>>,
    slow_failures: Arc<SlowFailures<Key, MetadataError>>,
}

/// Where a document is, and in which form it is kept: in two storages, one location may be two objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    storage: Uuid,
    location: String,
    form: Form,
}

/// What is kept of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// All of it.
    Whole,
    /// The answer to a load that asks only for the snapshots that a branch or tag leads to.
    Refs,
}

/// A key that is only looked for.
#[derive(Hash)]
struct Lookup<'a> {
    storage: Uuid,
    location: &'a str,
    form: Form,
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.form == key.form && self.storage == key.storage && self.location == key.location
    }
}

impl<'a> Lookup<'a> {
    const fn new(storage: &Storage, location: &'a str) -> Self {
        Self { storage: storage.id(), location, form: Form::Whole }
    }

    const fn refs(storage: &Storage, location: &'a str) -> Self {
        Self { storage: storage.id(), location, form: Form::Refs }
    }

    fn key(&self) -> Key {
        Key { storage: self.storage, location: self.location.to_owned(), form: self.form }
    }
}

/// Weighs a document by the memory it takes.
#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<Key, Kept> for ByWeight {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        (key.location.len() + kept.size_bytes()) as u64
    }
}

impl Documents {
    /// A cache of at most `capacity_bytes` for the documents of all storages, with workers of its own.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self::with_reader(capacity_bytes, ObjectReader::default())
    }

    /// A cache of at most `capacity_bytes` for the documents of all storages, which `reader` reads.
    #[must_use]
    pub fn with_reader(capacity_bytes: u64, reader: ObjectReader) -> Self {
        const EXPECTED_DOCUMENT_BYTES: u64 = 16 * 1024;
        let expected_documents =
            usize::try_from(capacity_bytes / EXPECTED_DOCUMENT_BYTES).unwrap_or(usize::MAX).max(16);
        let cache = Arc::new(Cache::with_weighter(expected_documents, capacity_bytes, ByWeight));
        Self { cache, reader, reads: Flights::default(), slow_failures: Arc::default() }
    }

    /// Sets how many bytes the documents in memory may take; what is beyond goes.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.cache.set_capacity(capacity_bytes);
    }

    /// What reads the documents, and other objects.
    #[must_use]
    pub const fn reader(&self) -> &ObjectReader {
        &self.reader
    }

    /// Returns the table's document at `location`, from memory or from storage. Concurrent requests share one read.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub async fn get(&self, storage: &Storage, location: &str) -> Result<Arc<Document>, MetadataError> {
        self.find(storage, location).await
    }

    /// Returns the view's document at `location`, as [`Documents::get`] returns a table's.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub async fn get_view(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<ViewMetadata>>, MetadataError> {
        self.find(storage, location).await
    }

    /// Reads a table's document from storage, whatever is in memory: others may have removed its file.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub async fn get_anew(&self, storage: &Storage, location: &str) -> Result<Arc<Document>, MetadataError> {
        self.find_anew(storage, location).await
    }

    /// Reads a view's document from storage, as [`Documents::get_anew`] reads a table's.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub async fn get_view_anew(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<ViewMetadata>>, MetadataError> {
        self.find_anew(storage, location).await
    }

    /// Returns the answer to a load of a document that asks only for the snapshots that a branch or tag leads to. It is made
    /// once, and kept beside the document.
    ///
    /// # Errors
    /// When there is no worker or no memory for it in time.
    pub async fn load_result_of_refs(
        &self,
        storage: &Storage,
        document: &Arc<Document>,
    ) -> Result<LoadResult, HeavyError> {
        let lookup = Lookup::refs(storage, &document.location);
        let made = match self.cache.get(&lookup) {
            Some(Kept::Refs(made)) => made,
            _ => {
                let (source, bytes) = (Arc::clone(document), document.json.len() as u64);
                let make = move || {
                    let json = source.metadata.to_json_of_refs()?;
                    Some(LoadResult::new(&source.location, json.into()))
                };
                let made = self.reader.heavy().run(storage.owner(), bytes, make).await?;
                self.cache.insert(lookup.key(), Kept::Refs(made.clone()));
                made
            }
        };
        Ok(made.unwrap_or_else(|| document.load_result.clone()))
    }

    /// Fails when a document's file has been taken away since it was read: engines are given its location, and somebody
    /// who puts the file back expects the catalog to see that too. Only the local disk is asked, a few times in a second:
    /// of a document that is loaded more often, a missing file is noticed within a second.
    ///
    /// # Errors
    /// `Missing`.
    pub fn check_still_there<M>(&self, storage: &Storage, document: &Document<M>) -> Result<(), MetadataError> {
        if document.looks.take() && storage.was_taken_away(&document.place) {
            self.forget(storage, document);
            return Err(MetadataError::Missing(document.location.clone()));
        }
        Ok(())
    }

    /// Writes a new document and keeps it. It is durable when this returns.
    ///
    /// # Errors
    /// `Storage`, also when something is at `location` already; `Location`.
    pub async fn create<M: Metadata>(
        &self,
        storage: &Storage,
        location: String,
        metadata: M,
        compression: Compression,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let at = Location::parse(&location)?;
        let storage_key = Lookup::new(storage, "").key();
        if let Some(error) = self.slow_failures.since(request_begun(), &storage_key) {
            return Err(error);
        }
        let (metadata, json, stored) = self.serialise(storage, metadata, compression).await?;
        let begun = Instant::now();
        if let Err(error) = storage.create(&at, stored).await {
            let is_unavailable = matches!(error, StorageError::Unavailable { .. });
            let error = MetadataError::Storage(error);
            if is_unavailable {
                self.slow_failures.note(storage_key, begun, &error);
            }
            return Err(error);
        }
        let metadata = self.reader.heavy().large(json.len() as u64, metadata);
        let document = Arc::new(Document::new(location, at, json, metadata));
        self.cache.insert(Lookup::new(storage, &document.location).key(), M::keep(Arc::clone(&document)));
        Ok(document)
    }

    /// Creates the folder of a table's metadata, for a client that writes there before the table exists.
    ///
    /// # Errors
    /// `Storage`; `Location`.
    pub async fn prepare(&self, storage: &Storage, folder: &str) -> Result<(), MetadataError> {
        storage.prepare(&Location::parse(folder)?).await.map_err(MetadataError::Storage)
    }

    /// Drops a document that no pointer leads to any more from memory. It can still be read.
    pub fn forget<M>(&self, storage: &Storage, document: &Document<M>) {
        self.cache.remove(&Lookup::new(storage, &document.location));
        self.cache.remove(&Lookup::refs(storage, &document.location));
    }

    /// Removes a document that no pointer ever led to, so that a lost race leaves no file behind. Only logs a failure, since the
    /// file is harmless.
    pub async fn discard<M>(&self, storage: &Storage, document: &Document<M>) {
        self.forget(storage, document);
        if let Err(error) = storage.remove(&document.place).await {
            tracing::warn!(%error, "could not remove a metadata file that no pointer leads to");
        }
    }

    /// Returns how many bytes the documents in memory use.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Reads a document of either kind from storage, whatever is in memory.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub(crate) async fn find_anew<M: Metadata>(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let found = self.reader.document(storage, location).await;
        if matches!(found, Err(MetadataError::Missing(_))) {
            self.cache.remove(&Lookup::new(storage, location));
        }
        found
    }

    /// The document's JSON, and what is to be stored.
    async fn serialise<M: Metadata>(
        &self,
        storage: &Storage,
        metadata: M,
        compression: Compression,
    ) -> Result<(M, Bytes, Bytes), MetadataError> {
        let limit_bytes = self.reader.limit_bytes();
        let size_bytes = metadata.size_bytes() as u64;
        let serialise = move || {
            let json = Bytes::from(metadata.to_json());
            let size_bytes = json.len() as u64;
            if size_bytes > limit_bytes {
                return Err(MetadataError::TooLargeToWrite { size_bytes, limit_bytes });
            }
            let stored = match compression {
                Compression::None => json.clone(),
                Compression::Gzip => {
                    let packed = gzip::compress(&json);
                    packed.map_err(|error| MetadataError::Compress(Arc::new(error)))?.into()
                }
            };
            Ok((metadata, json, stored))
        };
        self.reader.heavy().run(storage.owner(), size_bytes, serialise).await?
    }

    /// Returns a document of either kind, from memory or, once for all who wait for it, from storage.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub(crate) async fn find<M: Metadata>(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let lookup = Lookup::new(storage, location);
        let kept = match self.cache.get(&lookup) {
            Some(kept) => kept,
            None => Box::pin(self.read_once::<M>(storage, lookup.key())).await?,
        };
        match M::kept(kept) {
            Some(document) => Ok(document),
            // It is of the other kind: reading it as this one tells what is wrong with it.
            None => Box::pin(self.reader.document(storage, location)).await,
        }
    }

    /// Reads a document that is not in memory: once for all who want it, whatever comes of it. Whoever's time is over stops
    /// waiting, and when nobody waits any more the read is given up.
    async fn read_once<M: Metadata>(&self, storage: &Storage, key: Key) -> Result<Kept, MetadataError> {
        if let Some(error) = self.slow_failures.since(request_begun(), &key) {
            return Err(error);
        }
        let read = self.reads.join(&(key.clone(), M::KIND), || {
            let (reader, storage, begun) = (self.reader.clone(), storage.clone(), Instant::now());
            let (cache, slow_failures) = (Arc::clone(&self.cache), Arc::clone(&self.slow_failures));
            let read = async move {
                match reader.document::<M>(&storage, &key.location).await {
                    Ok(document) => {
                        let kept = M::keep(document);
                        cache.insert(key, kept.clone());
                        Ok(kept)
                    }
                    Err(error) => {
                        if matches!(error, MetadataError::Storage(StorageError::Unavailable { .. })) {
                            slow_failures.note(key, begun, &error);
                        }
                        Err(error)
                    }
                }
            };
            // It is read for all who wait: the time of the first must not count for the others.
            deadline::scope(None, read).boxed()
        });
        deadline::within(read).await.map_err(HeavyError::from)?
    }
}

/// When the request began that asks, if it is one.
fn request_begun() -> Option<Instant> {
    deadline::current().map(|deadline| deadline.begun().into())
}

#[cfg(test)]
mod tests;
