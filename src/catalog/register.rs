//! Registers tables and views with existing metadata, and unregisters tables.

use std::sync::Arc;

use tidewater_core::access::Action as Kind;
use tidewater_core::commit::RegisterTable;
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::commit::ATTEMPTS;
use super::error::table_error;
use super::publish::{Next, Publication, Replaced};
use super::tabular::Tabular;
use super::{Catalog, CatalogError, Loaded, LoadedTable, OpenWarehouse};
use crate::access::{Authorizer, Namespace, Permit, Table, action};
use crate::base::clock::fresh_ordered_uuid;
use crate::base::deadline;
use crate::metadata::{Document, Metadata, MetadataError};
use crate::store::{Change, EventDetails, StoreError, TableKind, TableRecord, Undo};
use crate::vending::{LocationRefused, ValidLocations};

/// The target of a registration.
pub(super) struct Registration<'a> {
    pub(super) warehouse: &'a Arc<OpenWarehouse>,
    pub(super) ident: &'a TableIdent,
    /// Decides whether the registration may replace the table that has the name.
    pub(super) overwrite: Option<&'a Authorizer<action::CommitTable>>,
    pub(super) max_tables: Option<u64>,
    pub(super) change: &'a Change,
}

impl Catalog {
    /// Registers a table from existing metadata below the warehouse's root. With `overwrite`, replaces the table that has the
    /// name. Never writes or removes a file.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `TableExists` without `overwrite`, `NameTaken`; `TableLimit`; `LocationTaken`; `BadRequest` when
    /// the file is outside of the warehouse, is not a table's or breaks a rule of the specification; `Metadata` when it is
    /// missing; `CommitFailed`; `CommitStateUnknown`, `RegisteredWithoutFile`. With all but the last two nothing was changed.
    pub async fn table_register(
        self: &Arc<Self>,
        namespace: &Permit<action::RegisterTable, Namespace>,
        request: RegisterTable,
        change: &Change,
    ) -> Result<LoadedTable, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(&namespace.warehouse), change.clone());
        let max_tables = namespace.principal().max_tables();
        let ident = TableIdent::new(namespace.ident.clone(), &request.name)?;
        let overwrite = match request.overwrite {
            true => Some(namespace.authorizer().for_action::<action::CommitTable>()?),
            false => None,
        };
        self.to_its_end(async move {
            let (warehouse, ident, overwrite, change) = (&warehouse, &ident, overwrite.as_ref(), &change);
            let registration = Registration { warehouse, ident, overwrite, max_tables, change };
            catalog.register(&registration, &request.metadata_location).await
        })
        .await
    }

    /// Unregisters a table: removes it from the catalog and keeps its files, so that another catalog can register it. Returns its
    /// last state.
    ///
    /// # Errors
    /// `NoSuchTable`; `Denied` without permission to write its data, because whoever registers the table again owns it; `Metadata`
    /// when its document cannot be read; the table then stays.
    pub async fn table_unregister(
        self: &Arc<Self>,
        table: Permit<action::UnregisterTable, Table>,
        change: &Change,
    ) -> Result<Arc<Document>, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        self.to_its_end(async move {
            let turn = catalog.turn(table.record.id).await?;
            let table = if turn.waited { catalog.find_again::<TableMetadata, _, _>(&table).await? } else { table };
            table.check(Kind::WriteTableData)?;
            let Table { warehouse, ident, record } = &*table;
            let document = catalog.documents.get(&warehouse.storage, &record.metadata_location).await?;
            let dropped = catalog
                .store
                .table_drop(warehouse.warehouse_ref, ident, record.id, TableKind::Table, None, &change)
                .await;
            let dropped = dropped.map_err(table_error(ident))?;
            if dropped.metadata_location == document.location {
                return Ok(document);
            }
            // A commit of another process came in between.
            Ok(catalog.documents.get(&warehouse.storage, &dropped.metadata_location).await?)
        })
        .await
    }

    /// Registers the document at a location for a table or view. Never writes or removes a file.
    ///
    /// # Errors
    /// As [`Catalog::table_register`].
    pub(super) async fn register<M: Tabular>(
        &self,
        registration: &Registration<'_>,
        location: &str,
    ) -> Result<Loaded<M>, CatalogError> {
        let Registration { warehouse, ident, overwrite, .. } = *registration;
        let id = TableId(fresh_ordered_uuid());
        match self.new_location(M::TABLE_KIND, warehouse, ident, id, None).await {
            Ok(_) => {}
            Err(CatalogError::TableExists(_)) if overwrite.is_some() => {}
            Err(error) => return Err(error),
        }
        let document = self.document_to_register::<M>(warehouse, location).await?;
        let locations = document.metadata.locations(&warehouse.root)?;
        let before = self.publish_registered(registration, id, &document, &locations).await?;
        // A purge may have removed the files between the read and the change. After the change, no purge of them begins.
        if self.was_removed_meanwhile(warehouse, &document).await {
            self.undo_register::<M>(registration, id, location, before.as_ref()).await?;
        }
        Ok(Loaded { document, locations: Some(locations) })
    }

    /// Reads the document from storage, and checks that every reader will accept it.
    async fn document_to_register<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        location: &str,
    ) -> Result<Arc<Document<M>>, CatalogError> {
        let at = Location::parse(location).map_err(LocationRefused::from)?;
        if !warehouse.root.contains(&at) {
            return Err(LocationRefused::outside(location, &warehouse.root).into());
        }
        let document = match self.documents.find_anew::<M>(&warehouse.storage, location).await {
            // A file that is not metadata is a fault of the request.
            Err(error @ MetadataError::Unreadable { .. }) => return Err(CatalogError::BadRequest(error.to_string())),
            found => found?,
        };
        let (bytes, checked) = (document.json.len() as u64, Arc::clone(&document));
        let check = move || {
            check_registrable(&checked)?;
            Ok(checked.metadata.tolerated())
        };
        let tolerated = self.work(warehouse, bytes, check).await?;
        if let Some(first) = tolerated.first() {
            tracing::warn!(
                location,
                count = tolerated.len(),
                first,
                "the metadata of a new registration breaks rules of the specification that readers tolerate"
            );
        }
        Ok(document)
    }

    /// Finds the table that has the name, and decides whether it may be replaced.
    async fn find_to_overwrite<M: Tabular>(
        &self,
        authorizer: &Authorizer<action::CommitTable>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
    ) -> Result<Option<TableRecord>, CatalogError> {
        let Some(record) = self.find_record::<M>(warehouse, ident).await? else { return Ok(None) };
        let table = Table { warehouse: Arc::clone(warehouse), ident: ident.clone(), record };
        Ok(Some(authorizer.clone().permit(table)?.into_object().record))
    }

    /// Adds the table or view, or moves the existing one's pointer to the document, in one transaction of the store. Returns the
    /// replaced version, if there was one.
    async fn publish_registered<M: Tabular>(
        &self,
        registration: &Registration<'_>,
        id: TableId,
        document: &Arc<Document<M>>,
        locations: &ValidLocations,
    ) -> Result<Option<TableRecord>, CatalogError> {
        let Registration { warehouse, ident, overwrite, max_tables, change } = *registration;
        for _ in 0..ATTEMPTS {
            let before = match overwrite {
                Some(overwrite) => self.find_to_overwrite::<M>(overwrite, warehouse, ident).await?,
                None => None,
            };
            let _turn = match &before {
                Some(before) => Some(self.turn(before.id).await?),
                None => None,
            };
            let publication = Publication {
                ident,
                id: before.as_ref().map_or(id, |before| before.id),
                replaced: before.clone().map(|record| Replaced { record, document: None }),
                next: Next::Registered(Arc::clone(document)),
                locations: locations.clone(),
                details: EventDetails::new(),
            };
            match self.publish(warehouse, publication, (None, max_tables), change).await {
                Ok(_) => return Ok(before),
                // The table was created, changed, dropped or renamed since the lookup.
                Err(refused) if refused.overtaken && overwrite.is_some() => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        let message = format!("Cannot register {ident}: other changes were faster {ATTEMPTS} times");
        Err(CatalogError::CommitFailed(message))
    }

    /// Returns whether a registered document's file is missing. If storage does not answer, the file counts as present, as it was
    /// a moment ago.
    async fn was_removed_meanwhile<M: Tabular>(&self, warehouse: &OpenWarehouse, registered: &Document<M>) -> bool {
        let location = &registered.location;
        // The document is registered now, so this ignores the request's deadline.
        match deadline::scope(None, self.documents.find_anew::<M>(&warehouse.storage, location)).await {
            Err(MetadataError::Missing(_)) => true,
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(location, %error, "could not check whether a registered table's metadata file still exists");
                false
            }
        }
    }

    /// Undoes a registration whose file is missing, in one transaction of the store. If the table was changed since, the
    /// registration stays.
    ///
    /// # Errors
    /// `Metadata` if the registration was undone, so that nothing is changed; `RegisteredWithoutFile` if undoing it failed.
    async fn undo_register<M: Tabular>(
        &self,
        registration: &Registration<'_>,
        id: TableId,
        location: &str,
        before: Option<&TableRecord>,
    ) -> Result<(), CatalogError> {
        let Registration { warehouse, ident, change, .. } = *registration;
        let undo = async {
            let former = match before {
                Some(before) => {
                    Some((before.metadata_location.as_str(), self.locations_of::<M>(warehouse, before).await?))
                }
                None => None,
            };
            let undo = Undo {
                id: before.map_or(id, |before| before.id),
                made: location,
                before: former.as_ref().map(|(pointer, locations)| (*pointer, locations.all())),
            };
            let change = &change.with_time(self.clock.now_ms());
            self.store.table_undo(warehouse.warehouse_ref, &undo, change).await.map_err(CatalogError::Store)
        };
        let location = location.to_owned();
        match undo.await {
            Ok(()) => Err(MetadataError::Missing(location).into()),
            Err(CatalogError::Store(StoreError::PointerMoved | StoreError::NotFound(_))) => Ok(()),
            Err(error) => {
                tracing::error!(%ident, %error, "could not undo the registration of a table whose metadata file is missing");
                let (ident, cause) = (ident.clone(), error.to_string());
                Err(CatalogError::RegisteredWithoutFile { ident, location, cause })
            }
        }
    }

    /// Returns a table's or view's locations, without regard to the request's deadline.
    async fn locations_of<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        record: &TableRecord,
    ) -> Result<ValidLocations, CatalogError> {
        let read = self.documents.find::<M>(&warehouse.storage, &record.metadata_location);
        let document = deadline::scope(None, read).await?;
        Ok(document.metadata.locations(&warehouse.root)?)
    }
}

/// The most problems of a document that the answer lists.
const MAX_LISTED_PROBLEMS: usize = 10;

/// Checks that every reader will accept a document that enters the catalog.
///
/// # Errors
/// `BadRequest` with the document's problems.
fn check_registrable<M: Metadata>(document: &Document<M>) -> Result<(), CatalogError> {
    let problems = document.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(MAX_LISTED_PROBLEMS);
    let more = if more == 0 { String::new() } else { format!("\n- and {more} more") };
    Err(CatalogError::BadRequest(format!(
        "Cannot register {}: it breaks rules of the specification, and engines may refuse to read it:\n- {}{more}",
        document.location,
        problems[..problems.len().min(MAX_LISTED_PROBLEMS)].join("\n- ")
    )))
}
