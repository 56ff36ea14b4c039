//! Counts of requests by key. They are kept in memory and written every few seconds.

use std::collections::HashMap;

use parking_lot::Mutex;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::id_hash::BuildIdHasher;
use crate::store::{KeyUsage, Store, StoreError};

/// Counts of different keys seldom wait for each other.
const SHARDS: usize = 16;

/// The most counts in one transaction. The limit keeps commits from waiting long.
const BATCH: usize = 200;

type Counts = HashMap<(OrganisationId, KeyId, i64), u64, BuildIdHasher>;

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(super) struct KeyCounts {
    shards: [Mutex<Counts>; SHARDS],
}

impl KeyCounts {
    /// Adds requests to a key's count of a day.
    pub(super) fn add(&self, organisation: OrganisationId, key: KeyId, day: i64, requests: u64) {
        // The last byte of an id is random.
        let shard = usize::from(key.0.as_bytes()[15]) % SHARDS;
        *self.shards[shard].lock().entry((organisation, key, day)).or_default() += requests;
    }

    /// Writes the counts. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer. Unwritten counts are kept for the next call.
    pub(super) async fn write(&self, store: &dyn Store) -> Result<u64, StoreError> {
        let mut usage = Vec::new();
        for shard in &self.shards {
            let counts = std::mem::take(&mut *shard.lock());
            let each = counts.into_iter();
            usage.extend(each.map(|((organisation, key, day), requests)| KeyUsage {
                organisation,
                day,
                key,
                requests,
            }));
        }
        let mut batches = usage.chunks(BATCH);
        let mut written = Ok(());
        for batch in batches.by_ref() {
            written = store.key_usage_add(batch).await;
            if written.is_err() {
                self.put_back(batch);
                break;
            }
        }
        batches.for_each(|batch| self.put_back(batch));
        written.map(|()| usage.len() as u64)
    }

    fn put_back(&self, usage: &[KeyUsage]) {
        for one in usage {
            self.add(one.organisation, one.key, one.day, one.requests);
        }
    }
}
