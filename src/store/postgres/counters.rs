//! The counters of changes in this server's memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tidewater_core::ids::{OrganisationId, PrincipalId};

use crate::base::flight::{Flight, Joined};
use crate::store::{Result, StoreError};

/// The number of organisations, or of an organisation's principals, from which unused counters are removed.
const FEW: usize = 1_024;

/// The counters in use.
#[derive(Default)]
pub(super) struct Generations {
    organisations: RwLock<Organisations>,
    pub(super) server: Server,
    changes: AtomicU64,
}

#[derive(Default)]
struct Organisations {
    by_id: HashMap<OrganisationId, Arc<Counters>>,
    /// The number of organisations at which unused ones are removed next.
    full: usize,
}

/// The counter of operators and signing keys.
#[derive(Default)]
pub(super) struct Server {
    pub(super) counter: Arc<AtomicU64>,
    /// The newest generation that was read.
    seen: AtomicI64,
    pub(super) turns: SharedReads,
}

/// The counters of an organisation and of its principals.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) counter: Arc<AtomicU64>,
    /// The newest generation whose changes are counted. 0 before the first read.
    pub(super) seen: AtomicI64,
    principals: Mutex<Principals>,
    pub(super) turns: SharedReads,
}

#[derive(Default)]
struct Principals {
    by_id: HashMap<PrincipalId, Arc<AtomicU64>>,
    /// The number of principals at which unused ones are removed next.
    full: usize,
}

/// Reads of the database that serve all who wait for one. A read serves those who arrived before it began.
#[derive(Default)]
pub(super) struct SharedReads {
    begun: AtomicU64,
    done: AtomicU64,
    flight: Flight<Arc<StoreError>>,
}

impl SharedReads {
    /// Waits for a read that begins after this call, and makes it if no other caller does.
    pub(super) async fn read(&self, read: impl Future<Output = Result<()>>) -> Result<()> {
        let arrived = self.begun.load(Ordering::Acquire);
        self.read_unless(|| self.done.load(Ordering::Acquire) > arrived, read).await
    }

    /// Makes a read in its turn, unless it is no longer needed then.
    pub(super) async fn read_unless(
        &self,
        needless: impl FnOnce() -> bool,
        read: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let failed = |error: Arc<StoreError>| StoreError::Unavailable(Box::new(error));
        match self.flight.join(|| needless().then_some(())).await.map_err(failed)? {
            Joined::Ready(()) => Ok(()),
            Joined::Ask(_turn) => {
                let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
                read.await.map_err(|error| failed(self.flight.fail(Arc::new(error))))?;
                self.done.store(number, Ordering::Release);
                Ok(())
            }
        }
    }
}

/// The changes that a transaction records, for the counters of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raised {
    /// A change of an organisation.
    Organisation {
        /// Its id.
        id: OrganisationId,
        /// Its generation with the change. `None` if it is gone.
        generation: Option<i64>,
        /// Whether the organisation itself, its keys, users or warehouses changed.
        standing: bool,
        /// The principals whose access changed.
        principals: Vec<PrincipalId>,
    },
    /// A change of operators or signing keys.
    Server,
    /// A change after which every server checks every credential again.
    All,
}

impl Generations {
    /// Returns an organisation's counters, if they are in use.
    pub(super) fn known(&self, organisation: OrganisationId) -> Option<Arc<Counters>> {
        self.organisations.read().by_id.get(&organisation).cloned()
    }

    /// Returns an organisation's counters.
    pub(super) fn counters(&self, organisation: OrganisationId) -> Arc<Counters> {
        if let Some(known) = self.known(organisation) {
            return known;
        }
        let mut all = self.organisations.write();
        if all.by_id.len() >= all.full.max(FEW) {
            all.by_id.retain(|_, counters| counters.is_used());
            all.full = all.by_id.len().saturating_mul(2);
        }
        Arc::clone(all.by_id.entry(organisation).or_default())
    }

    /// Returns how many changes were counted.
    pub(super) fn change_count(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Counts a change of anything.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts changes that this server's transaction has made, or may have made if the answer to its commit was lost.
    pub(super) fn count_own(&self, raised: Vec<Raised>, is_sure: bool) {
        for change in raised {
            self.note_change();
            match change {
                Raised::Organisation { id, generation, standing, principals } => {
                    let counters = self.counters(id);
                    let is_used = counters.is_used();
                    match generation {
                        Some(_) => counters.raise(standing, principals),
                        None => counters.raise_all(),
                    }
                    let Some(generation) = generation.filter(|_| is_sure) else { continue };
                    if is_used {
                        counters.note_next(generation);
                    } else {
                        // Nothing was read with a counter yet, so no earlier change can matter.
                        counters.seen.fetch_max(generation, Ordering::AcqRel);
                    }
                }
                Raised::Server => self.server.raise(),
                Raised::All => {
                    self.server.raise();
                    let all: Vec<_> = self.organisations.read().by_id.values().cloned().collect();
                    all.iter().for_each(|counters| counters.raise(true, []));
                }
            }
        }
    }
}

impl Server {
    pub(super) fn raise(&self) {
        self.counter.fetch_add(1, Ordering::AcqRel);
    }

    /// Raises the counter if the generation is new.
    pub(super) fn note(&self, generation: i64) {
        if self.seen.load(Ordering::Acquire) < generation {
            self.raise();
            self.seen.fetch_max(generation, Ordering::AcqRel);
        }
    }
}

impl Counters {
    /// Returns whether somebody has one of the counters.
    pub(super) fn is_used(&self) -> bool {
        let is_used = |counter: &Arc<AtomicU64>| Arc::strong_count(counter) > 1;
        is_used(&self.counter) || self.principals.lock().by_id.values().any(is_used)
    }

    pub(super) fn of_principal(&self, principal: PrincipalId) -> Arc<AtomicU64> {
        let mut principals = self.principals.lock();
        if principals.by_id.len() >= principals.full.max(FEW) {
            principals.by_id.retain(|_, counter| Arc::strong_count(counter) > 1);
            principals.full = principals.by_id.len().saturating_mul(2);
        }
        Arc::clone(principals.by_id.entry(principal).or_default())
    }

    /// Raises the organisation's counter if its `standing` changed, and those of principals.
    pub(super) fn raise(&self, standing: bool, principals: impl IntoIterator<Item = PrincipalId>) {
        if standing {
            self.counter.fetch_add(1, Ordering::AcqRel);
        }
        let known = self.principals.lock();
        for counter in principals.into_iter().filter_map(|principal| known.by_id.get(&principal)) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn raise_all(&self) {
        self.counter.fetch_add(1, Ordering::AcqRel);
        for counter in self.principals.lock().by_id.values() {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Notes a counted generation, unless changes of other servers between the last one and this are not counted yet.
    fn note_next(&self, generation: i64) {
        let before = generation - 1;
        let _ = self.seen.compare_exchange(before, generation, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn has_seen(&self, generation: i64) -> bool {
        self.seen.load(Ordering::Acquire) >= generation
    }
}
