//! Principals, roles, assignments, grants and owners.

use std::sync::atomic::Ordering;

use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, PrincipalRoleId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::fixture::{
    NOW_MS, Subject, assert_refused, change, id_at, ident, key, namespace, store_warehouse, store_warehouse_of,
    stored_namespace, stored_table,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Actor, ApiKey, CatalogRole, Change, DropTerms, EventFilter, Grant, KeyUpdate, PageRequest, PrincipalRole, Resource,
    Restore, StoreError, TableKind, WarehouseRef,
};

const MANY: u64 = 1_000;

/// A principal with a principal role and a catalog role, in a new warehouse.
struct Team {
    warehouse_ref: WarehouseRef,
    key: ApiKey,
    principal_role: PrincipalRole,
    catalog_role: CatalogRole,
}

impl Team {
    async fn new(store: &Subject) -> Self {
        let warehouse_ref = store_warehouse(store).await;
        let key = ApiKey { role: Role::None, ..key(warehouse_ref.organisation, "etl") };
        store.key_create(&key, &change()).await.unwrap();
        let principal_role =
            PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: "analysts".to_owned(), created_ms: NOW_MS };
        let catalog_role =
            CatalogRole { id: CatalogRoleId(fresh_uuid()), name: "readers".to_owned(), created_ms: NOW_MS };
        store.principal_role_create(warehouse_ref.organisation, &principal_role, &change()).await.unwrap();
        store.catalog_role_create(warehouse_ref, &catalog_role, &change()).await.unwrap();
        let team = Self { warehouse_ref, key, principal_role, catalog_role };
        team.assign(store, true).await;
        team
    }

    async fn assign(&self, store: &Subject, assigned: bool) {
        let (organisation, role) = (self.warehouse_ref.organisation, self.principal_role.id);
        store.principal_role_assign(organisation, role, self.key.principal, assigned, &change()).await.unwrap();
        store.catalog_role_assign(self.warehouse_ref, self.catalog_role.id, role, assigned, &change()).await.unwrap();
    }

    async fn grant(&self, store: &Subject, on: Securable, privilege: Privilege) {
        let grant = Grant { on, privilege };
        store.grant_add(self.warehouse_ref, self.catalog_role.id, &grant, MANY, &change()).await.unwrap();
    }

    /// Returns the principal's grants as texts.
    async fn granted(&self, store: &Subject) -> Vec<String> {
        let access = store.principal_access(self.warehouse_ref.organisation, self.key.principal, None).await.unwrap();
        let on = |on: &Securable| match on {
            Securable::Warehouse => "lake".to_owned(),
            Securable::Namespace(ident) => ident.to_string(),
            Securable::Table(_, name) | Securable::View(_, name) => {
                name.as_ref().map_or("dropped".to_owned(), ToString::to_string)
            }
        };
        access.granted.iter().map(|one| format!("{} on {}", one.privilege, on(&one.on))).collect()
    }

    fn change(&self) -> Change {
        Change::by(Actor::Key { id: self.key.id, name: "etl".into() }, NOW_MS)
    }
}

async fn drop_restorable(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent) {
    let terms = DropTerms { restorable_until_ms: NOW_MS + 1_000, purge: false };
    let id = id_at(store, warehouse_ref, ident).await;
    store.table_drop(warehouse_ref, ident, id, TableKind::Table, Some(&terms), &change()).await.unwrap();
}

pub(in crate::store) async fn principal_has_the_grants_of_its_roles(store: Subject) {
    let team = Team::new(&store).await;
    let sales = stored_namespace(&store, team.warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, team.warehouse_ref, &orders).await;
    team.grant(&store, Securable::Warehouse, Privilege::CatalogReadProperties).await;
    team.grant(&store, Securable::Namespace(sales.clone()), Privilege::TableList).await;
    team.grant(&store, Securable::Table(id, None), Privilege::TableReadData).await;
    let all = ["CATALOG_READ_PROPERTIES on lake", "TABLE_LIST on sales", "TABLE_READ_DATA on sales.orders"];
    assert_eq!(team.granted(&store).await, all);
    let access = store.principal_access(team.warehouse_ref.organisation, team.key.principal, None).await.unwrap();
    let page = PageRequest::default();
    let of = store.principal_role_list_of(team.warehouse_ref.organisation, team.key.principal, &page).await.unwrap();
    assert_eq!(of.items, std::slice::from_ref(&team.principal_role));
    let of = store.catalog_role_list_of(team.warehouse_ref, team.principal_role.id, &page).await.unwrap();
    assert_eq!(of.items, std::slice::from_ref(&team.catalog_role));
    let path = access.paths.first().unwrap();
    assert_eq!((&*path.principal_role, &*path.catalog_role_name), ("analysts", "readers"));

    let revoked = Grant { on: Securable::Table(id, None), privilege: Privilege::TableReadData };
    store.grant_revoke(team.warehouse_ref, team.catalog_role.id, &revoked, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, all[..2]);
    team.assign(&store, false).await;
    assert_eq!(team.granted(&store).await, [""; 0]);
    team.assign(&store, true).await;
    store.principal_role_delete(team.warehouse_ref.organisation, team.principal_role.id, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, [""; 0]);
}

