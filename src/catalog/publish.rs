//! Publishing: how a metadata document becomes the current one of a table or view.
//!
//! 1. Write the document. One that is registered exists already.
//! 2. Ask the store to add the table or view, to move its pointer, or to make all changes of a transaction.
//! 3. When the outcome is unknown, learn it from the pointer and the history (`fate.rs`).
//! 4. When the change was surely not made, remove the document that was written. In any other case it stays: it may be live.
//! 5. Drop the replaced document from memory.
//!
//! Callers apply the rules before, in a task of their own, and vend afterwards.

use std::error::Error;
use std::slice;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::error::{kind_of, of_kind};
use super::fate::Fate;
use super::tabular::Tabular;
use super::{Catalog, CatalogError, Loaded, OpenWarehouse};
use crate::base::clock::fresh_uuid;
use crate::metadata::{Compression, Document, MetadataError, metadata_folder, next_file_name};
use crate::storage::StorageError;
use crate::store::{
    Change, EventDetails, NewTable, Origin, Past, Place, Resource, StoreError, Swap, TableChange, TableRecord,
};
use crate::vending::{LocationRefused, ValidLocations};

/// How many documents are read, or written, at the same time.
pub(super) const AT_ONCE: usize = 16;

/// A document that is to become the current one of a table or view.
pub(super) struct Publication<'a, M = TableMetadata, N = Next<M>> {
    /// The name of the table or view.
    pub(super) ident: &'a TableIdent,
    /// Its id.
    pub(super) id: TableId,
    /// What the document replaces; none for a table or view that is added.
    pub(super) replaced: Option<Replaced<M>>,
    /// The document.
    pub(super) next: N,
    /// Where the files are with it.
    pub(super) locations: ValidLocations,
    /// The details of the event.
    pub(super) details: EventDetails,
}

/// A table or view as it was read.
pub(super) struct Replaced<M = TableMetadata> {
    pub(super) record: TableRecord,
    /// Its document, if the next one was made from it.
    pub(super) document: Option<Arc<Document<M>>>,
}

/// What is published.
pub(super) enum Next<M> {
    /// Metadata for a new document.
    Metadata(M),
    /// A document that exists, and is registered.
    Registered(Arc<Document<M>>),
}

/// A document that exists. No pointer leads to it yet.
struct Written<M> {
    document: Arc<Document<M>>,
    origin: Origin,
    past: Past,
}

/// A publication whose document exists.
type Ready<'a, M> = Publication<'a, M, Written<M>>;

/// A table that a transaction leaves as it was read, and that must still be so.
pub(super) struct Unchanged<'a> {
    pub(super) ident: &'a TableIdent,
    pub(super) record: TableRecord,
}

/// Why a document was not published, or why it is not known whether it was.
pub(super) struct NotPublished<'a> {
    /// The table or view that the error is about; none in a transaction without any.
    pub(super) ident: Option<&'a TableIdent>,
    pub(super) error: CatalogError,
    /// Whether another change was faster, so that this one may be made again to what there is now.
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
    /// Returns the first document of a table or view that is created.
    ///
    /// # Errors
    /// When its files are not to be where the metadata says.
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
    /// Publishes the document of one table or view.
    pub(super) async fn publish<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        publication: Publication<'a, M>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<Loaded<M>, NotPublished<'a>> {
        let ready = self.write(warehouse, publication).await?;
        let change = &change.at(self.clock.now_ms());
        let asked = self.ask(warehouse.place, &ready, max_tables, change).await;
        self.conclude(warehouse, slice::from_ref(&ready), &[], asked).await?;
        Ok(Loaded { document: ready.next.document, locations: Some(ready.locations) })
    }

    /// Publishes the documents of several tables as one: all of them, or none.
    pub(super) async fn publish_all<'a>(
        &self,
        warehouse: &OpenWarehouse,
        publications: Vec<Publication<'a>>,
        unchanged: &[Unchanged<'a>],
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<(), NotPublished<'a>> {
        let ready = self.write_all(warehouse, publications).await?;
        let change = &change.at(self.clock.now_ms());
        let changes = ready.iter().map(Ready::table_change).chain(unchanged.iter().map(Unchanged::table_change));
        let asked = self.store.table_transact(warehouse.place, changes.collect(), max_tables, change).await;
        self.conclude(warehouse, &ready, unchanged, asked).await
    }

    /// Does what follows from the store's answer to a change: learns an unknown outcome, removes what was not made current.
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
        place: Place,
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
                self.store.table_create(place, &new, max_tables, change).await
            }
            Some(Replaced { record, .. }) => {
                let expected = record.metadata_location.as_str();
                let swap = Swap { id, expected, new, locations, origin, past, details };
                self.store.table_swap(place, &swap, change).await
            }
        }
    }

    /// Learns whether a change happened whose answer was lost. The documents stay: they may be live, or become so.
    async fn resolve_unknown_outcome<'a, M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        ready: &[Ready<'a, M>],
        unchanged: &[Unchanged<'a>],
        error: StoreError,
    ) -> Result<(), NotPublished<'a>> {
        // What one part tells holds for all.
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
            // A registered document does not follow the one that it replaces, so their histories do not tell the order.
            Fate::Overtaken if part.next.origin == Origin::Foreign => Fate::Unknown,
            fate => fate,
        }
    }

    /// Writes the documents of a transaction. When one cannot be written, none stays.
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
        let Publication { ident, id, replaced, next, locations, details } = publication;
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

    /// Removes documents that no pointer ever led to. What is registered is not the catalog's to remove.
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

/// What to tell of a change that the store surely did not make.
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
        // A registration is for the name; a commit is for the table that it read.
        (StoreError::NotFound(Resource::Table | Resource::View), Some(part)) => part.next.origin == Origin::Foreign,
        _ => false,
    };
    NotPublished { ident: Some(ident), error: of_kind(M::TABLE_KIND, ident)(error), overtaken }
}

/// The tables of a transaction, in the order in which the store sees them.
fn idents<'a, 'p, M>(
    ready: &'p [Ready<'a, M>],
    unchanged: &'p [Unchanged<'a>],
) -> impl Iterator<Item = &'a TableIdent> + use<'a, 'p, M> {
    ready.iter().map(|part| part.ident).chain(unchanged.iter().map(|part| part.ident))
}

/// The tables of a transaction, for a person: some of them, when there are many.
fn names<M>(ready: &[Ready<'_, M>], unchanged: &[Unchanged<'_>]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = idents(ready, unchanged).take(SHOWN).map(ToString::to_string).collect();
    let count = ready.len() + unchanged.len();
    if count > SHOWN {
        names.push(format!("{} more", count - SHOWN));
    }
    names.join(", ")
}

/// What to answer when the first document of a table or view cannot be written: a location below a file is the request's
/// fault, and may be chosen otherwise.
pub(super) fn cannot_create(error: MetadataError) -> CatalogError {
    match error {
        MetadataError::Storage(error @ StorageError::BelowFile { .. }) => {
            CatalogError::BadRequest(format!("{error}. Choose another location"))
        }
        other => other.into(),
    }
}
