//! Finds the warehouse of a request, from a cached list.

use std::sync::Arc;

use quick_cache::sync::Cache;
use tidewater_core::ids::OrganisationId;

use super::{OpenWarehouse, StorageAccess};
use crate::base::clock::Clock;
use crate::store::{Store, StoreError, Warehouse};

/// How long a list of warehouses is cached. A new default or storage setting takes effect within this time.
const CACHED_MS: i64 = 2_000;

/// How often in a second an organisation's list is read again for an unknown name. Beyond that the cached list counts, and a
/// new warehouse is found within [`CACHED_MS`].
const RELOADS_PER_SECOND: u32 = 10;

/// Why the warehouse of a request was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindWarehouseError {
    /// The organisation has no warehouse of the name.
    #[error("the organisation has no warehouse of that name")]
    NotFound,
    /// No name was given, and the organisation has no default.
    #[error("the organisation has no default warehouse")]
    NoDefault,
    /// The warehouse's settings do not give access to its storage.
    #[error("warehouse '{0}' cannot be used with its settings")]
    Unusable(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A warehouse of a list.
struct Listed {
    /// The record from the store.
    record: Warehouse,
    /// The open warehouse; none when its settings do not give access to its storage.
    open: Option<Arc<OpenWarehouse>>,
}

struct List {
    at_ms: i64,
    warehouses: Vec<Listed>,
}

/// The number of reloads in a second.
#[derive(Clone, Copy)]
struct Reloads {
    since_ms: i64,
    count: u32,
}

/// The cached warehouses of organisations.
pub(crate) struct Warehouses {
    access: StorageAccess,
    listed: Cache<OrganisationId, Arc<List>>,
    reloads: Cache<OrganisationId, Reloads>,
}

impl Warehouses {
    pub(crate) fn new(access: StorageAccess) -> Self {
        const ORGANISATIONS: usize = 10_000;
        Self { access, listed: Cache::new(ORGANISATIONS), reloads: Cache::new(ORGANISATIONS) }
    }

    pub(crate) const fn access(&self) -> &StorageAccess {
        &self.access
    }

    /// Returns the warehouses of an organisation, from the cache if it is recent. With `fresh`, reads them again if that is allowed.
    async fn list(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
        fresh: bool,
    ) -> Result<Arc<List>, StoreError> {
        let now_ms = clock.now_ms();
        let known = self.listed.get(&organisation);
        if let Some(known) = &known
            && now_ms - known.at_ms < CACHED_MS
            && !(fresh && self.may_reload(organisation, now_ms))
        {
            return Ok(Arc::clone(known));
        }
        let records = store.warehouse_list(organisation).await?;
        let warehouses = records.into_iter().map(|record| self.open_listed(record, known.as_deref())).collect();
        let list = Arc::new(List { at_ms: now_ms, warehouses });
        self.listed.insert(organisation, Arc::clone(&list));
        Ok(list)
    }

    /// Counts a reload, if another is allowed.
    fn may_reload(&self, organisation: OrganisationId, now_ms: i64) -> bool {
        let known = self.reloads.get(&organisation).filter(|known| (0..1_000).contains(&(now_ms - known.since_ms)));
        let Reloads { since_ms, count } = known.unwrap_or(Reloads { since_ms: now_ms, count: 0 });
        if count >= RELOADS_PER_SECOND {
            return false;
        }
        self.reloads.insert(organisation, Reloads { since_ms, count: count + 1 });
        true
    }

    /// Opens a warehouse of a list. An unchanged warehouse keeps its connections. A failure is logged and does not affect the other
    /// warehouses.
    fn open_listed(&self, record: Warehouse, known: Option<&List>) -> Listed {
        let same = known.and_then(|known| known.warehouses.iter().find(|listed| listed.record == record));
        if let Some(Listed { open: Some(open), .. }) = same {
            return Listed { record, open: Some(Arc::clone(open)) };
        }
        match self.access.open(record.clone()) {
            Ok(open) => Listed { record, open: Some(Arc::new(open)) },
            Err(error) => {
                tracing::error!(warehouse = %record.id, name = record.name, %error, "a warehouse cannot be used with its settings");
                Listed { record, open: None }
            }
        }
    }

    /// Discards the cached list of an organisation.
    pub(crate) fn forget(&self, organisation: OrganisationId) {
        self.listed.remove(&organisation);
    }

    /// Finds an organisation's warehouse by its name, or its default.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, FindWarehouseError> {
        for fresh in [false, true] {
            let list = self.list(store, clock, organisation, fresh).await?;
            let wanted = |listed: &&Listed| match name {
                Some(name) => listed.record.name == name,
                None => listed.record.is_default,
            };
            if let Some(found) = list.warehouses.iter().find(wanted) {
                let open = found.open.clone();
                return open.ok_or_else(|| FindWarehouseError::Unusable(found.record.name.clone()));
            }
        }
        Err(if name.is_some() { FindWarehouseError::NotFound } else { FindWarehouseError::NoDefault })
    }
}
