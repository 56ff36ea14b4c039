//! Learning the locations of tables and views from before the store kept them all: their documents say, and are read once.
//!
//! Until all of a warehouse's are read, no table of it is given a location (docs/decisions/0020). It does not matter who
//! reads, how often it is begun, or when it ends: what is learned is written down in small steps.

use futures_util::stream::{self, StreamExt};
use tidewater_core::location::Location;

use crate::metadata::{Documents, MetadataError};
use crate::storage::StorageError;
use crate::store::{Learned, Pointer, Store, StoreError, TableKind};
use crate::vending::ValidLocations;
use crate::warehouse::OpenWarehouse;

/// How many documents are read at the same time.
const AT_ONCE: usize = 32;

/// How many are written down in one transaction, so that no commit waits long behind it.
const BATCH: u32 = 200;

/// How often those are read again whose pointers were moved meanwhile.
const ROUNDS: usize = 10;

/// Why not all could be learned. What was, stays so.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The store did not give or take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Storage does not give a document, and may another time.
    #[error("{count} metadata documents cannot be read at the moment, such as {location}: {source}")]
    Storage {
        /// How many.
        count: usize,
        /// One of them.
        location: String,
        /// What was said of it.
        source: MetadataError,
    },
    /// Others commit faster.
    #[error("tables of the warehouse were changed faster than their metadata could be read")]
    Overtaken,
}

/// How a document is taken that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusals {
    /// A refusal may be of the catalog as a whole, and pass.
    MayPass,
    /// The warehouse's storage has just been used with success, so that a refusal concerns that document.
    AreFinal,
}

/// Reads the documents of a warehouse's tables and views whose locations are not all known.
pub struct Learning<'a> {
    /// Where it is written down.
    pub store: &'a dyn Store,
    /// What reads.
    pub documents: &'a Documents,
    /// The warehouse.
    pub warehouse: &'a OpenWarehouse,
    /// What a refusal means.
    pub refusals: Refusals,
}

/// What became of one.
enum Read {
    Learned(Learned),
    Failed(String, MetadataError),
}

impl Learning<'_> {
    /// Reads those that were not read before. There is usually none, which costs one question to the store.
    ///
    /// # Errors
    /// All of [`LearnError`]; those that could be read are learned all the same.
    pub async fn unread(&self) -> Result<(), LearnError> {
        for _ in 0..ROUNDS {
            if self.round(false).await? == 0 {
                return Ok(());
            }
        }
        Err(LearnError::Overtaken)
    }

    /// Reads those, too, that could not be read before.
    ///
    /// # Errors
    /// As [`Learning::unread`].
    pub async fn all(&self) -> Result<(), LearnError> {
        self.unread().await?;
        self.round(true).await.map(drop)
    }

    /// Reads all once. Gives how many there were.
    async fn round(&self, unreadable: bool) -> Result<usize, LearnError> {
        let (place, mut after, mut count, mut failed) = (self.warehouse.place, None, 0, Vec::new());
        loop {
            let pointers = self.store.location_unread(place, unreadable, after, BATCH).await?;
            let Some(last) = pointers.last() else { break };
            after = Some(last.id);
            count += pointers.len();
            let reading: Vec<_> = pointers.into_iter().map(|pointer| self.read(pointer)).collect();
            let mut reads = stream::iter(reading).buffer_unordered(AT_ONCE);
            let mut learned = Vec::new();
            while let Some(read) = reads.next().await {
                match read {
                    Read::Learned(one) => learned.push(one),
                    Read::Failed(location, source) => failed.push((location, source)),
                }
            }
            for table in self.store.location_learn(place, learned).await? {
                tracing::warn!(
                    %table, warehouse = self.warehouse.name,
                    "a table from before this version has a location in common with another: what is given for one \
                     reaches files of the other. Give one of them another location (docs/decisions/0020)"
                );
            }
        }
        let failures = failed.len();
        match failed.pop() {
            Some((location, source)) => Err(LearnError::Storage { count: failures, location, source }),
            None => Ok(count),
        }
    }

    async fn read(&self, pointer: Pointer) -> Read {
        let Pointer { id, kind, metadata_location } = pointer;
        let (storage, root) = (&self.warehouse.storage, &self.warehouse.root);
        let valid = match kind {
            TableKind::Table => {
                let document = self.documents.get(storage, &metadata_location).await;
                document.map(|document| ValidLocations::of(&document.metadata, root))
            }
            TableKind::View => {
                let document = self.documents.get_view(storage, &metadata_location).await;
                document.map(|document| ValidLocations::of_view(&document.metadata, root))
            }
        };
        let others: Option<Vec<Location>> = match valid {
            Ok(Ok(locations)) => Some(locations.all().others().to_vec()),
            // Nothing is vended for it, and no commit to it succeeds that leaves it so.
            Ok(Err(_)) => None,
            Err(error @ (MetadataError::Storage(StorageError::Unavailable { .. }) | MetadataError::Heavy(_))) => {
                return Read::Failed(metadata_location, error);
            }
            Err(error @ MetadataError::Storage(StorageError::Refused { .. })) if self.refusals == Refusals::MayPass => {
                return Read::Failed(metadata_location, error);
            }
            Err(error) => {
                tracing::warn!(table = %id, %error, "which locations a table has is not known: its metadata cannot be read");
                None
            }
        };
        Read::Learned(Learned { id, metadata_location, others })
    }
}
