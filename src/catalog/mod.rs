//! The operations of a catalog, without HTTP and SQL.
//!
//! Every change of a table or view reads the pointer, applies the rules of `core`, writes the new document and moves the
//! pointer in one atomic statement. No change holds a connection of the store while it waits for storage.

mod again;
mod commit;
mod dropped;
mod edit;
mod error;
mod events;
mod fate;
mod find;
pub mod idempotency;
mod label_search;
mod labels;
mod measures;
mod name_search;
pub mod namespace_walk;
mod namespaces;
pub mod newer_documents;
mod old_documents;
mod publish;
mod register;
mod signing;
mod tables;
mod tabular;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transaction;
mod view_commit;
mod views;
mod visible;
mod weight;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::request_limits::RequestLimits;
use tidewater_core::storage::Wanted;
use tidewater_core::view::ViewMetadata;
use tokio_util::task::TaskTracker;

use crate::warehouse::{OpenWarehouse, StorageAccess, Warehouses};
pub use dropped::missing_document;
pub use edit::{EditedTable, TableEdit};
pub use error::CatalogError;
pub use events::{EventCursor, EventQuery, PulledEvent, PulledPage};
pub use find::CommitTarget;
pub use label_search::{LabelPlace, LabelSearch, LabelSearchPage, LabelledName};
pub use measures::CatalogMeasures;
pub use name_search::{FoundName, SearchPage, SearchPlace};

use crate::access::action::Action;
use crate::access::{InWarehouse, Permit};
use crate::base::clock::Clock;
use crate::base::deadline;
use crate::base::keyed_lock::{KeyGuard, KeyedLock};
use crate::base::trace;
use crate::heavy::Heavy;
use crate::metadata::{Document, Documents, LoadResult};
use crate::store::Store;
use crate::vending::{Ask, ValidLocations, Vended, Vending, VendingMeasures};

/// The catalog of all organisations.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    documents: Arc<Documents>,
    clock: Clock,
    warehouses: Arc<Warehouses>,
    vending: Arc<Vending>,
    queues: Arc<KeyedLock<TableId>>,
    /// The workers that apply rules to large documents.
    heavy: Arc<Heavy>,
    running: TaskTracker,
    measures: CatalogMeasures,
    settings: CatalogSettings,
}

/// Settings of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogSettings {
    /// How long a dropped table or view can be restored.
    pub drop_retention: Duration,
    /// How long a metadata file stays after it has left its table's log.
    pub removal_delay: Duration,
    /// Limits for the properties of a namespace.
    pub limits: RequestLimits,
}

/// A loaded table.
pub type LoadedTable = Loaded<TableMetadata>;

/// A loaded table or view: its document and, if they are still allowed, its checked locations.
#[derive(Debug, Clone)]
pub struct Loaded<M> {
    /// Its current document.
    pub document: Arc<Document<M>>,
    /// The proof that vending needs; none when the locations are outside of the warehouse now. A load has no proof either in a
    /// warehouse that vends nothing.
    pub locations: Option<ValidLocations>,
}

/// A loaded view.
pub type LoadedView = Arc<Document<ViewMetadata>>;

/// The result of creating a table.
#[derive(Debug)]
pub enum CreatedTable {
    /// The table exists.
    Created(LoadedTable),
    /// Nothing exists yet (`stage-create`). A later commit with `assert-create` will create this table.
    Staged(Box<TableMetadata>, ValidLocations),
}