pub(in crate::store) async fn grant_on_a_table_stays_after_rename_drop_and_restore(store: Subject) {
    let team = Team::new(&store).await;
    let (sales, other) = (
        stored_namespace(&store, team.warehouse_ref, "sales").await,
        stored_namespace(&store, team.warehouse_ref, "other").await,
    );
    let (orders, moved) = (ident(&sales, "orders"), ident(&other, "moved"));
    let id = stored_table(&store, team.warehouse_ref, &orders).await;
    team.grant(&store, Securable::Table(id, None), Privilege::TableReadData).await;
    store.table_rename(team.warehouse_ref, &orders, id, &moved, TableKind::Table, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, ["TABLE_READ_DATA on other.moved"]);

    drop_restorable(&store, team.warehouse_ref, &moved).await;
    assert_eq!(team.granted(&store).await, ["TABLE_READ_DATA on dropped"]);
    stored_table(&store, team.warehouse_ref, &moved).await;
    assert_eq!(team.granted(&store).await, ["TABLE_READ_DATA on dropped"], "another table of the same name");
    let restore = Restore { id, ident: &orders, locations: None };
    store.dropped_restore(team.warehouse_ref, &restore, None, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, ["TABLE_READ_DATA on sales.orders"]);

    store.table_drop(team.warehouse_ref, &orders, id, TableKind::Table, None, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, [""; 0], "after a drop without restore");
    team.grant(&store, Securable::Table(TableId(fresh_uuid()), None), Privilege::TableList).await;
}

pub(in crate::store) async fn namespace_drop_removes_its_grants(store: Subject) {
    let team = Team::new(&store).await;
    let sales = stored_namespace(&store, team.warehouse_ref, "sales").await;
    team.grant(&store, Securable::Namespace(sales.clone()), Privilege::TableList).await;
    store.namespace_drop(team.warehouse_ref, &sales, &change()).await.unwrap();
    assert_eq!(team.granted(&store).await, [""; 0]);
    stored_namespace(&store, team.warehouse_ref, "sales").await;
    assert_eq!(team.granted(&store).await, [""; 0]);
    let on_missing = Grant { on: Securable::Namespace(namespace(&["none"])), privilege: Privilege::TableList };
    let refused = store.grant_add(team.warehouse_ref, team.catalog_role.id, &on_missing, MANY, &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::Namespace));
}

pub(in crate::store) async fn creator_owns_a_table_after_drop_and_restore(store: Subject) {
    let team = Team::new(&store).await;
    let sales = namespace(&["sales"]);
    store.namespace_create(team.warehouse_ref, &sales, &Default::default(), &team.change()).await.unwrap();
    assert_eq!(team.granted(&store).await, ["CATALOG_MANAGE_CONTENT on sales"], "a namespace of its own");
    let orders = ident(&sales, "orders");
    let id = TableId(fresh_uuid());
    let locations = super::fixture::at(&super::fixture::location(id));
    let new = crate::store::NewTable {
        id,
        ident: &orders,
        kind: TableKind::Table,
        metadata_location: &super::fixture::document(0),
        locations: &locations,
        origin: crate::store::Origin::Catalog,
        details: &Default::default(),
    };
    store.table_create(team.warehouse_ref, &new, None, &team.change()).await.unwrap();
    let owner = Some(team.key.principal);
    assert_eq!(store.table_get(team.warehouse_ref, &orders).await.unwrap().unwrap().owner, owner);
    let page = PageRequest::default();
    let owned = async |of: &NamespaceIdent| {
        store.table_list_owned(team.warehouse_ref, of, TableKind::Table, team.key.principal, &page).await.unwrap().items
    };
    assert_eq!(owned(&sales).await, ["orders"]);
    drop_restorable(&store, team.warehouse_ref, &orders).await;
    assert_eq!(owned(&sales).await, [""; 0]);
    assert_eq!(store.dropped_get(team.warehouse_ref, id).await.unwrap().unwrap().owner, owner);
    let (other, restored) = (stored_namespace(&store, team.warehouse_ref, "other").await, namespace(&["other"]));
    let again = ident(&other, "again");
    store
        .dropped_restore(team.warehouse_ref, &Restore { id, ident: &again, locations: None }, None, &change())
        .await
        .unwrap();
    assert_eq!(owned(&restored).await, ["again"]);
    let access = store.principal_access(team.warehouse_ref.organisation, team.key.principal, None).await.unwrap();
    assert_eq!(access.owned_in, [(team.warehouse_ref.warehouse, restored)]);
    assert_eq!(store.table_get(team.warehouse_ref, &again).await.unwrap().unwrap().owner, owner);
}

