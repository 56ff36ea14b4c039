//! Publishing: how a metadata document becomes the current one of a table or view.
//!
//! 1. Write the document, unless it is registered and exists already.
//! 2. Ask the store to add the table or view, to move its pointer, or to make all changes of a transaction.
//! 3. If the outcome is unknown, find it out from the pointer and the history (`fate.rs`).
//! 4. If the change was certainly not made, remove the new document. Otherwise keep it: it may be live.
//! 5. Drop the replaced document from memory.
//!
//! Callers apply the rules before, in a separate task, and vend credentials afterwards.

use std::error::Error;
use std::slice;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::error::{kind_of, tabular_error};
use super::fate::Fate;
use super::tabular::Tabular;
use super::{Catalog, CatalogError, Loaded, OpenWarehouse};
use crate::access::Principal;
use crate::base::clock::fresh_uuid;
use crate::metadata::{Compression, Document, MetadataError, metadata_folder, next_file_name};
use crate::storage::StorageError;
use crate::store::{
    Change, EventDetails, NewTable, Origin, Past, Resource, StoreError, Swap, TableChange, TableRecord, WarehouseRef,
    note_name,
};
use crate::vending::{LocationRefused, ValidLocations};

/// The most documents that are read, or written, at the same time.
pub(super) const AT_ONCE: usize = 16;

/// A document that is to become the current one of a table or view.
pub(super) struct Publication<'a, M = TableMetadata, N = Next<M>> {
    /// The name of the table or view.
    pub(super) ident: &'a TableIdent,
    /// Its id.
    pub(super) id: TableId,
    /// The version that the document replaces; none for a new table or view.
    pub(super) replaced: Option<Replaced<M>>,
    /// The document.
    pub(super) next: N,
    /// The locations of the files with this document.
    pub(super) locations: ValidLocations,
    /// Details for the event.
    pub(super) details: EventDetails,
}

/// A table or view as it was read.
pub(super) struct Replaced<M = TableMetadata> {
    pub(super) record: TableRecord,
    /// Its document, if the new one was derived from it.
    pub(super) document: Option<Arc<Document<M>>>,
}

/// The content to publish.
pub(super) enum Next<M> {
    /// Metadata for a new document.
    Metadata(M),
    /// An existing document to register.
    Registered(Arc<Document<M>>),
}

/// An existing document. No pointer leads to it yet.
struct Written<M> {
    document: Arc<Document<M>>,
    origin: Origin,
    past: Past,
}

/// A publication whose document exists.
type Ready<'a, M> = Publication<'a, M, Written<M>>;

/// A table that a transaction does not change, and whose pointer must not have moved since it was read.
pub(super) struct Unchanged<'a> {
    pub(super) ident: &'a TableIdent,
    pub(super) record: TableRecord,
}

/// Why a document was not published, or why the outcome is unknown.
pub(super) struct NotPublished<'a> {
    /// The table or view of the error; none in an empty transaction.
    pub(super) ident: Option<&'a TableIdent>,
    pub(super) error: CatalogError,
    /// Whether another change was faster, so that this one may be applied again to the present state.
    pub(super) overtaken: bool,
}

impl<'a> NotPublished<'a> {
    const fn failed(ident: &'a TableIdent, error: CatalogError) -> Self {
        Self { ident: Some(ident), error, overtaken: false }
    }
}

impl From<NotPublished<'_>> for CatalogError {
    fn from(refused: NotPublished<'_>) -> Self {
        refused.error
    }
}

impl<'a, M: Tabular> Publication<'a, M> {
    /// Creates the publication of the first document of a new table or view.
    ///
    /// # Errors
    /// Fails if the metadata names locations that are not allowed.
    pub(super) fn first(
        ident: &'a TableIdent,
        id: TableId,
        metadata: M,
        root: &Location,
        details: EventDetails,
    ) -> Result<Self, LocationRefused> {
        let locations = metadata.locations(root)?;
        Ok(Self { ident, id, replaced: None, next: Next::Metadata(metadata), locations, details })
    }
}

