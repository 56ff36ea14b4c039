//! Names and ids looked up, and the decision about the object that was found.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::error::of_table;
use super::tabular::Tabular;
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::access::action::{CheckNamespace, CheckTable, CheckView, CommitTable, CreateTable, On};
use crate::access::{Authorizer, DroppedObject, Found, Namespace, Permit, Principal, Table, View};
use crate::store::{TableKind, TableRecord};

/// The permit of a commit: for the table that has the name, or to create one where none has it.
#[derive(Debug)]
pub enum CommitTarget {
    /// The table exists.
    Table(Permit<CommitTable, Table>),
    /// There is no table of that name, and the commit asserts that there is none.
    New(Permit<CreateTable, Namespace>, TableIdent),
}

impl Catalog {
    /// Finds a table and decides about it.
    ///
    /// # Errors
    /// `NoSuchTable`; `Denied`.
    pub async fn table_find<A: On<Table>>(
        &self,
        authorizer: Authorizer<A>,
        warehouse: Arc<OpenWarehouse>,
        ident: TableIdent,
    ) -> Result<Permit<A, Table>, CatalogError> {
        let record = self.table_record(&warehouse, &ident).await?;
        Ok(authorizer.permit(Table { warehouse, ident, record })?)
    }

    /// Finds the table or view of a permit again by its name, which may be another's by now, and decides about that.
    ///
    /// # Errors
    /// `NoSuchTable`, `NoSuchView`; `Denied`.
    pub(super) async fn find_again<M: Tabular, A: On<O>, O: Found>(
        &self,
        permit: &Permit<A, O>,
    ) -> Result<Permit<A, O>, CatalogError> {
        let record = self.record::<M>(permit.warehouse(), permit.ident()).await?;
        Ok(permit.renew(permit.found_again(record))?)
    }

    /// Finds a view and decides about it.
    ///
    /// # Errors
    /// `NoSuchView`; `Denied`.
    pub async fn view_find<A: On<View>>(
        &self,
        authorizer: Authorizer<A>,
        warehouse: Arc<OpenWarehouse>,
        ident: TableIdent,
    ) -> Result<Permit<A, View>, CatalogError> {
        let record = self.view_record(&warehouse, &ident).await?;
        Ok(authorizer.permit(View { warehouse, ident, record })?)
    }

    /// Finds a dropped table or view by its id and decides about it.
    ///
    /// # Errors
    /// `NoSuchDropped`, also when it is gone for good; `Denied`.
    pub async fn dropped_find<A: On<DroppedObject>>(
        &self,
        authorizer: Authorizer<A>,
        warehouse: Arc<OpenWarehouse>,
        id: TableId,
    ) -> Result<Permit<A, DroppedObject>, CatalogError> {
        let found = self.store.dropped_get(warehouse.place, id).await.map_err(CatalogError::Store)?;
        let dropped = found.ok_or(CatalogError::NoSuchDropped(id))?;
        Ok(authorizer.permit(DroppedObject { warehouse, dropped })?)
    }

    /// Finds the table that a commit is for. `is_create` says whether the commit asserts that there is none.
    ///
    /// # Errors
    /// `NoSuchTable`; `Denied`.
    pub async fn commit_find(
        &self,
        authorizer: Authorizer<CommitTable>,
        warehouse: Arc<OpenWarehouse>,
        ident: TableIdent,
        is_create: bool,
    ) -> Result<CommitTarget, CatalogError> {
        let found = self.store.table_get(warehouse.place, &ident).await.map_err(of_table(&ident))?;
        commit_target(&authorizer, &warehouse, ident, found, is_create)
    }

    /// Returns whether there is a table or view of that name that the principal sees.
    ///
    /// # Errors
    /// `Store`.
    pub async fn name_exists(
        &self,
        principal: &Principal,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
    ) -> Result<bool, CatalogError> {
        let Some(record) = self.store.table_get(warehouse.place, &ident).await.map_err(of_table(&ident))? else {
            return Ok(false);
        };
        let (principal, warehouse) = (principal.clone(), Arc::clone(warehouse));
        Ok(match record.kind {
            TableKind::Table => Authorizer::<CheckTable>::new(principal)
                .and_then(|authorizer| authorizer.permit(Table { warehouse, ident, record }))
                .is_ok(),
            TableKind::View => Authorizer::<CheckView>::new(principal)
                .and_then(|authorizer| authorizer.permit(View { warehouse, ident, record }))
                .is_ok(),
        })
    }

    /// Returns whether there is a namespace of that name that the principal sees.
    ///
    /// # Errors
    /// `Store`.
    pub async fn namespace_exists(
        &self,
        principal: &Principal,
        warehouse: &Arc<OpenWarehouse>,
        ident: NamespaceIdent,
    ) -> Result<bool, CatalogError> {
        let namespace = Namespace { warehouse: Arc::clone(warehouse), ident };
        let authorizer = Authorizer::<CheckNamespace>::new(principal.clone());
        let Ok(namespace) = authorizer.and_then(|authorizer| authorizer.permit(namespace)) else { return Ok(false) };
        match self.namespace_check(&namespace).await {
            Ok(()) => Ok(true),
            Err(CatalogError::NoSuchNamespace(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Decides about what a commit's name leads to.
///
/// # Errors
/// `NoSuchTable`; `Denied`.
pub(super) fn commit_target(
    authorizer: &Authorizer<CommitTable>,
    warehouse: &Arc<OpenWarehouse>,
    ident: TableIdent,
    found: Option<TableRecord>,
    is_create: bool,
) -> Result<CommitTarget, CatalogError> {
    let warehouse = Arc::clone(warehouse);
    match found.filter(|record| record.kind == TableKind::Table) {
        Some(record) => Ok(CommitTarget::Table(authorizer.clone().permit(Table { warehouse, ident, record })?)),
        None if is_create => {
            let namespace = Namespace { warehouse, ident: ident.namespace.clone() };
            Ok(CommitTarget::New(authorizer.for_action::<CreateTable>()?.permit(namespace)?, ident))
        }
        None => Err(CatalogError::NoSuchTable(ident)),
    }
}
