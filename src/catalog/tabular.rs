//! The common interface of tables and views, and their differences.

use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;
use tidewater_core::old_documents::removed_by_commit;
use tidewater_core::view::ViewMetadata;

use super::error::{no_such, tabular_error};
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::metadata::{Document, Metadata};
use crate::store::{TableKind, TableRecord};
use crate::vending::{LocationRefused, ValidLocations};

/// Metadata of a table or view, as the catalog publishes it.
pub(super) trait Tabular: Metadata {
    /// Table or view.
    const TABLE_KIND: TableKind;

    /// Checks that its locations are valid and below `root`.
    fn locations(&self, root: &Location) -> Result<ValidLocations, LocationRefused>;

    /// Returns the documents that are in the log of `base` and not of `next`. A view has no log.
    fn removed_documents(base: &Document<Self>, next: &Self, origin: Option<&str>) -> Vec<String>;

    /// Returns the violations of the specification that are accepted, one sentence each.
    fn tolerated(&self) -> Vec<String>;
}

impl Tabular for TableMetadata {
    const TABLE_KIND: TableKind = TableKind::Table;

    fn locations(&self, root: &Location) -> Result<ValidLocations, LocationRefused> {
        ValidLocations::from_table(self, root)
    }

    fn removed_documents(base: &Document<Self>, next: &Self, origin: Option<&str>) -> Vec<String> {
        removed_by_commit(&base.metadata, &base.location, next, origin)
    }

    fn tolerated(&self) -> Vec<String> {
        self.tolerated()
    }
}

impl Tabular for ViewMetadata {
    const TABLE_KIND: TableKind = TableKind::View;

    fn locations(&self, root: &Location) -> Result<ValidLocations, LocationRefused> {
        ValidLocations::from_view(self, root)
    }

    fn removed_documents(_: &Document<Self>, _: &Self, _: Option<&str>) -> Vec<String> {
        Vec::new()
    }

    fn tolerated(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Catalog {
    /// Returns the store's record of the table or view with the kind and name, if it exists.
    pub(super) async fn find_record<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<Option<TableRecord>, CatalogError> {
        let kind = M::TABLE_KIND;
        let found = self.store.table_get(warehouse.warehouse_ref, ident).await;
        let found = found.map_err(|error| tabular_error(kind, ident)(error).before_change())?;
        Ok(found.filter(|record| record.kind == kind))
    }

    /// Returns the store's record of the table or view with the kind and name.
    ///
    /// # Errors
    /// `NoSuchTable`, `NoSuchView`.
    pub(super) async fn record<M: Tabular>(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
    ) -> Result<TableRecord, CatalogError> {
        let found = self.find_record::<M>(warehouse, ident).await?;
        found.ok_or_else(|| no_such(M::TABLE_KIND, ident))
    }
}
