//! Namespaces, tables and views for administrators, and the check of their metadata.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::{Admin, AdminError};
use crate::catalog::CatalogError;
use crate::catalog::namespace_walk::{first_namespace, next_namespace};
use crate::catalog::newer_documents::newest_beside;
use crate::metadata::MetadataError;
use crate::store::{PageRequest, Properties, Resource, SharedPage, StoreError, TableKind, TableRecord, WarehouseRef};
use crate::warehouse::OpenWarehouse;

/// The most tables that one answer checks.
const CHECKED_AT_ONCE: u32 = 100;

/// The most namespaces that are read for one answer. Some may have no tables.
const NAMESPACES_AT_ONCE: usize = 1_000;

/// The most names of each kind that a namespace is shown with.
const SHOWN: u32 = 10_000;

/// Separates a namespace's key from a table's name. Neither can contain it.
const SEPARATOR: char = '\u{1e}';

/// A namespace and its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownNamespace {
    /// Its properties.
    pub properties: Properties,
    /// The namespaces directly below it.
    pub namespaces: Vec<NamespaceIdent>,
    /// The names of its tables.
    pub tables: Vec<String>,
    /// The names of its views.
    pub views: Vec<String>,
}

/// A table or view whose metadata has problems, or whose pointer is behind its newest metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub ident: TableIdent,
    /// The location of its metadata document.
    pub metadata_location: String,
    /// The violations of the specification.
    pub problems: Vec<String>,
    /// A newer document beside it, on local disk.
    pub newer_document: Option<PathBuf>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedTable {
    /// The number of checked tables or views.
    pub checked: usize,
    /// The tables or views with findings.
    pub findings: Vec<Finding>,
    /// The position of the next page, if there is one.
    pub next: Option<String>,
}

