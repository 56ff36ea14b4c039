//! Views: create, register, load, list, rename, drop. Replacing is in `view_commit.rs`.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;
use tidewater_core::view::{CreateView, RegisterView, ViewMetadata, create_view};

use super::error::{rename_error, view_error};
use super::publish::Publication;
use super::register::Registration;
use super::{Catalog, CatalogError, LoadedView, OpenWarehouse};
use crate::access::{Namespace, Permit, View, action};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{Change, EventDetails, PageRequest, SharedPage, TableKind, TableRecord};

impl Catalog {
    /// Loads a view: its document, from memory when it was used lately.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn view_load(&self, view: &Permit<action::LoadView, View>) -> Result<LoadedView, CatalogError> {
        self.view_at(&view.warehouse, &view.record.metadata_location).await
    }

    /// Loads the document at a location, which is or was a view's.
    ///
    /// # Errors
    /// `Metadata`.
    pub(super) async fn view_at(&self, warehouse: &OpenWarehouse, location: &str) -> Result<LoadedView, CatalogError> {
        let document = self.documents.get_view(&warehouse.storage, location).await?;
        self.documents.check_still_there(&warehouse.storage, &document)?;
        Ok(document)
    }

    /// Returns the store's record of the view.
    ///
    /// # Errors
    /// `NoSuchView`.
    pub(super) async fn view_record(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<TableRecord, CatalogError> {
        self.record::<ViewMetadata>(warehouse, ident).await
    }

    /// Lists the views of a namespace, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn view_list(
        &self,
        namespace: &Permit<action::ListViews, Namespace>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>, CatalogError> {
        self.visible_list(namespace, TableKind::View, page).await
    }

    /// Creates a view.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `ViewExists`, `NameTaken`; `TableLimit`; `BadRequest`, `IllegalArgument`, `LocationTaken`;
    /// `Metadata` when it cannot be written.
    pub async fn view_create(
        self: &Arc<Self>,
        namespace: &Permit<action::CreateView, Namespace>,
        request: CreateView,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(&namespace.warehouse), change.clone());
        let max_tables = namespace.principal().max_tables();
        let ident = TableIdent::new(namespace.ident.clone(), &request.name)?;
        let bytes = request.body_bytes;
        self.to_its_end(async move {
            let id = TableId(fresh_ordered_uuid());
            let wanted = request.location.as_deref();
            let location = catalog.new_location(TableKind::View, &warehouse, &ident, id, wanted).await?;
            let uuid = fresh_uuid();
            let create = move || Ok(create_view(&request, &location, uuid)?);
            let view = catalog.work(&warehouse, bytes, create).await?;
            let first = Publication::first(&ident, id, view, &warehouse.root, EventDetails::new())?;
            Ok(catalog.publish(&warehouse, first, (None, max_tables), &change).await?.document)
        })
        .await
    }

    /// Registers a view from existing metadata below the warehouse's root. Never moves or removes the file.
    ///
    /// # Errors
    /// As [`Catalog::view_create`]; `BadRequest` when the file is elsewhere, is not a view's or breaks a rule of the
    /// specification; `Metadata` when it is missing; `CommitStateUnknown`, `RegisteredWithoutFile`.
    pub async fn view_register(
        self: &Arc<Self>,
        namespace: &Permit<action::RegisterView, Namespace>,
        request: RegisterView,
        change: &Change,
    ) -> Result<LoadedView, CatalogError> {
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(&namespace.warehouse), change.clone());
        let max_tables = namespace.principal().max_tables();
        let ident = TableIdent::new(namespace.ident.clone(), &request.name)?;
        self.to_its_end(async move {
            let (warehouse, ident, change) = (&warehouse, &ident, &change);
            let registration = Registration { warehouse, ident, overwrite: None, max_tables, change };
            Ok(catalog.register(&registration, &request.metadata_location).await?.document)
        })
        .await
    }

    /// Renames a view, within its namespace or to another one of the same warehouse.
    ///
    /// # Errors
    /// `NoSuchView`; `NoSuchNamespace` for the target; `RenameTaken`.
    pub async fn view_rename(
        &self,
        view: &Permit<action::RenameView, View>,
        (namespace, name): (&Permit<action::CreateView, Namespace>, &str),
        change: &Change,
    ) -> Result<(), CatalogError> {
        let (from, to) = (&view.ident, &TableIdent::new(namespace.ident.clone(), name)?);
        let renamed = self
            .store
            .table_rename(view.warehouse.warehouse_ref, from, view.record.id, to, TableKind::View, change)
            .await;
        renamed.map_err(rename_error(TableKind::View, from, to))
    }

    /// Drops a view and frees its name. It can be restored for a time. Its files stay.
    ///
    /// # Errors
    /// `NoSuchView`.
    pub async fn view_drop(&self, view: &Permit<action::DropView, View>, change: &Change) -> Result<(), CatalogError> {
        let View { warehouse, ident, record } = &**view;
        let change = &change.with_time(self.clock.now_ms());
        let terms = self.drop_terms(warehouse, false, change.at_ms);
        let dropped = self
            .store
            .table_drop(warehouse.warehouse_ref, ident, record.id, TableKind::View, terms.as_ref(), change)
            .await;
        dropped.map(|_| ()).map_err(view_error(ident))
    }
}
