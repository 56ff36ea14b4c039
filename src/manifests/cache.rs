//! The cache of parsed manifest lists and manifests. They are immutable, so each is read once, and concurrent plans of scans share
//! the read. Files that scans use are counted, also those that the cache has evicted or did not keep: their memory has a limit too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};
use tidewater_core::location::Location;
use tidewater_core::stop::Stop;
use tidewater_manifests::{Limits, Manifest, ManifestList};
use uuid::Uuid;

use super::error::ManifestError;
use super::held::{Held, HeldBytes};
use crate::base::deadline;
use crate::base::flight::Flights;
use crate::base::trace::{self, Kind};
use crate::heavy::HeavyError;
use crate::metadata::{ObjectReader, ReadError};
use crate::storage::Storage;

/// The default capacity of the cache, in bytes.
pub const DEFAULT_CACHE_BYTES: u64 = 256 << 20;

/// An entry of the cache has at most this share of its capacity. Larger ones are used, but not kept, so that one large table does
/// not evict all others.
const LARGEST_SHARE: u64 = 4;

/// How many times its capacity all parsed files may take, those of the cache included.
const HELD_SHARE: u64 = 4;

/// The least memory that all parsed files may take, in bytes. An organisation may take three quarters, so that its scans with slow clients do
/// not stop those of others.
const LEAST_HELD_BYTES: u64 = 256 << 20;

/// The expected memory of an entry, in bytes.
const EXPECTED_BYTES: u64 = 64 << 10;

/// The memory of an entry beside its content, in bytes.
const ENTRY_BYTES: usize = 200;

/// Reads manifest lists and manifests, and keeps parsed ones in memory. The cache is bounded in bytes.
#[derive(Debug)]
pub struct ManifestCache {
    shared: Arc<Shared>,
    /// The running reads.
    reads: Flights<Key, Result<Cached, ManifestError>>,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug)]
struct Shared {
    reader: ObjectReader,
    cache: Cache<Key, Cached, ByWeight>,
    capacity_bytes: AtomicU64,
    /// The memory of all parsed files that something holds.
    held: HeldBytes,
    least_held_bytes: u64,
    /// How many bytes were read from storage.
    read_bytes: Counter,
}

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum FileKind {
    List,
    Manifest,
}

/// The key of a cache entry. It has the storage, because one location can be two objects in two storages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    storage: Uuid,
    location: String,
    kind: FileKind,
}

/// A borrowed [`Key`], for lookups.
#[derive(Hash)]
struct Lookup<'a> {
    storage: Uuid,
    location: &'a str,
    kind: FileKind,
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && self.storage == key.storage && self.location == key.location
    }
}

/// A parsed file.
#[derive(Debug, Clone)]
enum Cached {
    List(Arc<Held<ManifestList>>),
    Manifest(Arc<Held<Manifest>>),
}

impl Cached {
    fn memory_bytes(&self) -> u64 {
        match self {
            Self::List(list) => list.memory_bytes(),
            Self::Manifest(manifest) => manifest.memory_bytes(),
        }
    }
}

/// Weighs a cache entry by its memory in bytes.
#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<Key, Cached> for ByWeight {
    fn weight(&self, key: &Key, cached: &Cached) -> u64 {
        (key.location.len() + ENTRY_BYTES) as u64 + cached.memory_bytes()
    }
}

impl ManifestCache {
    /// Creates a cache of at most `capacity_bytes` for the manifests of all storages, which `reader` reads within its limits.
    #[must_use]
    pub fn new(capacity_bytes: u64, reader: ObjectReader) -> Self {
        Self::with_least_held(capacity_bytes, LEAST_HELD_BYTES, reader)
    }

    /// Creates a cache in which all parsed files may take `least_held_bytes`, or more if the capacity is large.
    pub(super) fn with_least_held(capacity_bytes: u64, least_held_bytes: u64, reader: ObjectReader) -> Self {
        let expected = usize::try_from(capacity_bytes / EXPECTED_BYTES).unwrap_or(usize::MAX).max(16);
        // In one part: each of several would refuse the manifests that are larger than the part.
        let options =
            OptionsBuilder::new().shards(1).estimated_items_capacity(expected).weight_capacity(capacity_bytes).build();
        let cache = match options {
            Ok(options) => {
                Cache::with_options(options, ByWeight, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            // The builder only fails if the capacity is not set.
            Err(_) => Cache::with_weighter(expected, capacity_bytes, ByWeight),
        };
        let capacity_bytes = AtomicU64::new(capacity_bytes);
        Self {
            shared: Arc::new(Shared {
                reader,
                cache,
                capacity_bytes,
                held: HeldBytes::default(),
                least_held_bytes,
                read_bytes: Counter::default(),
            }),
            reads: Flights::default(),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// Sets the capacity in bytes. Evicts entries beyond it.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.shared.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        self.shared.cache.set_capacity(capacity_bytes);
    }

    /// Returns how many bytes the cache uses.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.shared.cache.weight()
    }

    /// Returns how many bytes all parsed files use, those that running scans hold included.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.shared.held.bytes()
    }

    /// Returns how often a file was in the cache.
    #[must_use]
    pub const fn hits(&self) -> &Counter {
        &self.hits
    }

    /// Returns how often a file was not in the cache.
    #[must_use]
    pub const fn misses(&self) -> &Counter {
        &self.misses
    }

    /// Returns how many bytes were read from storage.
    #[must_use]
    pub fn read_bytes(&self) -> &Counter {
        &self.shared.read_bytes
    }

    /// Returns the manifest list at `location`, from memory or from storage. Concurrent requests share one read.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub async fn list(&self, storage: &Storage, location: &Location) -> Result<Arc<Held<ManifestList>>, ManifestError> {
        match self.get(storage, location, FileKind::List).await? {
            Cached::List(list) => Ok(list),
            Cached::Manifest(_) => unreachable!("the key has the kind"),
        }
    }

