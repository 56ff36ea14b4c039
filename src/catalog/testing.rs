//! For tests: the catalog's methods by names and ids, called as an admin of the warehouse's organisation.

use std::sync::Arc;

use tidewater_core::commit::{CreateTable, RegisterTable, TableCommit};
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::view::{CreateView, RegisterView, ViewCommit};

use super::{Catalog, CatalogError, CreatedTable, LoadedTable, LoadedView, OpenWarehouse};
use crate::access::action::{Action, On};
use crate::access::{Answered, Authorizer, Namespace, Permit, Principal, action};
use crate::metadata::Document;
use crate::store::{Actor, Change, KeptDocument, Properties, TableKind, TableRecord};
use crate::vending::ValidLocations;

type Result<T> = std::result::Result<T, CatalogError>;

pub(super) fn admin<A: Action>(warehouse: &OpenWarehouse) -> Authorizer<A> {
    Authorizer::new(Principal::administrator(warehouse.warehouse_ref.organisation, Actor::CommandLine(None), None))
        .expect("an admin may do everything")
}

fn namespace<A: On<Namespace>>(warehouse: &Arc<OpenWarehouse>, ident: &NamespaceIdent) -> Permit<A, Namespace> {
    let namespace = Namespace { warehouse: Arc::clone(warehouse), ident: ident.clone() };
    admin(warehouse).permit(namespace).expect("an admin may do everything")
}

macro_rules! found {
    ($catalog:expr, $find:ident, $warehouse:expr, $name:expr) => {
        $catalog.$find(admin($warehouse), Arc::clone($warehouse), $name).await?
    };
}

impl Catalog {
    pub(crate) async fn namespace_create_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()> {
        self.namespace_create(&namespace(warehouse, ident), properties, change).await
    }

    pub(crate) async fn table_create_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &NamespaceIdent,
        request: CreateTable,
        change: &Change,
    ) -> Result<CreatedTable> {
        self.table_create(&namespace(warehouse, ident), request, change).await
    }

    pub(crate) async fn table_record_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
    ) -> Result<TableRecord> {
        let table: Permit<action::LoadTable, _> = found!(self, table_find, warehouse, ident.clone());
        Ok(table.into_object().record)
    }

    pub(crate) async fn table_load_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
    ) -> Result<LoadedTable> {
        self.table_load(&found!(self, table_find, warehouse, ident.clone())).await
    }

    pub(crate) async fn table_commit_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
        commit: TableCommit,
        change: &Change,
    ) -> Result<LoadedTable> {
        let is_create = commit.is_create();
        let target = self.commit_find(admin(warehouse), Arc::clone(warehouse), ident, is_create).await?;
        self.table_commit(target, commit, change).await
    }

    pub(crate) async fn transaction_commit_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        commits: Vec<TableCommit>,
        change: &Change,
    ) -> Result<()> {
        self.transaction_commit(&admin(warehouse), warehouse, commits, change).await
    }

    pub(crate) async fn table_rename_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        from: &TableIdent,
        to: &TableIdent,
        change: &Change,
    ) -> Result<()> {
        let table = found!(self, table_find, warehouse, from.clone());
        self.table_rename(&table, (&namespace(warehouse, &to.namespace), to.name()), change).await
    }

    pub(crate) async fn table_drop_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
        purge: bool,
        change: &Change,
    ) -> Result<TableId> {
        self.table_drop(&found!(self, table_find, warehouse, ident.clone()), purge, change).await
    }

    pub(crate) async fn table_register_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &NamespaceIdent,
        request: RegisterTable,
        change: &Change,
    ) -> Result<LoadedTable> {
        self.table_register(&namespace(warehouse, ident), request, change).await
    }

    pub(crate) async fn table_unregister_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
        change: &Change,
    ) -> Result<Arc<Document>> {
        self.table_unregister(found!(self, table_find, warehouse, ident), change).await
    }

    pub(crate) async fn table_again_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        kept: &KeptDocument,
    ) -> Result<LoadedTable> {
        let ident = TableIdent::new(NamespaceIdent::new(&["ns"])?, "t")?;
        let (warehouse, authorizer) = (Arc::clone(warehouse), admin::<action::CommitTable>(warehouse));
        let answered = Answered { warehouse, ident, kind: TableKind::Table, kept: kept.clone() };
        self.table_again(&authorizer.permit(answered)?).await
    }

    pub(crate) async fn signing_pass_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
        locations: &ValidLocations,
        is_staged: bool,
    ) -> Result<String> {
        let table: Permit<action::LoadTable, _> = found!(self, table_find, warehouse, ident.clone());
        self.signing_pass(&table, ident, locations, is_staged).await
    }

    pub(crate) async fn dropped_restore_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        id: TableId,
        ident: Option<TableIdent>,
        change: &Change,
    ) -> Result<()> {
        self.dropped_restore(&found!(self, dropped_find, warehouse, id), ident, change).await
    }

    pub(crate) async fn dropped_remove_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        id: TableId,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool> {
        self.dropped_remove(&found!(self, dropped_find, warehouse, id), purge, change).await
    }

    pub(crate) async fn view_create_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &NamespaceIdent,
        request: CreateView,
        change: &Change,
    ) -> Result<LoadedView> {
        self.view_create(&namespace(warehouse, ident), request, change).await
    }

    pub(crate) async fn view_register_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &NamespaceIdent,
        request: RegisterView,
        change: &Change,
    ) -> Result<LoadedView> {
        self.view_register(&namespace(warehouse, ident), request, change).await
    }

    pub(crate) async fn view_load_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
    ) -> Result<LoadedView> {
        self.view_load(&found!(self, view_find, warehouse, ident.clone())).await
    }

    pub(crate) async fn view_commit_as_admin(
        self: &Arc<Self>,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
        commit: ViewCommit,
        change: &Change,
    ) -> Result<LoadedView> {
        self.view_commit(found!(self, view_find, warehouse, ident), commit, change).await
    }

    pub(crate) async fn view_rename_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        from: &TableIdent,
        to: &TableIdent,
        change: &Change,
    ) -> Result<()> {
        let view = found!(self, view_find, warehouse, from.clone());
        self.view_rename(&view, (&namespace(warehouse, &to.namespace), to.name()), change).await
    }

    pub(crate) async fn view_drop_as_admin(
        &self,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
        change: &Change,
    ) -> Result<()> {
        self.view_drop(&found!(self, view_find, warehouse, ident.clone()), change).await
    }
}
