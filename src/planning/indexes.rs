//! Keeps the indexes of delete files for other scans with the same deletes: above all the plan tasks of one plan. Concurrent scans share the
//! work on an index.

use std::sync::Arc;

use futures_util::FutureExt;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use uuid::Uuid;

use super::departure::Departure;
use super::error::PlanError;
use super::indexed::{Chosen, IndexKey, Indexed, check_number};
use crate::base::deadline;
use crate::base::flight::Flights;
use crate::base::trace::{self, Kind};
use crate::config::PlanningConfig;
use crate::heavy::{Heavy, HeavyError};
use crate::manifests::{Held, ManifestCache};
use crate::metadata::Document;

/// The indexes have at most this share of the memory for manifests, beside it.
const SHARE: u64 = 2;

/// The expected memory of an index, in bytes.
const EXPECTED_BYTES: u64 = 256 << 10;

/// The memory of an entry beside its content, in bytes.
const ENTRY_BYTES: u64 = 200;

/// About how much memory the work on an entry of a manifest takes, in bytes.
const WORK_BYTES: u64 = 256;

/// The indexes that were made, bounded in bytes.
#[derive(Debug)]
pub(super) struct DeleteIndexes {
    cache: Arc<Cache<IndexKey, Arc<Held<Indexed>>, ByWeight>>,
    making: Flights<IndexKey, Result<Arc<Held<Indexed>>, PlanError>>,
    manifests: Arc<ManifestCache>,
    heavy: Arc<Heavy>,
}

/// Weighs an index by its memory in bytes.
#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<IndexKey, Arc<Held<Indexed>>> for ByWeight {
    fn weight(&self, _: &IndexKey, indexed: &Arc<Held<Indexed>>) -> u64 {
        ENTRY_BYTES + indexed.memory_bytes()
    }
}

impl DeleteIndexes {
    /// Creates the indexes beside a cache of manifests with a capacity, whose memory they count among.
    pub(super) fn new(cache_bytes: u64, manifests: Arc<ManifestCache>, heavy: Arc<Heavy>) -> Self {
        let capacity_bytes = cache_bytes / SHARE;
        let expected = usize::try_from(capacity_bytes / EXPECTED_BYTES).unwrap_or(usize::MAX).max(16);
        // In one part: each of several would refuse the indexes that are larger than the part.
        let options =
            OptionsBuilder::new().shards(1).estimated_items_capacity(expected).weight_capacity(capacity_bytes).build();
        let cache = match options {
            Ok(options) => {
                Cache::with_options(options, ByWeight, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            // The builder only fails if the capacity is not set.
            Err(_) => Cache::with_weighter(expected, capacity_bytes, ByWeight),
        };
        Self { cache: Arc::new(cache), making: Flights::default(), manifests, heavy }
    }

    /// Sets the capacity for a cache of manifests with another capacity. Evicts indexes beyond it.
    pub(super) fn set_cache_bytes(&self, cache_bytes: u64) {
        self.cache.set_capacity(cache_bytes / SHARE);
    }

    /// Returns the memory of the kept indexes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Returns the index of delete files. Returns also whether it was made for this call.
    ///
    /// # Errors
    /// `Busy` if running scans take as much memory as they may; those of [`Chosen::index`].
    pub(super) async fn get(
        &self,
        chosen: &Arc<Chosen>,
        document: &Arc<Document>,
        limits: &PlanningConfig,
        owner: Uuid,
    ) -> Result<(Arc<Held<Indexed>>, bool), PlanError> {
        if let Some(indexed) = self.cache.get(&chosen.key) {
            // The limit may have changed since.
            check_number(indexed.places.len(), limits)?;
            return Ok((indexed, false));
        }
        let mut is_own = false;
        let made = self.making.join(&chosen.key, || {
            is_own = true;
            let (cache, manifests) = (Arc::clone(&self.cache), Arc::clone(&self.manifests));
            let (heavy, chosen) = (Arc::clone(&self.heavy), Arc::clone(chosen));
            let (document, limits) = (Arc::clone(document), *limits);
            let make = async move {
                let busy = |error| PlanError::Busy(format!("the index of deletes {error}"));
                manifests.check_memory(owner).map_err(busy)?;
                // The work ends when no scan waits for it any more.
                let departure = Departure::default();
                let (watch, key, bytes) = (departure.watch(), chosen.key, chosen.entries() * WORK_BYTES);
                let make = move || chosen.index(&document.metadata, &limits, &watch);
                let indexed = heavy.run(owner, bytes, make).await??;
                let memory_bytes = indexed.size_bytes();
                let held = manifests.hold(owner, indexed, memory_bytes).map_err(busy)?;
                cache.insert(key, Arc::clone(&held));
                Ok(held)
            };
            // The work serves all waiting scans: the deadline of the first must not end it.
            let make = trace::within(trace::span("index of deletes", Kind::Internal), PlanError::kind, make);
            trace::carry(deadline::scope(None, make)).boxed()
        });
        let indexed = deadline::within(made).await.map_err(HeavyError::from)??;
        Ok((indexed, is_own))
    }
}