    /// Returns the manifest at `location`, from memory or from storage. Concurrent requests share one read.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub async fn manifest(&self, storage: &Storage, location: &Location) -> Result<Arc<Held<Manifest>>, ManifestError> {
        match self.get(storage, location, FileKind::Manifest).await? {
            Cached::Manifest(manifest) => Ok(manifest),
            Cached::List(_) => unreachable!("the key has the kind"),
        }
    }

    /// Checks that what scans hold takes no more memory than it may, in all and for an organisation.
    ///
    /// # Errors
    /// `Busy`.
    pub fn check_memory(&self, owner: Uuid) -> Result<(), ManifestError> {
        self.shared.check_memory(owner)
    }

    /// Counts the memory of something that scans of an organisation made from manifests, until it is dropped.
    ///
    /// # Errors
    /// `Busy`.
    pub fn hold<T>(&self, owner: Uuid, value: T, memory_bytes: usize) -> Result<Arc<Held<T>>, ManifestError> {
        let held = self.shared.held.hold(owner, value, memory_bytes, 0);
        self.shared.check_memory(owner)?;
        Ok(held)
    }

    async fn get(&self, storage: &Storage, location: &Location, kind: FileKind) -> Result<Cached, ManifestError> {
        let lookup = Lookup { storage: storage.id(), location: location.as_str(), kind };
        if let Some(cached) = self.shared.cache.get(&lookup) {
            self.hits.inc();
            return Ok(cached);
        }
        self.misses.inc();
        let key = Key { storage: storage.id(), location: location.as_str().to_owned(), kind };
        let read = self.reads.join(&key, || {
            let (shared, storage) = (Arc::clone(&self.shared), storage.clone());
            let (key, location) = (key.clone(), location.clone());
            let read = async move { shared.read(&storage, key, &location).await };
            // The read serves all waiting requests: the deadline of the first must not end it.
            let read = trace::within(trace::span("manifest read", Kind::Internal), ManifestError::kind, read);
            trace::carry(deadline::scope(None, read)).boxed()
        });
        let read = deadline::within(read).await;
        read.map_err(|over| ManifestError::Unavailable(ReadError::Heavy(HeavyError::from(over))))?
    }
}

impl Shared {
    fn check_memory(&self, owner: Uuid) -> Result<(), ManifestError> {
        let capacity_bytes = self.capacity_bytes.load(Ordering::Relaxed);
        let most_bytes = capacity_bytes.saturating_mul(HELD_SHARE).max(self.least_held_bytes);
        let most_of_one = most_bytes / 4 * 3;
        if self.held.bytes_of(owner) > most_of_one {
            return Err(ManifestError::Busy { most_bytes: most_of_one });
        }
        if self.held.bytes() > most_bytes { Err(ManifestError::Busy { most_bytes }) } else { Ok(()) }
    }

    /// Reads and parses a file, on a worker with the organisation of the storage as owner.
    async fn read(&self, storage: &Storage, key: Key, location: &Location) -> Result<Cached, ManifestError> {
        let capacity_bytes = self.capacity_bytes.load(Ordering::Relaxed);
        self.check_memory(storage.owner())?;
        let object = self.reader.read(storage, location).await?;
        let file_bytes = object.bytes.len() as u64;
        self.read_bytes.inc_by(file_bytes);
        let limits = Limits { unpacked_bytes: self.reader.limit_bytes(), ..Limits::default() };
        let (kind, held, owner) = (key.kind, self.held.clone(), storage.owner());
        let parse = move |bytes: Bytes| match kind {
            FileKind::List => {
                let list = ManifestList::parse(&bytes, &limits, Stop::NEVER)?;
                let memory_bytes = list.size_bytes();
                Ok(Cached::List(held.hold(owner, list, memory_bytes, file_bytes)))
            }
            FileKind::Manifest => {
                let manifest = Manifest::parse(&bytes, &limits, Stop::NEVER)?;
                let memory_bytes = manifest.size_bytes();
                Ok(Cached::Manifest(held.hold(owner, manifest, memory_bytes, file_bytes)))
            }
        };
        let parsed = self.reader.work_on_worker(storage, object, parse).await?;
        let cached = parsed.map_err(|error: tidewater_manifests::ManifestError| ManifestError::unreadable(error))?;
        // Other reads may have ended meanwhile.
        self.check_memory(storage.owner())?;
        let largest_bytes = capacity_bytes / LARGEST_SHARE;
        if ByWeight.weight(&key, &cached) <= largest_bytes {
            self.cache.insert(key, cached.clone());
        }
        Ok(cached)
    }
}