impl Admin {
    /// Lists the namespaces directly below `parent`, or the top-level namespaces, by name.
    ///
    /// # Errors
    /// `Catalog` if the parent does not exist.
    pub async fn namespace_list(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<NamespaceIdent>>, AdminError> {
        self.store.namespace_list(warehouse_ref, parent, page).await.map_err(|error| missing(error, parent))
    }

    /// Returns a namespace's properties and contents.
    ///
    /// # Errors
    /// `Catalog` if the namespace does not exist.
    pub async fn namespace_show(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &NamespaceIdent,
    ) -> Result<ShownNamespace, AdminError> {
        let properties = self.store.namespace_get(warehouse_ref, ident).await?;
        let properties = properties.ok_or_else(|| missing(StoreError::NotFound(Resource::Namespace), Some(ident)))?;
        let first = PageRequest { after: None, limit: Some(SHOWN) };
        let gone = |error| missing(error, Some(ident));
        Ok(ShownNamespace {
            properties,
            namespaces: self
                .store
                .namespace_list(warehouse_ref, Some(ident), &first)
                .await
                .map_err(gone)?
                .items
                .clone(),
            tables: self
                .store
                .table_list(warehouse_ref, ident, TableKind::Table, &first)
                .await
                .map_err(gone)?
                .items
                .clone(),
            views: self
                .store
                .table_list(warehouse_ref, ident, TableKind::View, &first)
                .await
                .map_err(gone)?
                .items
                .clone(),
        })
    }

    /// Lists the tables or views of a namespace with their pointers, by name. Also returns the name after which the next page
    /// begins.
    ///
    /// # Errors
    /// `Catalog` if the namespace does not exist.
    pub async fn table_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<(Vec<(String, TableRecord)>, Option<String>), AdminError> {
        let found = self.store.table_list(warehouse_ref, namespace, kind, page).await;
        let found = found.map_err(|error| missing(error, Some(namespace)))?;
        let next = found.items.last().filter(|_| found.more).cloned();
        let idents: Vec<TableIdent> =
            found.items.iter().filter_map(|name| TableIdent::new(namespace.clone(), name).ok()).collect();
        let records = self.store.table_get_all(warehouse_ref, &idents).await?;
        // Skip tables that were dropped meanwhile.
        let named = idents.iter().zip(records);
        Ok((named.filter_map(|(ident, record)| Some((ident.name().to_owned(), record?))).collect(), next))
    }

    /// Returns a table's or view's pointer and metadata.
    ///
    /// # Errors
    /// `Catalog`.
    pub async fn table_show(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        kind: TableKind,
    ) -> Result<(TableRecord, Bytes), AdminError> {
        let record = self.record(warehouse.warehouse_ref, ident, kind).await?;
        let (storage, location) = (&warehouse.storage, &record.metadata_location);
        let json = match kind {
            TableKind::Table => self.documents.get(storage, location).await.map(|document| document.json.clone()),
            TableKind::View => self.documents.get_view(storage, location).await.map(|document| document.json.clone()),
        };
        let json = json.map_err(|error| AdminError::Catalog(CatalogError::Metadata(error)))?;
        Ok((record, json))
    }

    /// Checks a table's or view's metadata.
    ///
    /// # Errors
    /// `Catalog` if it does not exist.
    pub async fn table_check(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        kind: TableKind,
    ) -> Result<CheckedTable, AdminError> {
        let record = self.record(warehouse.warehouse_ref, ident, kind).await?;
        let findings = self.check(warehouse, kind, ident, &record).await.into_iter().collect();
        Ok(CheckedTable { checked: 1, findings, next: None })
    }

    /// Checks the metadata of a page of a warehouse's tables or views, at most `CHECKED_AT_ONCE`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn table_check_all(
        &self,
        warehouse: &OpenWarehouse,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<CheckedTable, AdminError> {
        let at_most = page.limit.map_or(CHECKED_AT_ONCE, |limit| limit.min(CHECKED_AT_ONCE)) as usize;
        let warehouse_ref = warehouse.warehouse_ref;
        let (mut namespace, mut name) = match page.after.as_deref().and_then(|after| after.split_once(SEPARATOR)) {
            Some((key, name)) => (NamespaceIdent::from_key(key).ok(), Some(name.to_owned())),
            None => (first_namespace(self.store.as_ref(), warehouse_ref, None, None).await?, None),
        };
        let (mut done, mut looked_at) = (CheckedTable::default(), 0);
        while let Some(current) = namespace {
            let limit = u32::try_from(at_most - done.checked).unwrap_or(1);
            let page = PageRequest { after: name.take(), limit: Some(limit) };
            let (found, more) = match self.table_list(warehouse_ref, &current, kind, &page).await {
                // A namespace that was dropped meanwhile has no tables.
                Err(AdminError::Catalog(CatalogError::NoSuchNamespace(_))) => (Vec::new(), None),
                found => found?,
            };
            for (name, record) in &found {
                let Ok(ident) = TableIdent::new(current.clone(), name) else { continue };
                done.checked += 1;
                done.findings.extend(self.check(warehouse, kind, &ident, record).await);
            }
            looked_at += 1;
            if more.is_some() || done.checked >= at_most || looked_at >= NAMESPACES_AT_ONCE {
                let last =
                    more.or_else(|| found.last().map(|(name, _)| name.clone()).or(page.after)).unwrap_or_default();
                done.next = Some(format!("{}{SEPARATOR}{last}", current.as_key()));
                return Ok(done);
            }
            namespace = next_namespace(self.store.as_ref(), warehouse_ref, &current).await?;
        }
        Ok(done)
    }

    async fn record(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
        kind: TableKind,
    ) -> Result<TableRecord, AdminError> {
        let found = self.store.table_get(warehouse_ref, ident).await?.filter(|record| record.kind == kind);
        found.ok_or_else(|| {
            AdminError::Catalog(match kind {
                TableKind::Table => CatalogError::NoSuchTable(ident.clone()),
                TableKind::View => CatalogError::NoSuchView(ident.clone()),
            })
        })
    }

    /// Returns the findings of one table or view, if there are any.
    async fn check(
        &self,
        warehouse: &OpenWarehouse,
        kind: TableKind,
        ident: &TableIdent,
        record: &TableRecord,
    ) -> Option<Finding> {
        let problems = self.problems(warehouse, kind, &record.metadata_location).await;
        let problems = problems.unwrap_or_else(|error| vec![error.to_string()]);
        let newer_document = newest_beside(&record.metadata_location).await;
        if problems.is_empty() && newer_document.is_none() {
            return None;
        }
        let (ident, metadata_location) = (ident.clone(), record.metadata_location.clone());
        Some(Finding { ident, metadata_location, problems, newer_document })
    }

    async fn problems(
        &self,
        warehouse: &OpenWarehouse,
        kind: TableKind,
        location: &str,
    ) -> Result<Vec<String>, MetadataError> {
        Ok(match kind {
            TableKind::Table => {
                let document = self.documents.get(&warehouse.storage, location).await?;
                let mut problems = document.problems();
                problems.extend(document.metadata.tolerated());
                problems
            }
            TableKind::View => self.documents.get_view(&warehouse.storage, location).await?.problems(),
        })
    }
}

fn missing(error: StoreError, namespace: Option<&NamespaceIdent>) -> AdminError {
    match (error, namespace) {
        (StoreError::NotFound(Resource::Namespace), Some(namespace)) => {
            AdminError::Catalog(CatalogError::NoSuchNamespace(namespace.clone()))
        }
        (error, _) => AdminError::Store(error),
    }
}
