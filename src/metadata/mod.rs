//! Reads, writes and caches metadata documents. They are immutable, so each is read once and cached as bytes, to answer loads, and
//! in parsed form, to apply commits.

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
use prometheus_client::metrics::counter::Counter;
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
use crate::base::trace::{self, Kind};
use crate::heavy::HeavyError;
use crate::storage::{Storage, StorageError};
use failures::SlowFailures;
use kind::Cached;

/// Reads, writes and caches documents. The cache is bounded in bytes.
#[derive(Debug)]
pub struct Documents {
    cache: Arc<Cache<Key, Cached, ByWeight>>,
    reader: ObjectReader,
    /// The running reads, by the document and the expected kind.
    reads: Flights<(Key, &'static str), Result<Cached, MetadataError>>,
    slow_failures: Arc<SlowFailures<Key, MetadataError>>,
    /// How often a document was not in the cache.
    misses: Counter,
}

/// The key of a cache entry. It has the storage, because one location can be two objects in two storages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    storage: Uuid,
    location: String,
    form: Form,
}

/// The form of a cached document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// The whole document.
    Whole,
    /// The answer to a load with only the snapshots that a branch or tag leads to.
    Refs,
}

/// A borrowed [`Key`], for lookups.
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

/// Weighs a cache entry by its memory in bytes.
#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<Key, Cached> for ByWeight {
    fn weight(&self, key: &Key, cached: &Cached) -> u64 {
        (key.location.len() + cached.size_bytes()) as u64
    }
}