impl Catalog {
    /// Publishes the document of one table or view. If there is a principal, checks right before the swap that it is not outdated.
    pub(super) async fn publish<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        publication: Publication<'a, M>,
        (principal, max_tables): (Option<&Principal>, Option<u64>),
        change: &Change,
    ) -> Result<Loaded<M>, NotPublished<'a>> {
        let ready = self.write(warehouse, publication).await?;
        self.check_present(principal, warehouse, slice::from_ref(&ready)).await?;
        let change = &change.with_time(self.clock.now_ms());
        let asked = self.ask(warehouse.warehouse_ref, &ready, max_tables, change).await;
        self.conclude(warehouse, slice::from_ref(&ready), &[], asked).await?;
        Ok(Loaded { document: ready.next.document, locations: Some(ready.locations) })
    }

    /// Publishes the documents of several tables as one transaction: all or none. See [`Self::publish`].
    pub(super) async fn publish_all<'a>(
        &self,
        warehouse: &OpenWarehouse,
        publications: Vec<Publication<'a>>,
        unchanged: &[Unchanged<'a>],
        (principal, max_tables): (Option<&Principal>, Option<u64>),
        change: &Change,
    ) -> Result<(), NotPublished<'a>> {
        let ready = self.write_all(warehouse, publications).await?;
        self.check_present(principal, warehouse, &ready).await?;
        let change = &change.with_time(self.clock.now_ms());
        let changes = ready.iter().map(Ready::table_change).chain(unchanged.iter().map(Unchanged::table_change));
        let asked = self.store.table_transact(warehouse.warehouse_ref, changes.collect(), max_tables, change).await;
        self.conclude(warehouse, &ready, unchanged, asked).await
    }

    /// Checks, right before the swap, that the principal's standing and grants have not changed since they were decided about. If they
    /// have, the change is overtaken: its caller decides again.
    async fn check_present<'a, M: Tabular>(
        &self,
        principal: Option<&Principal>,
        warehouse: &OpenWarehouse,
        ready: &[Ready<'a, M>],
    ) -> Result<(), NotPublished<'a>> {
        if !principal.is_some_and(Principal::is_outdated) {
            return Ok(());
        }
        self.discard_all(warehouse, ready).await;
        let ident = ready.first().map(|part| part.ident);
        let error = CatalogError::CommitFailed("the permissions of the caller changed during the request".to_owned());
        Err(NotPublished { ident, error, overtaken: true })
    }

    /// Handles the store's answer to a change: resolves an unknown outcome, and removes documents that did not become current.
    async fn conclude<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        ready: &[Ready<'a, M>],
        unchanged: &[Unchanged<'a>],
        asked: Result<(), StoreError>,
    ) -> Result<(), NotPublished<'a>> {
        match asked {
            Ok(()) => {}
            Err(error) if error.outcome_is_unknown() => {
                self.resolve_unknown_outcome(warehouse, ready, unchanged, error).await?;
            }
            Err(error) => {
                self.discard_all(warehouse, ready).await;
                return Err(refused(ready, unchanged, error));
            }
        }
        for replaced in ready.iter().filter_map(|part| part.replaced.as_ref()?.document.as_ref()) {
            self.documents.forget(&warehouse.storage, replaced);
        }
        Ok(())
    }

    /// Asks the store to add one table or view, or to move its pointer.
    async fn ask<M: Tabular>(
        &self,
        warehouse_ref: WarehouseRef,
        ready: &Ready<'_, M>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<(), StoreError> {
        let Publication { ident, id, replaced, next, locations, details } = ready;
        let (id, kind, locations) = (*id, M::TABLE_KIND, locations.all());
        let Written { document, origin, past } = next;
        let (new, origin) = (document.location.as_str(), *origin);
        match replaced {
            None => {
                let new = NewTable { id, ident, kind, metadata_location: new, locations, origin, details };
                self.store.table_create(warehouse_ref, &new, max_tables, change).await
            }
            Some(Replaced { record, .. }) => {
                let expected = record.metadata_location.as_str();
                let swap = Swap { id, expected, new, locations, origin, past, details };
                self.store.table_swap(warehouse_ref, &swap, change).await
            }
        }
    }

    /// Resolves the outcome of a change whose answer was lost. The documents stay: they may be live, or become live.
    async fn resolve_unknown_outcome<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        ready: &[Ready<'a, M>],
        unchanged: &[Unchanged<'a>],
        error: StoreError,
    ) -> Result<(), NotPublished<'a>> {
        // All parts have the same outcome, so one known part decides.
        let mut fate = Fate::NotYet;
        for part in ready {
            fate = fate.max(self.fate_of(warehouse, part).await);
            if fate == Fate::Happened {
                return Ok(());
            }
        }
        let error = if fate == Fate::Unknown {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            CatalogError::CommitStateUnknown(names(ready, unchanged), cause)
        } else {
            CatalogError::Store(error)
        };
        Err(NotPublished { ident: idents(ready, unchanged).next(), error, overtaken: fate == Fate::Overtaken })
    }

    async fn fate_of<M: Tabular>(&self, warehouse: &OpenWarehouse, part: &Ready<'_, M>) -> Fate {
        let Some(replaced) = &part.replaced else {
            return self.fate_of_creation(warehouse, part.ident, part.id).await;
        };
        match self.fate_of_swap(warehouse, &replaced.record, &part.next.document.location).await {
            // A registered document is no successor of the one that it replaces, so the histories do not show the order.
            Fate::Overtaken if part.next.origin == Origin::Foreign => Fate::Unknown,
            fate => fate,
        }
    }

    /// Writes the documents of a transaction. If one fails, removes the others.
    async fn write_all<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        publications: Vec<Publication<'a, M>>,
    ) -> Result<Vec<Ready<'a, M>>, NotPublished<'a>> {
        let writing: Vec<_> = publications.into_iter().map(|part| self.write(warehouse, part)).collect();
        let results: Vec<Result<Ready<'a, M>, NotPublished<'a>>> =
            stream::iter(writing).buffered(AT_ONCE).collect().await;
        let mut failed = None;
        let mut ready = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(part) => ready.push(part),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(failed) = failed else { return Ok(ready) };
        self.discard_all(warehouse, &ready).await;
        Err(failed)
    }

    /// Writes the document of a publication, unless it exists.
    async fn write<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        publication: Publication<'a, M>,
    ) -> Result<Ready<'a, M>, NotPublished<'a>> {
        let Publication { ident, id, replaced, next, locations, mut details } = publication;
        note_name(&mut details, ident);
        let next = match next {
            Next::Registered(document) => Written { document, origin: Origin::Foreign, past: Past::Kept },
            Next::Metadata(metadata) => {
                let base = replaced.as_ref().and_then(|replaced| replaced.document.as_deref());
                let previous = base.map(|base| base.location.as_str());
                let written = self.write_document(warehouse, metadata, previous).await;
                let document = written.map_err(|error| NotPublished::failed(ident, error))?;
                let past = match base {
                    Some(base) => self.past(warehouse, id, base, &document.metadata).await,
                    None => Past::Kept,
                };
                Written { document, origin: Origin::Catalog, past }
            }
        };
        Ok(Publication { ident, id, replaced, next, locations, details })
    }

    /// Writes the document that follows the one at `previous`, in the table's or view's folder for metadata.
    async fn write_document<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        metadata: M,
        previous: Option<&str>,
    ) -> Result<Arc<Document<M>>, CatalogError> {
        let compression = Compression::from_property(
            metadata.properties().get("write.metadata.compression-codec").map(String::as_str),
        )
        .map_err(|codec| {
            CatalogError::BadRequest(format!(
                "Unknown write.metadata.compression-codec '{}': use none or gzip",
                codec.chars().take(40).collect::<String>()
            ))
        })?;
        let name = next_file_name(previous, fresh_uuid(), compression);
        let location = format!("{}/{name}", metadata_folder(&metadata));
        let created = self.documents.create(&warehouse.storage, location, metadata, compression).await;
        created.map_err(|error| if previous.is_none() { cannot_create(error) } else { error.into() })
    }

    /// Removes documents that no pointer ever led to, except registered ones, which the catalog did not write.
    async fn discard_all<M>(&self, warehouse: &OpenWarehouse, ready: &[Ready<'_, M>]) {
        for part in ready.iter().filter(|part| part.next.origin == Origin::Catalog) {
            self.documents.discard(&warehouse.storage, &part.next.document).await;
        }
    }
}

