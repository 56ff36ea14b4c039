//! Removing metadata documents that left a table's log: those that the store names, below the table's own locations, and no
//! others.
//!
//! The store has a row for each, written in the transaction of the commit. A row goes after its file, so a crash leaves a file at
//! worst. Each organisation has one small batch at a time, of bounded duration.

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

/// Of how many organisations documents are removed at the same time.
const ORGANISATIONS_AT_ONCE: u32 = 4;

/// How many documents of an organisation are removed before others have their turn.
const BATCH: u32 = 64;

/// How many files are removed at the same time.
const FILES_AT_ONCE: usize = 8;

/// How long a batch may take. What is left then is tried again.
const BATCH_TIME: Duration = Duration::from_secs(60);

/// How long nobody else takes over a batch, in milliseconds: longer than it may take.
const LEASE_MS: i64 = 120_000;

/// After how many attempts a file stays, until its table is purged.
const ATTEMPTS: u32 = 10;

/// The documents of one organisation, and what became of those that were seen to.
struct Batch {
    documents: Vec<OldDocument>,
    ended: Mutex<BTreeMap<usize, Outcome>>,
}

#[derive(Clone)]
enum Outcome {
    /// The file is gone.
    Removed,
    /// It is not certain to be the table's alone.
    Stays,
    Failed(String),
}

impl Maintenance {
    /// Removes all that is due, until `stopped`. Returns the number of documents that were handled.
    ///
    /// # Errors
    /// If the store does not answer.
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
                batches.entry(document.place.organisation.0).or_default().push(document);
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
        self.end(batch, &left).await;
    }

    /// Sees to the documents of each table after those of another.
    async fn remove_each(&self, batch: &Batch) {
        let mut tables: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, document) in batch.documents.iter().enumerate() {
            tables.entry((document.place.warehouse.0, document.table.0)).or_default().push(at);
        }
        for of_table in tables.values() {
            if let Err(message) = self.remove_of_table(batch, of_table).await {
                let mut ended = batch.ended.lock();
                for at in of_table {
                    ended.entry(*at).or_insert_with(|| Outcome::Failed(message.clone()));
                }
            }
        }
    }

    /// Removes documents of one table. Fails when nothing could be begun.
    async fn remove_of_table(&self, batch: &Batch, of_table: &[usize]) -> Result<(), String> {
        let Some(first) = of_table.first().map(|at| &batch.documents[*at]) else { return Ok(()) };
        let warehouse = self.open(first.place).await?;
        // The store keeps locations apart. Because a removed file is lost, it is asked again.
        let alone = self.store.location_alone(first.place, first.table, &first.locations).await;
        let alone: Vec<Location> = alone.map_err(|error| error.to_string())?;
        let folders = Folders::of(&alone).await;
        let removals = stream::iter(of_table).for_each_concurrent(FILES_AT_ONCE, async |at| {
            let document = &batch.documents[*at].document;
            let is_own = inside(document.as_str(), &alone).is_some() && folders.really_hold(document).await;
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

    /// Notes what became of a batch; `left` is what became of the documents that were not seen to.
    async fn end(&self, batch: Batch, left: &Outcome) {
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
            // The leases end, and the files are not there any more then.
            tracing::warn!(%error, "the removal of old metadata files could not be noted");
        }
    }
}