impl Catalog {
    /// Creates a catalog on `store` and `documents`. It does heavy work on the workers of `documents`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        documents: Documents,
        access: StorageAccess,
        clock: Clock,
        settings: CatalogSettings,
    ) -> Self {
        Self {
            store,
            heavy: Arc::clone(documents.reader().heavy()),
            documents: Arc::new(documents),
            vending: Arc::new(Vending::new(clock.clone())),
            clock,
            warehouses: Arc::new(Warehouses::new(access)),
            queues: Arc::default(),
            running: TaskTracker::new(),
            measures: CatalogMeasures::default(),
            settings,
        }
    }

    /// Returns the same catalog with other settings. Both share memory and running changes.
    #[must_use]
    pub fn with_settings(&self, settings: CatalogSettings) -> Self {
        Self { settings, ..self.clone() }
    }

    /// Sets how much memory documents may use, and the largest document that is read or written.
    pub fn set_document_bytes(&self, cached_bytes: u64, limit_bytes: u64) {
        self.documents.set_capacity(cached_bytes);
        self.documents.reader().set_limit_bytes(limit_bytes);
    }

    /// Waits until every running change has ended. The wait is unbounded; see [`Self::running_changes`].
    pub async fn finish(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Returns how many changes have begun and not ended.
    #[must_use]
    pub fn running_changes(&self) -> usize {
        self.running.len()
    }

    /// Returns the measurements of commits.
    #[must_use]
    pub const fn measures(&self) -> &CatalogMeasures {
        &self.measures
    }

    /// Returns the measurements of vended credentials.
    #[must_use]
    pub fn vending_measures(&self) -> &VendingMeasures {
        self.vending.measures()
    }

    /// Returns how often a document was not in memory.
    #[must_use]
    pub fn document_misses(&self) -> &Counter {
        self.documents.misses()
    }

    /// Returns how many bytes the documents in memory use.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.documents.cached_bytes()
    }

    /// Returns the organisation's warehouse with the name, or its default.
    ///
    /// # Errors
    /// `NoSuchWarehouse`, also for a warehouse of another organisation; `NoDefaultWarehouse`; `WarehouseUnusable`;
    /// `Store`.
    pub async fn warehouse(
        &self,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, CatalogError> {
        let found = self.warehouses.find(self.store.as_ref(), &self.clock, organisation, name).await;
        found.map_err(|error| CatalogError::from_find_warehouse(error, name))
    }

    /// Returns the answer to a load of a table with `snapshots=refs`: only snapshots that a branch or tag leads to.
    ///
    /// # Errors
    /// `Heavy`.
    pub async fn load_result_of_refs(
        &self,
        warehouse: &OpenWarehouse,
        table: &LoadedTable,
    ) -> Result<LoadResult, CatalogError> {
        Ok(self.documents.load_result_of_refs(&warehouse.storage, &table.document).await?)
    }

    /// Returns the settings with which a client reaches a table's files, limited to the access that the permit allows. They are
    /// empty when it allows neither to read nor to write.
    ///
    /// # Errors
    /// `Vending`.
    pub async fn vend<A: Action, O: InWarehouse>(
        &self,
        permit: &Permit<A, O>,
        locations: &ValidLocations,
        wanted: Wanted,
        (path, pass): (&str, Option<&str>),
    ) -> Result<Arc<Vended>, CatalogError> {
        let warehouse = permit.warehouse();
        let Some(access) = permit.storage_access() else {
            return Ok(Vending::without_access(warehouse.vendor.as_ref()));
        };
        let ask = Ask { locations, access, wanted, path, pass };
        Ok(self.vending.vend(&warehouse.vendor, warehouse.storage.id(), &ask).await?)
    }

    /// Applies rules to `bytes` bytes of JSON: a few on this thread, many on a worker in the organisation's turn.
    async fn work<T: Send + 'static>(
        &self,
        warehouse: &OpenWarehouse,
        bytes: u64,
        work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.heavy.run(warehouse.warehouse_ref.organisation.0, bytes, work).await?
    }

    /// Waits for the turn of a table or view.
    ///
    /// # Errors
    /// `Heavy` when the request's time ends first.
    async fn turn(&self, id: TableId) -> Result<KeyGuard<'_, TableId>, CatalogError> {
        Ok(deadline::within(self.queues.enter(id)).await?)
    }

    /// Runs a change to its end in a separate task, so that a client that disconnects does not stop it half-way. If the request's
    /// time ends while the change still waits for its turn, or reads or works on documents, the change ends and frees the table.
    async fn to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, CatalogError>> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let change = trace::carry(deadline::scope(deadline::current(), Box::pin(change)));
        self.running.spawn(change).await.unwrap_or_else(|stopped| Err(CatalogError::Stopped(stopped.to_string())))
    }
}
