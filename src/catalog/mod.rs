//! What a catalog does, in terms of its own: no HTTP, no SQL.
//!
//! A change of a table or view is always: read the pointer, apply the rules of `core`, write the new document, move the pointer
//! in one atomic statement. No connection of the store is held while storage is waited for.

mod again;
mod commit;
mod dropped;
mod error;
mod fate;
mod find;
mod namespaces;
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
mod warehouse_check;
mod warehouses;
mod weight;

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::document::TableMetadata;
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::request_limits::RequestLimits;
use tidewater_core::storage::Wanted;
use tidewater_core::view::ViewMetadata;
use tokio_util::task::TaskTracker;

use crate::warehouse::{OpenWarehouse, StorageAccess};
pub use dropped::missing_document;
pub use error::CatalogError;
pub use find::CommitTarget;
pub use warehouse_check::{CheckStep, warehouse_check};

use crate::access::action::Action;
use crate::access::{InWarehouse, Permit};
use crate::clock::Clock;
use crate::deadline;
use crate::heavy::Heavy;
use crate::metadata::{Document, Documents, LoadResult};
use crate::store::Store;
use crate::turns::{Turn, Turns};
use crate::vending::{Ask, ValidLocations, Vended, Vending};
use warehouses::Warehouses;

/// The catalog of all organisations.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    documents: Arc<Documents>,
    clock: Clock,
    warehouses: Arc<Warehouses>,
    vending: Arc<Vending>,
    queues: Arc<Turns<TableId>>,
    /// Where rules are applied to large documents.
    heavy: Arc<Heavy>,
    running: TaskTracker,
    settings: CatalogSettings,
}

/// What can be set of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogSettings {
    /// For how long what is dropped can be restored.
    pub drop_retention: Duration,
    /// How long a metadata file that left its table's log stays.
    pub removal_delay: Duration,
    /// What a namespace may have of properties.
    pub limits: RequestLimits,
}

/// A table as it stands.
pub type LoadedTable = Loaded<TableMetadata>;

/// A table or view as it stands: its document, and where its files may be, if that is allowed still.
#[derive(Debug, Clone)]
pub struct Loaded<M> {
    /// Its current document.
    pub document: Arc<Document<M>>,
    /// The proof that vending takes; none when its locations are outside of the warehouse by now. A load has none either
    /// in a warehouse that vends nothing.
    pub locations: Option<ValidLocations>,
}

/// A view as it stands.
pub type LoadedView = Arc<Document<ViewMetadata>>;

/// What creating a table gives.
#[derive(Debug)]
pub enum CreatedTable {
    /// It exists.
    Created(LoadedTable),
    /// Nothing exists yet (`stage-create`): this is what a later commit with `assert-create` will make.
    Staged(Box<TableMetadata>, ValidLocations),
}

impl Catalog {
    /// A catalog that remembers in `store` and keeps its documents in `documents`, on whose workers it does heavy work.
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
            settings,
        }
    }

    /// The same catalog with other settings: what is in memory and under way is shared.
    #[must_use]
    pub fn with_settings(&self, settings: CatalogSettings) -> Self {
        Self { settings, ..self.clone() }
    }

    /// Sets how much memory documents may take, and how large one may be that is read or written.
    pub fn set_document_bytes(&self, cached_bytes: u64, limit_bytes: u64) {
        self.documents.set_capacity(cached_bytes);
        self.documents.reader().set_limit_bytes(limit_bytes);
    }

    /// Waits until every change that has begun has ended. It has no bound of its own; see [`Self::running_changes`].
    pub async fn finish(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Returns how many changes have begun and not ended.
    #[must_use]
    pub fn running_changes(&self) -> usize {
        self.running.len()
    }

    /// How many bytes the documents in memory take.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.documents.cached_bytes()
    }

    /// Has an organisation's warehouses read anew, since one was changed by this process.
    pub fn forget_warehouses(&self, organisation: OrganisationId) {
        self.warehouses.forget(organisation);
    }

    /// The organisation's warehouse of that name, or its default.
    ///
    /// # Errors
    /// `NoSuchWarehouse`, the same for another organisation's as for none; `NoDefaultWarehouse`; `WarehouseUnusable`;
    /// `Store`.
    pub async fn warehouse(
        &self,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, CatalogError> {
        self.warehouses.find(self.store.as_ref(), &self.clock, organisation, name).await
    }

    /// Returns the answer to a load of a table that asks only for the snapshots that a branch or tag leads to.
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

    /// What a client is given to reach a table's files with: what the permit allows it to do with them, and nothing where it
    /// allows neither to read nor to write.
    ///
    /// # Errors
    /// `Vending`.
    pub async fn vend<A: Action, O: InWarehouse>(
        &self,
        permit: &Permit<A, O>,
        locations: &ValidLocations,
        wanted: Wanted,
        (path, pass): (&str, Option<&str>),
    ) -> Result<Vended, CatalogError> {
        let Some(access) = permit.storage_access() else { return Ok(Vended::default()) };
        let warehouse = permit.warehouse();
        let ask = Ask { locations, access, wanted, path, pass };
        Ok(self.vending.vend(&warehouse.vendor, warehouse.storage.id(), &ask).await?)
    }

    /// Applies rules to `bytes` bytes of JSON: in place when that is little, else on a worker in the organisation's turn.
    async fn work<T: Send + 'static>(
        &self,
        warehouse: &OpenWarehouse,
        bytes: u64,
        work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.heavy.run(warehouse.place.organisation.0, bytes, work).await?
    }

    /// Waits for the turn of a table or view.
    ///
    /// # Errors
    /// `Heavy` when the request's time is over first.
    async fn turn(&self, id: TableId) -> Result<Turn<'_, TableId>, CatalogError> {
        Ok(deadline::within(self.queues.enter(id)).await?)
    }

    /// Runs a change to its end in a task of its own: a client that hangs up does not stop it half-way. A change that still
    /// waits for its turn, or for documents, or works on them, when the request's time is over ends there and leaves the
    /// table to others.
    async fn to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, CatalogError>> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let change = deadline::scope(deadline::current(), change);
        self.running.spawn(change).await.unwrap_or_else(|stopped| Err(CatalogError::Stopped(stopped.to_string())))
    }
}
