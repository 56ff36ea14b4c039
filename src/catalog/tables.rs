//! Tables: create, load, list, rename, drop. Commits are in `commit.rs`.

use std::sync::Arc;

use tidewater_core::commit::{Context, CreateTable, create_table};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::error::{of_rename, of_table, taken};
use super::fate::Fate;
use super::namespaces::LOCATION_PROPERTY;
use super::weight::create_bytes;
use super::{Catalog, CatalogError, CreatedTable, LoadedTable, OpenWarehouse};
use crate::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::deadline::STOP;
use crate::locations::Refusals;
use crate::metadata::{Compression, Document, Metadata, MetadataError, metadata_folder, next_file_name};
use crate::storage::StorageError;
use crate::store::{Change, EventDetails, NewTable, Page, PageRequest, StoreError, TableKind, TableRecord};
use crate::vending::{LocationRefused, ValidLocations};

/// A table that is about to be.
pub(super) struct NewDocument<'a> {
    pub(super) id: TableId,
    pub(super) table: TableMetadata,
    pub(super) max_tables: Option<u64>,
    /// What was asked for, for the event.
    pub(super) details: EventDetails,
    pub(super) change: &'a Change,
}

impl Catalog {
    /// The table as it stands: one read of the store, and its document, from memory when it was used lately.
    ///
    /// # Errors
    /// `NoSuchTable`; `Metadata`.
    pub async fn table_load(&self, warehouse: &OpenWarehouse, ident: &TableIdent) -> Result<LoadedTable, CatalogError> {
        let record = self.table_record(warehouse, ident).await?;
        self.table_at(warehouse, &record.metadata_location).await
    }

    /// The table as the document at that location has it, which is, or was, a table's of this warehouse.
    ///
    /// # Errors
    /// `Metadata`.
    pub(super) async fn table_at(
        &self,
        warehouse: &OpenWarehouse,
        location: &str,
    ) -> Result<LoadedTable, CatalogError> {
        let document = self.documents.get(&warehouse.storage, location).await?;
        self.documents.check_still_there(&warehouse.storage, &document)?;
        // Where nothing is ever vended, nobody asks for the proof, and to find it takes longer than all else here.
        let locations = match warehouse.vendor.is_none() {
            true => None,
            false => document.locations_below(&warehouse.root),
        };
        Ok(LoadedTable { document, locations })
    }

