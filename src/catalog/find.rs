//! Looks up objects by name or id, and decides about the permission for the object found.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::error::unread;
use super::tabular::Tabular;
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::access::action::{Action, CheckNamespace, CheckTable, CheckView, CommitTable, CreateTable, On};
use crate::access::{Authorizer, Denial, DroppedObject, Found, Namespace, Permit, Principal, Table, View};
use crate::store::{TableKind, TableRecord};

/// The permit of a commit: for the existing table, or to create one.
#[derive(Debug)]
pub enum CommitTarget {
    /// The table exists.
    Table(Permit<CommitTable, Table>),
    /// The table does not exist, and the commit asserts that.
    New(Permit<CreateTable, Namespace>, TableIdent),
}

impl Catalog {
    /// Finds a table by its name and decides about the permission.
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

    /// Finds a table that the caller reaches through views, the outermost first, and decides about it. A name that no view has
    /// leads nowhere, and is left out.
    ///
    /// # Errors
    /// `NoSuchTable`; `Denied`.
    pub async fn table_find_through<A: On<Table>>(
        &self,
        authorizer: Authorizer<A>,
        warehouse: Arc<OpenWarehouse>,
        ident: TableIdent,
        views: &[TableIdent],
    ) -> Result<Permit<A, Table>, CatalogError> {
        let record = self.table_record(&warehouse, &ident).await?;
        let found = self.store.table_get_all(warehouse.warehouse_ref, views).await.map_err(unread)?;
        let views = views.iter().zip(found).filter_map(|(ident, record)| {
            let record = record.filter(|record| record.kind == TableKind::View)?;
            Some(View { warehouse: Arc::clone(&warehouse), ident: ident.clone(), record })
        });
        let views = views.collect();
        Ok(authorizer.permit_through(Table { warehouse, ident, record }, views)?)
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
        Ok(present(permit.authorizer()).await?.permit(permit.found_again(record))?)
    }

    /// Finds a view by its name and decides about the permission.
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

    /// Finds a dropped table or view by its id and decides about the permission.
    ///
    /// # Errors
    /// `NoSuchDropped`, also when the store no longer keeps it; `Denied`.
    pub async fn dropped_find<A: On<DroppedObject>>(
        &self,
        authorizer: Authorizer<A>,
        warehouse: Arc<OpenWarehouse>,
        id: TableId,
    ) -> Result<Permit<A, DroppedObject>, CatalogError> {
        let found = self.store.dropped_get(warehouse.warehouse_ref, id).await.map_err(unread)?;
        let dropped = found.ok_or(CatalogError::NoSuchDropped(id))?;
        Ok(authorizer.permit(DroppedObject { warehouse, dropped })?)
    }

    /// Finds the table of a commit. `is_create` says whether the commit asserts that the table does not exist.
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
        let found = self.store.table_get(warehouse.warehouse_ref, &ident).await.map_err(unread)?;
        commit_target(&authorizer, &warehouse, ident, found, is_create)
    }

    /// Returns whether a table or view with the name exists that the principal may see.
    ///
    /// # Errors
    /// `Store`.
    pub async fn name_exists(
        &self,
        principal: &Principal,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
    ) -> Result<bool, CatalogError> {
        let Some(record) = self.store.table_get(warehouse.warehouse_ref, &ident).await.map_err(unread)? else {
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

    /// Returns whether a namespace with the name exists that the principal may see.
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

/// Returns the authorizer of the caller as it is now, if its standing or its grants changed since its authentication.
///
/// # Errors
/// `Refused`; `Denied`.
pub(super) async fn present<A: Action>(authorizer: Authorizer<A>) -> Result<Authorizer<A>, CatalogError> {
    if !authorizer.principal().is_outdated() {
        return Ok(authorizer);
    }
    let principal = Box::pin(authorizer.principal().renew()).await?;
    Ok(Authorizer::new(principal)?)
}

/// Decides about the table that a commit names.
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
    if let Some(record) = found.filter(|record| record.kind == TableKind::Table) {
        let table = Table { warehouse: Arc::clone(warehouse), ident: ident.clone(), record };
        match authorizer.clone().permit(table) {
            // A commit that creates its table gets the same answer for a hidden table as for none.
            Err(Denial::Hidden(_)) if is_create => {}
            decided => return Ok(CommitTarget::Table(decided?)),
        }
    }
    if !is_create {
        return Err(CatalogError::NoSuchTable(ident));
    }
    let namespace = Namespace { warehouse: Arc::clone(warehouse), ident: ident.namespace.clone() };
    Ok(CommitTarget::New(authorizer.for_action::<CreateTable>()?.permit(namespace)?, ident))
}
