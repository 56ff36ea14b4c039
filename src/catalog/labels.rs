//! Labels of namespaces, tables and views.

use tidewater_core::labels::{LabelUpdate, Labels, NamespaceLabels};

use super::error::{namespace_error, table_error, unread, view_error};
use super::{Catalog, CatalogError, LoadedTable, LoadedView};
use crate::access::{Namespace, Permit, Table, View, action};
use crate::store::{Change, LabelledObject, StoreError, TableKind};

/// The most bytes of JSON of the labels of an organisation's namespaces. They are in memory while the organisation sends requests.
const MAX_NAMESPACE_BYTES: u64 = 512 << 10;

impl Catalog {
    /// Changes the labels of a namespace, and returns them.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `BadRequest` if the labels are not allowed, or too many.
    pub async fn namespace_update_labels(
        &self,
        namespace: &Permit<action::UpdateNamespace, Namespace>,
        update: &LabelUpdate,
        change: &Change,
    ) -> Result<Labels, CatalogError> {
        let Namespace { warehouse, ident } = &**namespace;
        let on = LabelledObject::Namespace(ident.clone());
        let updated = self.store.labels_update(warehouse.warehouse_ref, &on, update, MAX_NAMESPACE_BYTES, change).await;
        updated.map_err(|error| match error {
            StoreError::LimitReached { limit } => CatalogError::BadRequest(format!(
                "The labels of the organisation's namespaces are too long: at most {limit} bytes of JSON together. Remove some first"
            )),
            error => refused(error).unwrap_or_else(namespace_error(ident)),
        })
    }

    /// Changes the labels of a table and its columns, and returns them.
    ///
    /// # Errors
    /// `NoSuchTable`; `BadRequest` if the labels are not allowed.
    pub async fn table_update_labels(
        &self,
        table: &Permit<action::CommitTable, Table>,
        update: &LabelUpdate,
        change: &Change,
    ) -> Result<Labels, CatalogError> {
        let Table { warehouse, ident, record } = &**table;
        let on = LabelledObject::Tabular(TableKind::Table, record.id);
        let updated = self.store.labels_update(warehouse.warehouse_ref, &on, update, 0, change).await;
        updated.map_err(|error| refused(error).unwrap_or_else(table_error(ident)))
    }

    /// Changes the labels of a view and its columns, and returns them.
    ///
    /// # Errors
    /// `NoSuchView`; `BadRequest` if the labels are not allowed.
    pub async fn view_update_labels(
        &self,
        view: &Permit<action::ReplaceView, View>,
        update: &LabelUpdate,
        change: &Change,
    ) -> Result<Labels, CatalogError> {
        let View { warehouse, ident, record } = &**view;
        let on = LabelledObject::Tabular(TableKind::View, record.id);
        let updated = self.store.labels_update(warehouse.warehouse_ref, &on, update, 0, change).await;
        updated.map_err(|error| refused(error).unwrap_or_else(view_error(ident)))
    }

    /// Returns the labels of a namespace, and those that it inherits from the namespaces around it.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `Store`.
    pub async fn namespace_labels(
        &self,
        namespace: &Permit<action::LoadNamespace, Namespace>,
    ) -> Result<(Labels, NamespaceLabels), CatalogError> {
        let Namespace { warehouse, ident } = &**namespace;
        let found = self.store.namespace_get(warehouse.warehouse_ref, ident).await.map_err(unread)?;
        if found.is_none() {
            return Err(CatalogError::NoSuchNamespace(ident.clone()));
        }
        let all = self.store.labels_of_namespaces(warehouse.warehouse_ref.organisation).await.map_err(unread)?;
        let here = all.into_iter().filter(|(id, ..)| *id == warehouse.warehouse_ref.warehouse);
        let here: Vec<_> = here.map(|(_, namespace, labels)| (namespace, labels)).collect();
        let own = here.iter().find(|(other, _)| other == ident).map(|(_, labels)| labels.clone());
        Ok((own.unwrap_or_default(), here.into_iter().collect()))
    }

    /// Loads a table whose labels are changed: they name its columns.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn table_to_label(
        &self,
        table: &Permit<action::CommitTable, Table>,
    ) -> Result<LoadedTable, CatalogError> {
        self.table_at(&table.warehouse, &table.record.metadata_location).await
    }

    /// Loads a view whose labels are changed: they name its columns.
    ///
    /// # Errors
    /// `Metadata`.
    pub async fn view_to_label(&self, view: &Permit<action::ReplaceView, View>) -> Result<LoadedView, CatalogError> {
        self.view_at(&view.warehouse, &view.record.metadata_location).await
    }
}

/// Returns the error of labels that are not allowed, or the store's error again.
fn refused(error: StoreError) -> Result<CatalogError, StoreError> {
    match error {
        StoreError::Labels(invalid) => Ok(CatalogError::BadRequest(invalid.to_string())),
        error => Err(error),
    }
}