    /// Whether a table or view has the name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn name_is_taken(&self, warehouse: &OpenWarehouse, ident: &TableIdent) -> Result<bool, CatalogError> {
        Ok(self.store.table_get(warehouse.place, ident).await.map_err(of_table(ident))?.is_some())
    }

    /// What the store knows of the table, if there is one.
    ///
    /// # Errors
    /// `NoSuchTable`.
    pub async fn table_record(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<TableRecord, CatalogError> {
        let found = self.store.table_get(warehouse.place, ident).await.map_err(of_table(ident))?;
        let table = found.filter(|record| record.kind == TableKind::Table);
        table.ok_or_else(|| CatalogError::NoSuchTable(ident.clone()))
    }

    /// The tables of a namespace, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn table_list(
        &self,
        warehouse: &OpenWarehouse,
        namespace: &NamespaceIdent,
        page: &PageRequest,
    ) -> Result<Page<String>, CatalogError> {
        let listed = self.store.table_list(warehouse.place, namespace, TableKind::Table, page).await;
        listed.map_err(super::error::of_namespace(namespace))
    }

    /// Creates a table, or with `stage_create` says what would be created.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `TableExists`, `NameTaken`; `TableLimit`; `BadRequest`; `Metadata` when it cannot be written.
    pub async fn table_create(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        namespace: &NamespaceIdent,
        request: CreateTable,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<CreatedTable, CatalogError> {
        let (catalog, warehouse) = (Arc::clone(self), Arc::clone(warehouse));
        let ident = TableIdent::new(namespace.clone(), &request.name)?;
        let (change, bytes) = (change.clone(), create_bytes(&request));
        self.to_its_end(async move {
            let id = TableId(fresh_ordered_uuid());
            let location = catalog.new_table_location(&warehouse, &ident, id, request.location.as_deref()).await?;
            let (stage_create, now_ms, table_uuid) = (request.stage_create, catalog.clock.now_ms(), fresh_uuid());
            let create = move || {
                let context = Context { now_ms, table_uuid, previous_metadata_location: None, stop: STOP };
                Ok(create_table(&request, &location, &context)?)
            };
            let table = catalog.work(&warehouse, bytes, create).await?;
            if stage_create {
                let locations = ValidLocations::of(&table, &warehouse.root)?;
                // Credentials for them are about to be given. Who commits first has them.
                let check = || catalog.store.location_check(warehouse.place, id, locations.all());
                catalog.settled(&warehouse, Refusals::MayPass, check).await.map_err(of_table(&ident))?;
                let prepared = catalog.documents.prepare(&warehouse.storage, &metadata_folder(&table)).await;
                prepared.map_err(cannot_create)?;
                return Ok(CreatedTable::Staged(Box::new(table), locations));
            }
            let new = NewDocument { id, table, max_tables, details: EventDetails::new(), change: &change };
            catalog.table_add(&warehouse, &ident, new).await.map(CreatedTable::Created)
        })
        .await
    }

    /// Gives a table another name, in this namespace or another of the same warehouse.
    ///
    /// # Errors
    /// `NoSuchTable`; `NoSuchNamespace` for the target; `RenameTaken`.
    pub async fn table_rename(
        &self,
        warehouse: &OpenWarehouse,
        from: &TableIdent,
        to: &TableIdent,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let renamed = self.store.table_rename(warehouse.place, from, to, TableKind::Table, change).await;
        renamed.map_err(of_rename(TableKind::Table, from, to))
    }

    /// Drops a table: its name is free. It can be restored for a time; after that its files go if `purge` is set, and
    /// stay otherwise. Gives the catalog's id of it.
    ///
    /// # Errors
    /// `NoSuchTable`.
    pub async fn table_drop(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        purge: bool,
        change: &Change,
    ) -> Result<TableId, CatalogError> {
        let change = &change.at(self.clock.now_ms());
        let terms = self.drop_terms(warehouse, purge, change.at_ms);
        let dropped = self.store.table_drop(warehouse.place, ident, TableKind::Table, terms.as_ref(), change).await;
        dropped.map(|dropped| dropped.id).map_err(of_table(ident))
    }

    /// Where a new table's files go, as [`Catalog::new_location`] says.
    pub(super) async fn new_table_location(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        id: TableId,
        wanted: Option<&str>,
    ) -> Result<String, CatalogError> {
        self.new_location(TableKind::Table, warehouse, ident, id, wanted).await
    }

    /// Where the files of a new table or view go, if the name is free: where its creator says, else under an id (a name
    /// could come back, or mean something to a storage server) below its namespace's location or the warehouse's root.
    /// A creator who names no scheme means below that, too. Whatever names the place, it is spelled as the warehouse's root.
    pub(super) async fn new_location(
        &self,
        kind: TableKind,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        id: TableId,
        wanted: Option<&str>,
    ) -> Result<String, CatalogError> {
        let namespace = self.namespace_get(warehouse, &ident.namespace).await?;
        if let Some(found) = self.store.table_get(warehouse.place, ident).await.map_err(of_table(ident))? {
            return Err(taken(kind, found.kind, ident));
        }
        let base = || namespace.get(LOCATION_PROPERTY).map_or(warehouse.root.as_str(), |location| location.as_str());
        let location = match wanted {
            None => format!("{}/{id}", base().trim_end_matches('/')),
            Some(wanted) if Location::is_relative(wanted) => {
                let below = Location::parse(base()).and_then(|base| base.join(wanted));
                below.map_err(LocationRefused::from)?.to_string()
            }
            Some(wanted) => wanted.to_owned(),
        };
        let respelled = Location::parse(&location).ok().and_then(|place| place.respelled_below(&warehouse.root));
        Ok(respelled.map_or(location, |place| place.to_string()))
    }

    /// Writes a new table's first document, and lets it be.
    pub(super) async fn table_add(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        new: NewDocument<'_>,
    ) -> Result<LoadedTable, CatalogError> {
        let NewDocument { id, table, max_tables, details, change } = new;
        let locations = ValidLocations::of(&table, &warehouse.root)?;
        let document = self.write_document(warehouse, table, None).await?;
        let new = NewTable {
            id,
            ident,
            kind: TableKind::Table,
            metadata_location: &document.location,
            locations: locations.all(),
            registered: false,
            details: &details,
        };
        let change = &change.at(self.clock.now_ms());
        let create = || self.store.table_create(warehouse.place, &new, max_tables, change);
        match self.settled(warehouse, Refusals::AreFinal, create).await {
            Ok(()) => Ok(LoadedTable { document, locations: Some(locations) }),
            Err(StoreError::Unavailable(cause)) => {
                // Whether it was added is not known, so the document stays.
                match self.fate_of_creation(warehouse, ident, id).await {
                    Fate::Happened => Ok(LoadedTable { document, locations: Some(locations) }),
                    Fate::NotYet | Fate::Overtaken => Err(CatalogError::Store(StoreError::Unavailable(cause))),
                    Fate::Unknown => Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string())),
                }
            }
            Err(error) => {
                self.documents.discard(&warehouse.storage, &document).await;
                Err(of_table(ident)(error))
            }
        }
    }

    /// Writes the document that follows the one at `previous`, in the table's or view's folder for metadata.
    pub(super) async fn write_document<M: Metadata>(
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
}

/// What to answer when the first document of a table or view cannot be written: a location below a file is the request's
/// fault, and may be chosen otherwise.
fn cannot_create(error: MetadataError) -> CatalogError {
    match error {
        MetadataError::Storage(error @ StorageError::BelowFile { .. }) => {
            CatalogError::BadRequest(format!("{error}. Choose another location"))
        }
        other => other.into(),
    }
}
