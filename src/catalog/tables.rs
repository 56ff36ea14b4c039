//! Tables: create, load, list, rename, drop. Commits are in `commit.rs`.

use std::sync::Arc;

use tidewater_core::access::Action as Kind;
use tidewater_core::commit::{Context, CreateTable, create_table};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::error::{rename_error, table_error, taken, unread};
use super::namespaces::LOCATION_PROPERTY;
use super::publish::{Publication, cannot_create};
use super::{Catalog, CatalogError, CreatedTable, LoadedTable, OpenWarehouse};
use crate::access::{Namespace, Permit, Table, action};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::base::deadline::STOP;
use crate::metadata::metadata_folder;
use crate::store::{Change, EventDetails, PageRequest, SharedPage, TableKind, TableRecord};
use crate::vending::{LocationRefused, ValidLocations};

impl Catalog {
    /// Loads a table: its document, from memory when it was used lately.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn table_load(&self, table: &Permit<action::LoadTable, Table>) -> Result<LoadedTable, CatalogError> {
        self.table_at(&table.warehouse, &table.record.metadata_location).await
    }

    /// Loads a table for a caller who may access its files.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn table_files(&self, table: &Permit<action::ReadTableData, Table>) -> Result<LoadedTable, CatalogError> {
        self.table_at(&table.warehouse, &table.record.metadata_location).await
    }

    /// Loads a table to plan a scan of it.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn table_to_plan(&self, table: &Permit<action::PlanScan, Table>) -> Result<LoadedTable, CatalogError> {
        self.table_at(&table.warehouse, &table.record.metadata_location).await
    }

    /// Loads a table whose restrictions are managed: they name its columns.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn table_to_restrict(
        &self,
        table: &Permit<action::ManageAccess, Table>,
    ) -> Result<LoadedTable, CatalogError> {
        self.table_at(&table.warehouse, &table.record.metadata_location).await
    }

    /// Loads the document at a location, which is or was a table's of this warehouse.
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
        // A warehouse that vends nothing needs no proof, and computing it is the slowest step here.
        let locations = match warehouse.vendor.is_none() {
            true => None,
            false => document.locations_below(&warehouse.root),
        };
        Ok(LoadedTable { document, locations })
    }

    /// Returns the store's record of the table.
    ///
    /// # Errors
    /// `NoSuchTable`.
    pub(super) async fn table_record(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<TableRecord, CatalogError> {
        self.record::<TableMetadata>(warehouse, ident).await
    }

    /// Lists the tables of a namespace, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn table_list(
        &self,
        namespace: &Permit<action::ListTables, Namespace>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>, CatalogError> {
        self.visible_list(namespace, TableKind::Table, page).await
    }

    /// Creates a table. With `stage_create`, returns the table without creating it.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `TableExists`, `NameTaken`; `TableLimit`; `BadRequest`; `Metadata` when it cannot be written.
    pub async fn table_create(
        self: &Arc<Self>,
        namespace: &Permit<action::CreateTable, Namespace>,
        request: CreateTable,
        change: &Change,
    ) -> Result<CreatedTable, CatalogError> {
        let (catalog, warehouse) = (Arc::clone(self), Arc::clone(&namespace.warehouse));
        let max_tables = namespace.principal().max_tables();
        let ident = TableIdent::new(namespace.ident.clone(), &request.name)?;
        let (change, bytes) = (change.clone(), request.body_bytes);
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
                let locations = ValidLocations::from_table(&table, &warehouse.root)?;
                // The answer has credentials for these locations. The first commit takes them.
                let free = catalog.store.location_check(warehouse.warehouse_ref, id, locations.all()).await;
                free.map_err(|error| table_error(&ident)(error).before_change())?;
                let prepared = catalog.documents.prepare(&warehouse.storage, &metadata_folder(&table)).await;
                prepared.map_err(cannot_create)?;
                return Ok(CreatedTable::Staged(Box::new(table), locations));
            }
            let first = Publication::first(&ident, id, table, &warehouse.root, EventDetails::new())?;
            Ok(CreatedTable::Created(catalog.publish(&warehouse, first, (None, max_tables), &change).await?))
        })
        .await
    }

    /// Renames a table, within its namespace or to another one of the same warehouse.
    ///
    /// # Errors
    /// `NoSuchTable`; `NoSuchNamespace` for the target; `RenameTaken`.
    pub async fn table_rename(
        &self,
        table: &Permit<action::RenameTable, Table>,
        (namespace, name): (&Permit<action::CreateTable, Namespace>, &str),
        change: &Change,
    ) -> Result<(), CatalogError> {
        let (from, to) = (&table.ident, &TableIdent::new(namespace.ident.clone(), name)?);
        let renamed = self
            .store
            .table_rename(table.warehouse.warehouse_ref, from, table.record.id, to, TableKind::Table, change)
            .await;
        renamed.map_err(rename_error(TableKind::Table, from, to))
    }

    /// Drops a table and frees its name. It can be restored for a time. After that its files are removed if `purge` is set, and
    /// stay otherwise. Returns its id.
    ///
    /// # Errors
    /// `NoSuchTable`; `Denied` for a purge without permission to write its data.
    pub async fn table_drop(
        &self,
        table: &Permit<action::DropTable, Table>,
        purge: bool,
        change: &Change,
    ) -> Result<TableId, CatalogError> {
        let Table { warehouse, ident, record } = &**table;
        if purge {
            table.check(Kind::WriteTableData)?;
        }
        let change = &change.with_time(self.clock.now_ms());
        let terms = self.drop_terms(warehouse, purge, change.at_ms);
        let dropped = self
            .store
            .table_drop(warehouse.warehouse_ref, ident, record.id, TableKind::Table, terms.as_ref(), change)
            .await;
        dropped.map(|dropped| dropped.id).map_err(table_error(ident))
    }

    /// Returns the location of a new table, as [`Catalog::new_location`] does.
    pub(super) async fn new_table_location(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        id: TableId,
        wanted: Option<&str>,
    ) -> Result<String, CatalogError> {
        self.new_location(TableKind::Table, warehouse, ident, id, wanted).await
    }

    /// Returns the location of a new table or view, if the name is free: the location `wanted`, or else a folder named by an id
    /// below its namespace's location or the warehouse's root. (A name could be reused, or have a meaning for a storage server.)
    /// A wanted location without a scheme is relative to the same folder. The result is spelled like the warehouse's root.
    pub(super) async fn new_location(
        &self,
        kind: TableKind,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        id: TableId,
        wanted: Option<&str>,
    ) -> Result<String, CatalogError> {
        let namespace = self.namespace_properties(warehouse, &ident.namespace).await?;
        if let Some(found) = self.store.table_get(warehouse.warehouse_ref, ident).await.map_err(unread)? {
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
        let respelled =
            Location::parse(&location).ok().and_then(|warehouse_ref| warehouse_ref.respelled_below(&warehouse.root));
        Ok(respelled.map_or(location, |warehouse_ref| warehouse_ref.to_string()))
    }
}
