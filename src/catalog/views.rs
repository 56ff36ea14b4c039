//! Views: create, register, load, list, rename, drop. Replacing is in `view_commit.rs`.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::view::{CreateView, RegisterView, create_view};

use super::error::{of_namespace, of_rename, of_view};
use super::fate::Fate;
use super::register::unregistrable;
use super::weight::create_view_bytes;
use super::{Catalog, CatalogError, LoadedView, OpenWarehouse};
use crate::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::locations::Refusals;
use crate::store::{Change, EventDetails, NewTable, Page, PageRequest, StoreError, TableKind, TableRecord};
use crate::vending::{LocationRefused, ValidLocations};

/// A view that is about to be.
struct NewView<'a> {
    id: TableId,
    document: &'a LoadedView,
    registered: bool,
    max_tables: Option<u64>,
    change: &'a Change,
}

impl Catalog {
    /// The view as it stands: one read of the store, and its document, from memory when it was used lately.
    ///
    /// # Errors
    /// `NoSuchView`; `Metadata`.
    pub async fn view_load(&self, warehouse: &OpenWarehouse, ident: &TableIdent) -> Result<LoadedView, CatalogError> {
        let record = self.view_record(warehouse, ident).await?;
        self.view_at(warehouse, &record.metadata_location).await
    }

    /// The view as the document at that location has it, which is, or was, a view's.
    ///
    /// # Errors
    /// `Metadata`.
    pub(super) async fn view_at(&self, warehouse: &OpenWarehouse, location: &str) -> Result<LoadedView, CatalogError> {
        let document = self.documents.get_view(&warehouse.storage, location).await?;
        self.documents.check_still_there(&warehouse.storage, &document)?;
        Ok(document)
    }

    /// What the store knows of the view, if there is one.
    ///
    /// # Errors
    /// `NoSuchView`.
    pub async fn view_record(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<TableRecord, CatalogError> {
        let found = self.store.table_get(warehouse.place, ident).await.map_err(of_view(ident))?;
        let view = found.filter(|record| record.kind == TableKind::View);
        view.ok_or_else(|| CatalogError::NoSuchView(ident.clone()))
    }

    /// The views of a namespace, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn view_list(
        &self,
        warehouse: &OpenWarehouse,
        namespace: &NamespaceIdent,
        page: &PageRequest,
    ) -> Result<Arc<Page<String>>, CatalogError> {
        let listed = self.store.table_list(warehouse.place, namespace, TableKind::View, page).await;
        listed.map_err(of_namespace(namespace))
    }

    /// Creates a view.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `ViewExists`, `NameTaken`; `TableLimit`; `BadRequest`, `IllegalArgument`, `LocationTaken`;
    /// `Metadata` when it cannot be written.
    pub async fn view_create(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        namespace: &NamespaceIdent,
        request: CreateView,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(warehouse), change.clone());
        let ident = TableIdent::new(namespace.clone(), &request.name)?;
        let bytes = create_view_bytes(&request);
        self.to_its_end(async move {
            let id = TableId(fresh_ordered_uuid());
            let wanted = request.location.as_deref();
            let location = catalog.new_location(TableKind::View, &warehouse, &ident, id, wanted).await?;
            let uuid = fresh_uuid();
            let create = move || Ok(create_view(&request, &location, uuid)?);
            let view = catalog.work(&warehouse, bytes, create).await?;
            // Before it is written anywhere.
            ValidLocations::of_view(&view, &warehouse.root)?;
            let document = catalog.write_document(&warehouse, view, None).await?;
            let new = NewView { id, document: &document, registered: false, max_tables, change: &change };
            let added = catalog.view_add(&warehouse, &ident, &new).await;
            if added.as_ref().is_err_and(nothing_was_added) {
                catalog.documents.discard(&warehouse.storage, &document).await;
            }
            added.map(|()| document)
        })
        .await
    }

    /// Adds a view whose metadata exists, below the warehouse's root. The file stays where it is, whatever becomes of the
    /// request.
    ///
    /// # Errors
    /// As [`Catalog::view_create`]; `BadRequest` when the file is elsewhere, is not a view's or breaks a rule of the
    /// specification; `Metadata` when it is missing.
    pub async fn view_register(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        namespace: &NamespaceIdent,
        request: RegisterView,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(warehouse), change.clone());
        let ident = TableIdent::new(namespace.clone(), &request.name)?;
        self.to_its_end(async move {
            let id = TableId(fresh_ordered_uuid());
            catalog.new_location(TableKind::View, &warehouse, &ident, id, None).await?;
            let at = Location::parse(&request.metadata_location).map_err(LocationRefused::from)?;
            if !warehouse.root.contains(&at) {
                return Err(LocationRefused::outside(&request.metadata_location, &warehouse.root).into());
            }
            let found = catalog.documents.get_view(&warehouse.storage, &request.metadata_location).await;
            let document = found.map_err(unregistrable)?;
            catalog.check_registrable(&warehouse, &document).await?;
            let new = NewView { id, document: &document, registered: true, max_tables, change: &change };
            catalog.view_add(&warehouse, &ident, &new).await?;
            Ok(document)
        })
        .await
    }

    /// Gives a view another name, in this namespace or another of the same warehouse.
    ///
    /// # Errors
    /// `NoSuchView`; `NoSuchNamespace` for the target; `RenameTaken`.
    pub async fn view_rename(
        &self,
        warehouse: &OpenWarehouse,
        from: &TableIdent,
        to: &TableIdent,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let renamed = self.store.table_rename(warehouse.place, from, to, TableKind::View, change).await;
        renamed.map_err(of_rename(TableKind::View, from, to))
    }

    /// Drops a view: its name is free. It can be restored for a time. Its files stay.
    ///
    /// # Errors
    /// `NoSuchView`.
    pub async fn view_drop(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let change = &change.at(self.clock.now_ms());
        let terms = self.drop_terms(warehouse, false, change.at_ms);
        let dropped = self.store.table_drop(warehouse.place, ident, TableKind::View, terms.as_ref(), change).await;
        dropped.map(|_| ()).map_err(of_view(ident))
    }

    /// Lets a view be whose document exists. When the answer is lost, the store is asked whether it happened.
    async fn view_add(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        new: &NewView<'_>,
    ) -> Result<(), CatalogError> {
        let locations = ValidLocations::of_view(&new.document.metadata, &warehouse.root)?;
        let table = NewTable {
            id: new.id,
            ident,
            kind: TableKind::View,
            metadata_location: &new.document.location,
            locations: locations.all(),
            registered: new.registered,
            details: &EventDetails::new(),
        };
        let change = &new.change.at(self.clock.now_ms());
        let create = || self.store.table_create(warehouse.place, &table, new.max_tables, change);
        let refusals = if new.registered { Refusals::MayPass } else { Refusals::AreFinal };
        match self.settled(warehouse, refusals, create).await {
            Err(StoreError::Unavailable(cause)) => match self.fate_of_creation(warehouse, ident, new.id).await {
                Fate::Happened => Ok(()),
                Fate::NotYet | Fate::Overtaken => Err(CatalogError::Store(StoreError::Unavailable(cause))),
                Fate::Unknown => Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string())),
            },
            other => other.map_err(of_view(ident)),
        }
    }
}

/// Whether it is certain that the document of a failed creation is nobody's. After a lost answer it never is: the change
/// may arrive late.
fn nothing_was_added(error: &CatalogError) -> bool {
    !matches!(error, CatalogError::CommitStateUnknown(..) | CatalogError::Store(StoreError::Unavailable(_)))
}
