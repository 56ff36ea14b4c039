//! Finds the warehouse of a request, from a cached list.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::labels::{Labels, NamespaceLabels};
use tidewater_core::name::NamespaceIdent;

use super::{OpenWarehouse, StorageAccess};
use crate::base::clock::Clock;
use crate::store::{Store, StoreError, Warehouse};

/// How long a list of warehouses is cached if none of them changed. After that, one that could not be opened is tried again.
const CACHED_MS: i64 = 2_000;

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
    /// The counter of changes of the organisation and its warehouses, and its value before the list was read.
    changes: Arc<AtomicU64>,
    read_at: u64,
    warehouses: Vec<Listed>,
    /// The labels of namespaces, of each warehouse that has any.
    labels: Arc<LabelsByWarehouse>,
}

type LabelsByWarehouse = HashMap<WarehouseId, Arc<NamespaceLabels>>;

impl List {
    fn is_current(&self, now_ms: i64) -> bool {
        (0..CACHED_MS).contains(&now_ms.saturating_sub(self.at_ms))
            && self.changes.load(Ordering::Acquire) == self.read_at
    }

    /// Returns whether the list was read when a counter of changes had this value.
    fn is_of(&self, changes: &Arc<AtomicU64>, value: u64) -> bool {
        Arc::ptr_eq(&self.changes, changes) && self.read_at == value
    }
}

/// Returns the labels of namespaces by their warehouse.
fn by_warehouse(labels: Vec<(WarehouseId, NamespaceIdent, Labels)>) -> LabelsByWarehouse {
    let mut by_id: HashMap<WarehouseId, Vec<(NamespaceIdent, Labels)>> = HashMap::new();
    for (warehouse, namespace, labels) in labels {
        by_id.entry(warehouse).or_default().push((namespace, labels));
    }
    by_id.into_iter().map(|(id, labels)| (id, Arc::new(labels.into_iter().collect()))).collect()
}

/// The cached warehouses of organisations.
pub(crate) struct Warehouses {
    access: StorageAccess,
    listed: Cache<OrganisationId, Arc<List>>,
}

impl Warehouses {
    pub(crate) fn new(access: StorageAccess) -> Self {
        const ORGANISATIONS: usize = 10_000;
        Self { access, listed: Cache::new(ORGANISATIONS) }
    }

    pub(crate) const fn access(&self) -> &StorageAccess {
        &self.access
    }

    /// Returns the warehouses of an organisation, from the cache if none has changed.
    async fn list(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
    ) -> Result<Arc<List>, StoreError> {
        let now_ms = clock.now_ms();
        let known = self.listed.get(&organisation);
        if let Some(known) = &known
            && known.is_current(now_ms)
        {
            return Ok(Arc::clone(known));
        }
        let changes = store.organisation_generation(organisation);
        // Before the read, which may miss later changes.
        let read_at = changes.load(Ordering::Acquire);
        let labels = match known.as_ref().filter(|known| known.is_of(&changes, read_at)) {
            // The counter counts changes of labels too.
            Some(known) => Arc::clone(&known.labels),
            None => Arc::new(by_warehouse(store.labels_of_namespaces(organisation).await?)),
        };
        let records = store.warehouse_list(organisation).await?;
        let open = |record: Warehouse| {
            let labels = labels.get(&record.id).map(Arc::clone).unwrap_or_default();
            self.open_listed(record, labels, known.as_deref())
        };
        let warehouses = records.into_iter().map(open).collect();
        let list = Arc::new(List { at_ms: now_ms, changes, read_at, warehouses, labels });
        self.listed.insert(organisation, Arc::clone(&list));
        Ok(list)
    }

    /// Opens a warehouse of a list. An unchanged warehouse keeps its connections. A failure is logged and does not affect the other
    /// warehouses.
    fn open_listed(&self, record: Warehouse, labels: Arc<NamespaceLabels>, known: Option<&List>) -> Listed {
        let same = known.and_then(|known| known.warehouses.iter().find(|listed| listed.record == record));
        if let Some(Listed { open: Some(open), .. }) = same {
            let open = match open.labels == labels {
                true => Arc::clone(open),
                false => Arc::new(OpenWarehouse { labels, ..(**open).clone() }),
            };
            return Listed { record, open: Some(open) };
        }
        match self.access.open(record.clone()) {
            Ok(open) => Listed { record, open: Some(Arc::new(OpenWarehouse { labels, ..open })) },
            Err(error) => {
                tracing::error!(warehouse = %record.id, name = record.name, %error, "a warehouse cannot be used with its settings");
                Listed { record, open: None }
            }
        }
    }

    /// Returns the ids and names of an organisation's warehouses.
    pub(crate) async fn names(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
    ) -> Result<Vec<(WarehouseId, String)>, StoreError> {
        let list = self.list(store, clock, organisation).await?;
        Ok(list.warehouses.iter().map(|listed| (listed.record.id, listed.record.name.clone())).collect())
    }

    /// Finds an organisation's warehouse by its name, or its default.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, FindWarehouseError> {
        let wanted = |listed: &&Listed| match name {
            Some(name) => listed.record.name == name,
            None => listed.record.is_default,
        };
        let mut list = self.list(store, clock, organisation).await?;
        if !list.warehouses.iter().any(|listed| wanted(&listed))
            && let Some(refreshed) = store.access_refresh(Some(organisation))
        {
            // Another server may have added it.
            refreshed.await?;
            list = self.list(store, clock, organisation).await?;
        }
        let missing = || if name.is_some() { FindWarehouseError::NotFound } else { FindWarehouseError::NoDefault };
        let found = list.warehouses.iter().find(wanted).ok_or_else(missing)?;
        found.open.clone().ok_or_else(|| FindWarehouseError::Unusable(found.record.name.clone()))
    }
}