impl Documents {
    /// Creates a cache of at most `capacity_bytes` for the documents of all storages, with a new reader.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self::with_reader(capacity_bytes, ObjectReader::default())
    }

    /// Creates a cache of at most `capacity_bytes` for the documents of all storages, which `reader` reads.
    #[must_use]
    pub fn with_reader(capacity_bytes: u64, reader: ObjectReader) -> Self {
        const EXPECTED_DOCUMENT_BYTES: u64 = 16 * 1024;
        let expected_documents =
            usize::try_from(capacity_bytes / EXPECTED_DOCUMENT_BYTES).unwrap_or(usize::MAX).max(16);
        let cache = Arc::new(Cache::with_weighter(expected_documents, capacity_bytes, ByWeight));
        Self { cache, reader, reads: Flights::default(), slow_failures: Arc::default(), misses: Counter::default() }
    }

    /// Sets the capacity of the cache in bytes. Evicts documents beyond it.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.cache.set_capacity(capacity_bytes);
    }

    /// Returns the reader of documents and other objects.
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

    /// Reads a table's document from storage, also if it is cached: somebody may have removed its file.
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

    /// Returns the answer to a load with only the snapshots that a branch or tag leads to. Builds it once and caches it.
    ///
    /// # Errors
    /// Fails if no worker or memory becomes free in time.
    pub async fn load_result_of_refs(
        &self,
        storage: &Storage,
        document: &Arc<Document>,
    ) -> Result<LoadResult, HeavyError> {
        let lookup = Lookup::refs(storage, &document.location);
        let made = match self.cache.get(&lookup) {
            Some(Cached::Refs(made)) => made,
            _ => {
                let (source, bytes) = (Arc::clone(document), document.json.len() as u64);
                let make = move || {
                    let json = source.metadata.to_json_of_refs()?;
                    Some(LoadResult::new(&source.location, json.into()))
                };
                let made = self.reader.heavy().run(storage.owner(), bytes, make).await?;
                self.cache.insert(lookup.key(), Cached::Refs(made.clone()));
                made
            }
        };
        Ok(made.unwrap_or_else(|| document.load_result.clone()))
    }

    /// Fails if a document's file was removed since it was read, because engines get its location. Then the document leaves the
    /// cache, so that the catalog also notices when the file is restored. Checks only files on the local disk, and each a few
    /// times in a second: a missing file is noticed within a second.
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

    /// Writes a new document durably and caches it.
    ///
    /// # Errors
    /// `Storage`, also if `location` exists already; `Location`; `TooLargeToWrite`; `Compress`; `Heavy`.
    pub async fn create<M: Metadata>(
        &self,
        storage: &Storage,
        location: String,
        metadata: M,
        compression: Compression,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let written = self.create_untraced(storage, location, metadata, compression);
        trace::within(trace::span("document write", Kind::Internal), MetadataError::kind, written).await
    }

    async fn create_untraced<M: Metadata>(
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
        self.cache.insert(Lookup::new(storage, &document.location).key(), M::to_cached(Arc::clone(&document)));
        Ok(document)
    }

    /// Creates the folder of a table's metadata, for a client that writes there before the table exists.
    ///
    /// # Errors
    /// `Storage`; `Location`.
    pub async fn prepare(&self, storage: &Storage, folder: &str) -> Result<(), MetadataError> {
        storage.prepare(&Location::parse(folder)?).await.map_err(MetadataError::Storage)
    }

    /// Removes a document from the cache, for example when no pointer leads to it any more. It can still be read.
    pub fn forget<M>(&self, storage: &Storage, document: &Document<M>) {
        self.cache.remove(&Lookup::new(storage, &document.location));
        self.cache.remove(&Lookup::refs(storage, &document.location));
    }

    /// Removes the file of a document that no pointer ever led to, so that a lost race leaves no file behind. Only logs a
    /// failure, since the file is harmless.
    pub async fn discard<M>(&self, storage: &Storage, document: &Document<M>) {
        self.forget(storage, document);
        if let Err(error) = storage.remove(&document.place).await {
            tracing::warn!(%error, "could not remove a metadata file that no pointer leads to");
        }
    }

    /// Returns how many bytes the cache uses.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Returns how often a document was not in the cache.
    #[must_use]
    pub const fn misses(&self) -> &Counter {
        &self.misses
    }

    /// Reads a document of either kind from storage, also if it is cached.
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

    /// Serialises metadata on a worker. Returns it with its JSON and the bytes to store.
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

    /// Returns a document of either kind from the cache, or from storage with one read for all concurrent requests.
    ///
    /// # Errors
    /// All of [`MetadataError`].
    pub(crate) async fn find<M: Metadata>(
        &self,
        storage: &Storage,
        location: &str,
    ) -> Result<Arc<Document<M>>, MetadataError> {
        let lookup = Lookup::new(storage, location);
        let cached = match self.cache.get(&lookup) {
            Some(cached) => cached,
            None => {
                self.misses.inc();
                Box::pin(self.read_once::<M>(storage, lookup.key())).await?
            }
        };
        match M::from_cached(cached) {
            Some(document) => Ok(document),
            // It is of the other kind: reading it as this kind returns the right error.
            None => Box::pin(self.reader.document(storage, location)).await,
        }
    }

    /// Reads a document into the cache, once for all concurrent requests, which share the outcome. A request stops waiting at its
    /// deadline. The read is cancelled when no request waits for it any more.
    async fn read_once<M: Metadata>(&self, storage: &Storage, key: Key) -> Result<Cached, MetadataError> {
        if let Some(error) = self.slow_failures.since(request_begun(), &key) {
            return Err(error);
        }
        let read = self.reads.join(&(key.clone(), M::KIND), || {
            let (reader, storage, begun) = (self.reader.clone(), storage.clone(), Instant::now());
            let (cache, slow_failures) = (Arc::clone(&self.cache), Arc::clone(&self.slow_failures));
            let read = async move {
                match reader.document::<M>(&storage, &key.location).await {
                    Ok(document) => {
                        let cached = M::to_cached(document);
                        cache.insert(key, cached.clone());
                        Ok(cached)
                    }
                    Err(error) => {
                        if matches!(error, MetadataError::Storage(StorageError::Unavailable { .. })) {
                            slow_failures.note(key, begun, &error);
                        }
                        Err(error)
                    }
                }
            };
            // The read serves all waiting requests: the deadline of the first must not end it.
            let read = trace::within(trace::span("document read", Kind::Internal), MetadataError::kind, read);
            trace::carry(deadline::scope(None, read)).boxed()
        });
        deadline::within(read).await.map_err(HeavyError::from)?
    }
}

/// Returns when the current request began. None outside of a request.
fn request_begun() -> Option<Instant> {
    deadline::current().map(|deadline| deadline.begun().into())
}

#[cfg(test)]
mod tests;
