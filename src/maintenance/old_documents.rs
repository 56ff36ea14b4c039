//! Removes metadata documents that left a table's log. It removes only documents that the store lists and that are below the
//! table's own locations.
//!
//! The store has a row for each, written in the transaction of the commit. The row is removed after the file, so a crash loses no
//! work. Each organisation has one small batch at a time, of bounded duration.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tidewater_core::location::Location;
use tidewater_core::purge::{inside, retry_after_ms};
use tokio_util::sync::CancellationToken;

use super::Maintenance;
use super::local::Folders;
use crate::store::{EndedDocument, OldDocument, StoreError};

/// How many organisations have a batch at the same time.
const ORGANISATIONS_AT_ONCE: u32 = 4;

/// The most documents in a batch of one organisation.
const BATCH: u32 = 64;

/// How many files are removed at the same time.
const FILES_AT_ONCE: usize = 8;

/// How long a batch may take. Remaining documents are tried again later.
const BATCH_TIME: Duration = Duration::from_secs(60);

/// The duration of a batch's lease, in milliseconds. It is longer than a batch may take.
const LEASE_MS: i64 = 120_000;

/// The number of attempts. After that, a file stays until its table is purged.
const ATTEMPTS: u32 = 10;

/// The documents of one organisation, with the outcomes so far by their positions.
struct Batch {
    documents: Vec<OldDocument>,
    ended: Mutex<BTreeMap<usize, Outcome>>,
}

#[derive(Clone)]
enum Outcome {
    /// The file was removed.
    Removed,
    /// The file stays, because it may belong to another table too.
    Stays,
    Failed(String),
}

impl Maintenance {
    /// Removes all due documents, until `stopped`. Returns the number of handled documents.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn remove_old_documents(&self, stopped: &CancellationToken) -> Result<u64, StoreError> {
        let mut handled = 0;
        while !stopped.is_cancelled() {
            let now_ms = self.clock.now_ms();
            let until_ms = now_ms.saturating_add(LEASE_MS);
            let claimed = self.store.old_document_claim(now_ms, until_ms, ORGANISATIONS_AT_ONCE, BATCH).await?;
            if claimed.is_empty() {
                break;
            }
            handled += claimed.len() as u64;
            let mut batches: BTreeMap<_, Vec<OldDocument>> = BTreeMap::new();
            for document in claimed {
                batches.entry(document.warehouse_ref.organisation.0).or_default().push(document);
            }
            join_all(batches.into_values().map(|documents| self.remove_batch(documents, stopped))).await;
        }
        Ok(handled)
    }

    async fn remove_batch(&self, documents: Vec<OldDocument>, stopped: &CancellationToken) {
        let batch = Batch { documents, ended: Mutex::default() };
        let left = tokio::select! {
            removed = tokio::time::timeout(BATCH_TIME, self.remove_each(&batch)) => {
                if removed.is_err() { Outcome::Failed("it took too long".to_owned()) } else { Outcome::Stays }
            }
            () = stopped.cancelled() => Outcome::Failed("the server stops".to_owned()),
        };
        self.record_outcomes(batch, &left).await;
    }

    /// Removes the documents table by table.
    async fn remove_each(&self, batch: &Batch) {
        let mut tables: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, document) in batch.documents.iter().enumerate() {
            tables.entry((document.warehouse_ref.warehouse.0, document.table.0)).or_default().push(at);
        }
        for of_table in tables.values() {
            if let Err(message) = self.remove_documents_of_table(batch, of_table).await {
                let mut ended = batch.ended.lock();
                for at in of_table {
                    ended.entry(*at).or_insert_with(|| Outcome::Failed(message.clone()));
                }
            }
        }
    }

    /// Removes documents of one table, at the positions `of_table`. Fails if the warehouse or the store cannot be used.
    async fn remove_documents_of_table(&self, batch: &Batch, of_table: &[usize]) -> Result<(), String> {
        let Some(first) = of_table.first().map(|at| &batch.documents[*at]) else { return Ok(()) };
        let warehouse = self.open(first.warehouse_ref).await?;
        // The store prevents overlaps. Check again nevertheless, since a removed file is lost.
        let alone = self.store.location_alone(first.warehouse_ref, first.table, &first.locations).await;
        let alone: Vec<Location> = alone.map_err(|error| error.to_string())?;
        let folders = Folders::resolve(&alone).await;
        let removals = stream::iter(of_table).for_each_concurrent(FILES_AT_ONCE, async |at| {
            let document = &batch.documents[*at].document;
            let is_own = inside(document.as_str(), &alone).is_some() && folders.contain_really(document).await;
            let outcome = match is_own {
                false => Outcome::Stays,
                true => match warehouse.storage.remove(document).await {
                    Ok(()) => Outcome::Removed,
                    Err(error) => Outcome::Failed(error.to_string()),
                },
            };
            batch.ended.lock().insert(*at, outcome);
        });
        removals.await;
        Ok(())
    }

    /// Records the outcomes of a batch. `left` is the outcome of documents without one.
    async fn record_outcomes(&self, batch: Batch, left: &Outcome) {
        let (now_ms, outcomes) = (self.clock.now_ms(), batch.ended.into_inner());
        let mut failed = None;
        let mut ended = Vec::with_capacity(batch.documents.len());
        for (at, document) in batch.documents.into_iter().enumerate() {
            let retry_at_ms = match outcomes.get(&at).unwrap_or(left) {
                Outcome::Removed | Outcome::Stays => None,
                Outcome::Failed(message) => {
                    let again = retry_after_ms(document.attempts).filter(|_| document.attempts < ATTEMPTS);
                    failed = Some((document.document.clone(), message.clone(), again.is_some()));
                    again.map(|after_ms| now_ms.saturating_add(after_ms))
                }
            };
            ended.push(EndedDocument { document, retry_at_ms });
        }
        if let Some((document, message, is_tried_again)) = failed {
            tracing::warn!(%document, message, is_tried_again, "old metadata files could not all be removed");
        }
        if let Err(error) = self.store.old_document_end(&ended).await {
            // The leases end, and the next attempt finds that the files are gone.
            tracing::warn!(%error, "could not record the removal of old metadata files");
        }
    }
}