pub(in crate::store) async fn rotated_key_keeps_its_principal(store: Subject) {
    let team = Team::new(&store).await;
    let organisation = team.warehouse_ref.organisation;
    let new = ApiKey { principal: team.key.principal, role: Role::None, ..key(organisation, "etl") };
    store.key_rotate(team.key.id, NOW_MS + 1, &new, &change()).await.unwrap();
    let renamed = KeyUpdate { name: Some("loader".to_owned()), role: Some(Role::Reader), ..KeyUpdate::default() };
    store.key_update(organisation, new.id, &renamed, &change()).await.unwrap();
    let principals = store.principal_list(organisation, &PageRequest::default()).await.unwrap().items;
    let [only] = &principals[..] else { panic!("{principals:?}") };
    assert_eq!((only.id, &*only.name, only.role), (team.key.principal, "loader", Some(Role::Reader)));
    let role = team.principal_role.id;
    let members = store.principal_role_members(organisation, role, &PageRequest::default()).await.unwrap();
    assert_eq!(members.items, principals);
    let (old, _) = store.key_by_id(team.key.id).await.unwrap().unwrap();
    let (new, _) = store.key_by_id(new.id).await.unwrap().unwrap();
    assert_eq!(old.principal, new.principal);
}

pub(in crate::store) async fn roles_are_listed_in_pages_and_a_second_role_of_a_name_is_refused(store: Subject) {
    let team = Team::new(&store).await;
    let organisation = team.warehouse_ref.organisation;
    for name in ["b", "a", "c"] {
        let new = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS };
        store.principal_role_create(organisation, &new, &change()).await.unwrap();
        let new = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS };
        store.catalog_role_create(team.warehouse_ref, &new, &change()).await.unwrap();
    }
    let page = PageRequest { after: Some("a".to_owned()), limit: Some(2) };
    let found = store.principal_role_list(organisation, &page).await.unwrap();
    let names: Vec<_> = found.items.iter().map(|role| role.name.as_str()).collect();
    assert_eq!((names, found.more), (vec!["analysts", "b"], true));
    let found = store.catalog_role_list(team.warehouse_ref, &page).await.unwrap();
    let names: Vec<_> = found.items.iter().map(|role| role.name.as_str()).collect();
    assert_eq!((names, found.more), (vec!["b", "c"], true));
    let again = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: "b".to_owned(), created_ms: NOW_MS };
    let refused = store.principal_role_create(organisation, &again, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::PrincipalRole));
    let again = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: "b".to_owned(), created_ms: NOW_MS };
    let refused = store.catalog_role_create(team.warehouse_ref, &again, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::CatalogRole));
    let elsewhere = store_warehouse_of(&store, organisation, "second").await;
    store.catalog_role_create(elsewhere, &again, &change()).await.unwrap();
    assert_eq!(store.catalog_role_get(elsewhere, "b").await.unwrap(), Some(again.clone()));
    assert_refused!(
        store.catalog_role_delete(team.warehouse_ref, again.id, &change()).await,
        StoreError::NotFound(Resource::CatalogRole)
    );
    store.warehouse_drop(organisation, "second", &change()).await.unwrap();
    assert_refused!(store.catalog_role_list(elsewhere, &page).await, StoreError::NotFound(Resource::Warehouse));
}

pub(in crate::store) async fn roles_of_another_organisation_are_not_found(store: Subject) {
    let (team, other) = (Team::new(&store).await, Team::new(&store).await);
    let grant = Grant { on: Securable::Warehouse, privilege: Privilege::TableList };
    let refused = store.grant_add(other.warehouse_ref, team.catalog_role.id, &grant, MANY, &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::CatalogRole));
    let (organisation, role) = (other.warehouse_ref.organisation, team.principal_role.id);
    let refused = store.principal_role_assign(organisation, role, other.key.principal, true, &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::PrincipalRole));
    let refused =
        store.principal_role_assign(organisation, other.principal_role.id, team.key.principal, true, &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::Principal));
    let refused = store
        .catalog_role_assign(other.warehouse_ref, other.catalog_role.id, team.principal_role.id, true, &change())
        .await;
    assert_refused!(refused, StoreError::NotFound(Resource::PrincipalRole));
    team.grant(&store, Securable::Warehouse, Privilege::TableList).await;
    let access = store.principal_access(organisation, team.key.principal, None).await.unwrap();
    assert!(access.granted.is_empty());
}

