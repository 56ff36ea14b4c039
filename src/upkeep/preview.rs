//! The first rows of a table, for people. They are read like those of a rewrite: on a thread of its own, with bounds, and only from the
//! table's own locations.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidewater_core::stop::Stop;
use tidewater_rewrite::{Files, FilesError, Job, JobLimits, NewObject, Preview, PreviewLimits, RewriteError, preview};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Upkeep;
use super::objects::TableObjects;
use super::rewrite::StopOnDrop;
use crate::access::action::ReadTableData;
use crate::access::{Permit, Table};
use crate::base::clock::fresh_uuid;
use crate::base::deadline::{self, TimeIsOver};
use crate::heavy::{Heavy, HeavyError, run_alone};
use crate::metadata::{Document, MetadataError};
use crate::store::StoreError;
use crate::vending::ValidLocations;

/// The memory of a preview, in bytes, by estimate.
const MEMORY_BYTES: u64 = 64 << 20;

/// The part of the memory that is reserved as the length of JSON: [`Heavy`] reserves four times as much.
const RESERVED_BYTES: u64 = MEMORY_BYTES / 4;

/// The most bytes that a preview reads from storage.
const READ_BYTES: u64 = 64 << 20;

/// The longest time that a preview reads.
const LONGEST: Duration = Duration::from_secs(10);

/// The most previews at the same time on a server.
pub(super) const AT_ONCE: usize = 2;

/// The most columns, and the longest text of a value in bytes.
const COLUMNS: usize = 100;
const VALUE_BYTES: usize = 200;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// Row filters and column masks apply to the caller.
    #[error("Table is restricted for you, and a preview does not apply restrictions: read it with an engine")]
    Restricted,
    /// The table cannot be read here.
    #[error("The rows cannot be shown: {0}. Read them with an engine")]
    Unsupported(String),
    /// The reading takes too long.
    #[error("Reading the rows takes more than {} s: read them with an engine", LONGEST.as_secs())]
    TooLong,
    /// Storage does not answer.
    #[error("The rows cannot be read now: {0}")]
    Unavailable(String),
    /// The table's document.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The workers.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
    /// The request's deadline passed before its turn.
    #[error(transparent)]
    TimeIsOver(#[from] TimeIsOver),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RewriteError> for PreviewError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Unsupported(why) => Self::Unsupported(why),
            RewriteError::Stopped(_) => Self::TooLong,
            RewriteError::Files(error) => Self::Unavailable(error.to_string()),
            error @ (RewriteError::Manifest { .. } | RewriteError::Conflict(_)) => Self::Unsupported(error.to_string()),
        }
    }
}

impl Upkeep {
    /// Returns the first rows of a table, without deleted ones. An organisation has one preview at a time, and waits in the turns of
    /// heavy work.
    ///
    /// # Errors
    /// All of [`PreviewError`].
    pub async fn preview(
        &self,
        table: &Permit<ReadTableData, Table>,
        rows: usize,
        heavy: &Heavy,
    ) -> Result<Preview, PreviewError> {
        if table.restriction().is_some() {
            return Err(PreviewError::Restricted);
        }
        let organisation = table.warehouse.warehouse_ref.organisation;
        let _own_turn = deadline::within(self.previews.enter(organisation)).await?;
        let Ok(_place) = deadline::within(self.previews_at_once.acquire()).await? else {
            return Err(HeavyError::Stopped("the server stops".to_owned()).into());
        };
        let reserved = heavy.reserve(organisation.0, RESERVED_BYTES).await?;
        let document = self.parts.documents.get(&table.warehouse.storage, &table.record.metadata_location).await?;
        let files = self.own_files(table, &document).await?;
        let limits = PreviewLimits { rows, columns: COLUMNS, value_bytes: VALUE_BYTES };
        let now_ms = self.parts.clock.now_ms();
        let until = Instant::now() + LONGEST;
        // Ends the thread if the request ends.
        let flag = StopOnDrop(Arc::default());
        let stop = Arc::clone(&flag.0);
        let read = run_alone("table preview", move || {
            // The memory is in use until the thread ends, even if the request has ended.
            let _reserved = reserved;
            let is_over = || stop.load(Ordering::Relaxed) || Instant::now() >= until;
            let limits_of_job = JobLimits { memory_bytes: MEMORY_BYTES };
            let stop = Stop::when(&is_over);
            let mut job = Job::new(&document.metadata, Arc::new(files), limits_of_job, (fresh_uuid(), now_ms), stop);
            preview(&mut job, limits)
        });
        Ok(read.await??)
    }

    /// Returns the files in the table's own locations. Others may not be for the readers of this table.
    async fn own_files(
        &self,
        table: &Permit<ReadTableData, Table>,
        document: &Document,
    ) -> Result<BoundedFiles, PreviewError> {
        let valid = ValidLocations::from_table(&document.metadata, &table.warehouse.root);
        let valid = valid.map_err(|refused| PreviewError::Unsupported(refused.to_string()))?;
        let (warehouse_ref, id) = (table.warehouse.warehouse_ref, table.record.id);
        let own = self.parts.store.location_alone(warehouse_ref, id, valid.as_slice()).await?;
        let objects = TableObjects::new(table.warehouse.storage.clone(), own, Handle::current());
        Ok(BoundedFiles { objects, left_bytes: AtomicU64::new(READ_BYTES) })
    }
}

/// The files of a table, of which only so many bytes are read.
struct BoundedFiles {
    objects: TableObjects,
    left_bytes: AtomicU64,
}

impl BoundedFiles {
    fn take(&self, bytes: u64) -> Result<(), FilesError> {
        let left = |left: u64| left.checked_sub(bytes);
        let taken = self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        taken.map(drop).map_err(|_| FilesError(format!("more than {READ_BYTES} bytes of files would be read")))
    }
}

impl Files for BoundedFiles {
    fn owns(&self, location: &str) -> bool {
        self.objects.owns(location)
    }

    fn read(&self, location: &str, limit_bytes: u64) -> Result<Bytes, FilesError> {
        let limit_bytes = limit_bytes.min(self.left_bytes.load(Ordering::Relaxed));
        let content = self.objects.read(location, limit_bytes)?;
        self.take(content.len() as u64)?;
        Ok(content)
    }

    fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, FilesError> {
        self.take(range.end.saturating_sub(range.start))?;
        self.objects.read_range(location, range)
    }

    fn write(&self, location: &str, _: Bytes) -> Result<(), FilesError> {
        Err(FilesError(format!("a preview writes no {location}")))
    }

    fn create(&self, location: &str) -> Result<Box<dyn NewObject>, FilesError> {
        Err(FilesError(format!("a preview writes no {location}")))
    }
}