impl Ready<'_, TableMetadata> {
    fn table_change(&self) -> TableChange {
        let (id, locations, details) = (self.id, self.locations.all().clone(), self.details.clone());
        let (new, past) = (self.next.document.location.clone(), self.next.past.clone());
        match &self.replaced {
            None => TableChange::Create { id, ident: self.ident.clone(), metadata_location: new, locations, details },
            Some(Replaced { record, .. }) => {
                TableChange::Swap { id, expected: record.metadata_location.clone(), new, locations, past, details }
            }
        }
    }
}

impl Unchanged<'_> {
    fn table_change(&self) -> TableChange {
        TableChange::Keep { id: self.record.id, expected: self.record.metadata_location.clone() }
    }
}

/// Returns the error for a change that the store certainly did not make.
fn refused<'a, M: Tabular>(ready: &[Ready<'a, M>], unchanged: &[Unchanged<'a>], error: StoreError) -> NotPublished<'a> {
    let (at, error) = match error {
        StoreError::InTransaction { at, error } => (at, *error),
        error => (0, error),
    };
    let Some(ident) = idents(ready, unchanged).nth(at) else {
        return NotPublished { ident: None, error: CatalogError::Store(error), overtaken: false };
    };
    let overtaken = match (&error, ready.get(at)) {
        (StoreError::PointerMoved, _) => true,
        (StoreError::AlreadyExists(taken_by), Some(part)) => {
            part.replaced.is_none() && kind_of(*taken_by) == M::TABLE_KIND
        }
        // A registration is about a name; a commit is about the table that it read.
        (StoreError::NotFound(Resource::Table | Resource::View), Some(part)) => part.next.origin == Origin::Foreign,
        _ => false,
    };
    NotPublished { ident: Some(ident), error: tabular_error(M::TABLE_KIND, ident)(error), overtaken }
}

/// Returns the tables of a transaction, in the order in which they are passed to the store.
fn idents<'a, 'p, M>(
    ready: &'p [Ready<'a, M>],
    unchanged: &'p [Unchanged<'a>],
) -> impl Iterator<Item = &'a TableIdent> + use<'a, 'p, M> {
    ready.iter().map(|part| part.ident).chain(unchanged.iter().map(|part| part.ident))
}

/// Lists the tables of a transaction for a message; only the first ones when there are many.
fn names<M>(ready: &[Ready<'_, M>], unchanged: &[Unchanged<'_>]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = idents(ready, unchanged).take(SHOWN).map(ToString::to_string).collect();
    let count = ready.len() + unchanged.len();
    if count > SHOWN {
        names.push(format!("{} more", count - SHOWN));
    }
    names.join(", ")
}

/// Returns the error for a first document that cannot be written. A location below a file is a fault of the request, which
/// can choose another.
pub(super) fn cannot_create(error: MetadataError) -> CatalogError {
    match error {
        MetadataError::Storage(error @ StorageError::BelowFile { .. }) => {
            CatalogError::BadRequest(format!("{error}. Choose another location"))
        }
        other => other.into(),
    }
}