pub(in crate::store) async fn grants_beyond_the_limit_are_refused(store: Subject) {
    let team = Team::new(&store).await;
    let grant = |privilege| Grant { on: Securable::Warehouse, privilege };
    let add = async |privilege| {
        store.grant_add(team.warehouse_ref, team.catalog_role.id, &grant(privilege), 1, &change()).await
    };
    add(Privilege::TableList).await.unwrap();
    assert_refused!(add(Privilege::ViewList).await, StoreError::LimitReached { limit: 1 });
    add(Privilege::TableList).await.unwrap();
    assert_eq!(
        store.grant_list(team.warehouse_ref, team.catalog_role.id).await.unwrap(),
        [grant(Privilege::TableList)]
    );
}

pub(in crate::store) async fn change_of_access_is_counted_and_writes_its_event(store: Subject) {
    let team = Team::new(&store).await;
    let organisation = team.warehouse_ref.organisation;
    let generation = store.access_generation(organisation, team.key.principal);
    let sales = stored_namespace(&store, team.warehouse_ref, "sales").await;
    let id = stored_table(&store, team.warehouse_ref, &ident(&sales, "t")).await;
    let grant = Grant { on: Securable::Table(id, None), privilege: Privilege::TableList };
    let other = key(organisation, "other");
    store.key_create(&other, &change()).await.unwrap();
    let of_other = store.access_generation(organisation, other.principal);
    let mut before = generation.load(Ordering::Acquire);
    let mut counted = |what: &str| {
        let now = generation.load(Ordering::Acquire);
        assert!(now > before, "{what}");
        before = now;
    };
    let (role, principal_role) = (team.catalog_role.id, team.principal_role.id);
    store.grant_add(team.warehouse_ref, role, &grant, MANY, &change()).await.unwrap();
    counted("a grant");
    let (from, to) = (ident(&sales, "t"), ident(&sales, "u"));
    store.table_rename(team.warehouse_ref, &from, id, &to, TableKind::Table, &change()).await.unwrap();
    counted("a rename of a table with a grant");
    drop_restorable(&store, team.warehouse_ref, &to).await;
    counted("a drop");
    store
        .dropped_restore(team.warehouse_ref, &Restore { id, ident: &from, locations: None }, None, &change())
        .await
        .unwrap();
    counted("a restore");
    store
        .namespace_create(team.warehouse_ref, &namespace(&["own"]), &Default::default(), &team.change())
        .await
        .unwrap();
    counted("an own namespace");
    store.grant_revoke(team.warehouse_ref, role, &grant, &change()).await.unwrap();
    counted("a revoked grant");
    team.assign(&store, false).await;
    counted("an assignment");
    let update = KeyUpdate { role: Some(Role::Reader), ..KeyUpdate::default() };
    store.key_update(organisation, team.key.id, &update, &change()).await.unwrap();
    counted("the role of a key");
    team.assign(&store, true).await;
    counted("an assignment");
    store.catalog_role_delete(team.warehouse_ref, role, &change()).await.unwrap();
    counted("a catalog role");
    store.principal_role_delete(organisation, principal_role, &change()).await.unwrap();
    counted("a principal role");
    assert_eq!(of_other.load(Ordering::Acquire), 0, "no change concerned another principal");
    // A refused change writes no event.
    store.grant_revoke(team.warehouse_ref, role, &grant, &change()).await.unwrap_err();
    let all = store.event_list(Some(organisation), &EventFilter::default(), None, 100).await.unwrap().events;
    let operations: Vec<_> = all.iter().rev().map(|event| event.operation.as_str()).collect();
    let operations: Vec<_> =
        operations.into_iter().filter(|name| name.contains("role") || name.contains("grant")).collect();
    assert_eq!(
        operations,
        [
            "create-principal-role",
            "create-catalog-role",
            "assign-principal-role",
            "assign-catalog-role",
            "add-grant",
            "revoke-grant",
            "revoke-principal-role",
            "revoke-catalog-role",
            "assign-principal-role",
            "assign-catalog-role",
            "delete-catalog-role",
            "delete-principal-role",
        ]
    );
}
