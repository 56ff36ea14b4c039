//! Read restrictions and trusted engines.

use std::sync::atomic::Ordering;

use tidewater_core::access::Role;
use tidewater_core::ids::{PrincipalRoleId, TableId};
use tidewater_core::name::TableIdent;
use tidewater_core::restrictions::Restriction;

use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, document, ident, key, location, store_warehouse, stored_namespace,
    stored_table,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    ApiKey, DropTerms, EventDetails, EventFilter, NewTable, Origin, PageRequest, PrincipalAccess, PrincipalRole,
    Resource, Restore, StoreError, TableKind, WarehouseRef,
};

const MANY: u64 = 1_000;

fn masks(action: &str) -> Restriction {
    Restriction::parse(&format!(r#"{{"masks":{{"1":"{action}"}},"others":"plan"}}"#)).unwrap()
}

/// A principal with a role, and a table.
struct Site {
    warehouse_ref: WarehouseRef,
    key: ApiKey,
    role: PrincipalRole,
    ident: TableIdent,
    table: TableId,
}

impl Site {
    async fn new(store: &Subject) -> Self {
        let warehouse_ref = store_warehouse(store).await;
        let key = ApiKey { role: Role::None, ..key(warehouse_ref.organisation, "etl") };
        store.key_create(&key, &change()).await.unwrap();
        let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: "analysts".to_owned(), created_ms: NOW_MS };
        store.principal_role_create(warehouse_ref.organisation, &role, &change()).await.unwrap();
        let organisation = warehouse_ref.organisation;
        store.principal_role_assign(organisation, role.id, key.principal, true, &change()).await.unwrap();
        let sales = stored_namespace(store, warehouse_ref, "sales").await;
        let ident = ident(&sales, "orders");
        let table = stored_table(store, warehouse_ref, &ident).await;
        Self { warehouse_ref, key, role, ident, table }
    }

    async fn set(&self, store: &Subject, restriction: &Restriction) -> crate::store::Result<()> {
        store.restriction_set(self.warehouse_ref, (self.table, self.role.id), restriction, MANY, &change()).await
    }

    async fn access(&self, store: &Subject) -> PrincipalAccess {
        store.principal_access(self.warehouse_ref.organisation, self.key.principal, None).await.unwrap()
    }

    /// Returns the tables on which the principal is restricted.
    async fn restricted(&self, store: &Subject) -> Vec<TableId> {
        self.access(store).await.restricted.iter().map(|one| one.table).collect()
    }

    async fn drop_restorable(&self, store: &Subject) {
        let terms = DropTerms { restorable_until_ms: NOW_MS + 1_000, purge: false };
        let (place, kind) = (self.warehouse_ref, TableKind::Table);
        store.table_drop(place, &self.ident, self.table, kind, Some(&terms), &change()).await.unwrap();
    }
}

pub(in crate::store) async fn restriction_applies_to_all_tokens_of_its_role_and_each_change_leaves_one_event(
    store: Subject,
) {
    let site = Site::new(&store).await;
    let organisation = site.warehouse_ref.organisation;
    for restriction in [masks("mask-alphanum"), masks("show-last-4"), masks("show-last-4")] {
        site.set(&store, &restriction).await.unwrap();
    }
    let access = site.access(&store).await;
    let [restricted] = access.restricted.as_slice() else { panic!("{access:?}") };
    assert_eq!((restricted.warehouse, restricted.table), (site.warehouse_ref.warehouse, site.table));
    assert_eq!((restricted.role, &restricted.restriction), (site.role.id, &masks("show-last-4")));
    // A token that is narrowed to other roles has it too.
    let narrowed = store.principal_access(organisation, site.key.principal, Some([].into())).await.unwrap();
    assert_eq!(narrowed.restricted, access.restricted);
    let on = (site.table, site.role.id);
    let listed = store.restriction_list(site.warehouse_ref, site.table, &PageRequest::default()).await.unwrap().items;
    assert_eq!(store.restriction_get(site.warehouse_ref, on).await.unwrap().as_ref(), listed.first());
    assert_eq!((listed.len(), &*listed[0].role_name, listed[0].updated_ms), (1, "analysts", NOW_MS));

    for _ in 0..2 {
        store.restriction_remove(site.warehouse_ref, (site.table, site.role.id), &change()).await.unwrap();
    }
    assert_eq!(site.restricted(&store).await, []);
    let events = store.event_list(Some(organisation), &EventFilter::default(), None, 50).await.unwrap().events;
    let operations: Vec<&str> = events.iter().map(|event| event.operation.as_str()).collect();
    let changed = operations.iter().filter(|operation| operation.ends_with("-restriction")).collect::<Vec<_>>();
    assert_eq!(changed, [&"remove-restriction", &"set-restriction", &"set-restriction"]);
}

pub(in crate::store) async fn restriction_stays_with_its_table_and_ends_with_it_or_its_role(store: Subject) {
    let site = Site::new(&store).await;
    let sales = site.ident.namespace.clone();
    site.set(&store, &masks("mask-alphanum")).await.unwrap();
    let moved = ident(&sales, "moved");
    let (place, table) = (site.warehouse_ref, site.table);
    store.table_rename(place, &site.ident, table, &moved, TableKind::Table, &change()).await.unwrap();
    assert_eq!(site.restricted(&store).await, [table]);
    store.table_rename(place, &moved, table, &site.ident, TableKind::Table, &change()).await.unwrap();
    site.drop_restorable(&store).await;
    assert_refused!(site.set(&store, &masks("show-last-4")).await, StoreError::NotFound(Resource::Table));
    assert_eq!(site.restricted(&store).await, [table], "while the table is dropped");
    let restore = Restore { id: table, ident: &site.ident, locations: None };
    store.dropped_restore(place, &restore, None, &change()).await.unwrap();
    assert_eq!(site.restricted(&store).await, [table]);

    // Dropped for good.
    store.table_drop(place, &site.ident, table, TableKind::Table, None, &change()).await.unwrap();
    assert_eq!(site.restricted(&store).await, []);
    let again = Site { table: stored_table(&store, place, &site.ident).await, ..site };
    assert_eq!(again.restricted(&store).await, [], "another table of the name");
    again.set(&store, &masks("mask-alphanum")).await.unwrap();
    store.principal_role_delete(place.organisation, again.role.id, &change()).await.unwrap();
    assert_eq!(again.restricted(&store).await, []);
    assert!(store.restriction_list(place, again.table, &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(store.restriction_get(place, (again.table, again.role.id)).await.unwrap(), None);
}

pub(in crate::store) async fn restrictions_are_listed_in_pages_of_few_items_and_bytes(store: Subject) {
    let site = Site::new(&store).await;
    let (place, value) = (site.warehouse_ref, "x".repeat(15 << 10));
    let filter = format!(r#"{{"type":"eq","term":{{"type":"reference","id":1}},"value":"{value}"}}"#);
    let long = format!(r#"{{"filter":{filter},"masks":{{}},"others":"plan"}}"#);
    let long = Restriction::parse(&long).unwrap();
    let names: Vec<String> = (0..100).map(|number| format!("role{number:03}")).collect();
    for name in &names {
        let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.clone(), created_ms: NOW_MS };
        store.principal_role_create(place.organisation, &role, &change()).await.unwrap();
        store.restriction_set(place, (site.table, role.id), &long, MANY, &change()).await.unwrap();
    }
    for (limit, most) in [(Some(3), 3), (None, 70), (Some(10_000), 70)] {
        let (mut found, mut page) = (Vec::new(), PageRequest { after: None, limit });
        loop {
            let listed = store.restriction_list(place, site.table, &page).await.unwrap();
            assert!((1..=most).contains(&listed.items.len()), "{} of {limit:?}", listed.items.len());
            found.extend(listed.items.into_iter().map(|one| one.role_name));
            page.after = found.last().cloned();
            if !listed.more {
                break;
            }
        }
        assert_eq!(found, names);
    }
}

pub(in crate::store) async fn table_at_the_location_of_a_dropped_one_gets_its_restrictions(store: Subject) {
    let site = Site::new(&store).await;
    site.set(&store, &masks("mask-alphanum")).await.unwrap();
    site.drop_restorable(&store).await;
    let (id, ident) = (TableId(fresh_uuid()), ident(&site.ident.namespace, "registered"));
    let new = NewTable {
        id,
        ident: &ident,
        kind: TableKind::Table,
        metadata_location: &document(1),
        locations: &at(&location(site.table)),
        origin: Origin::Foreign,
        details: &EventDetails::new(),
    };
    store.table_create(site.warehouse_ref, &new, None, &change()).await.unwrap();
    let mut restricted = site.restricted(&store).await;
    restricted.retain(|table| *table == id);
    assert_eq!(restricted, [id]);
}

pub(in crate::store) async fn change_of_restrictions_or_trust_raises_the_generation_of_the_principal(store: Subject) {
    let site = Site::new(&store).await;
    let organisation = site.warehouse_ref.organisation;
    let generation = store.access_generation(organisation, site.key.principal);
    let mut last = generation.load(Ordering::Acquire);
    let mut has_risen = |what: &str| {
        let now = generation.load(Ordering::Acquire);
        assert!(now > last, "{what}");
        last = now;
    };
    site.set(&store, &masks("mask-alphanum")).await.unwrap();
    has_risen("set");
    site.set(&store, &masks("show-last-4")).await.unwrap();
    has_risen("changed");
    store.trusted_engine_set(organisation, site.key.principal, true, &change()).await.unwrap();
    has_risen("trusted");
    assert!(site.access(&store).await.is_trusted_engine);
    let page = PageRequest::default();
    let trusted = store.trusted_engine_list(organisation, &page).await.unwrap().items;
    assert_eq!(trusted.iter().map(|one| one.id).collect::<Vec<_>>(), [site.key.principal]);
    store.trusted_engine_set(organisation, site.key.principal, false, &change()).await.unwrap();
    has_risen("distrusted");
    assert!(!site.access(&store).await.is_trusted_engine);
    store.restriction_remove(site.warehouse_ref, (site.table, site.role.id), &change()).await.unwrap();
    has_risen("removed");
}

pub(in crate::store) async fn restriction_beyond_the_limit_or_of_what_is_missing_is_refused(store: Subject) {
    let site = Site::new(&store).await;
    let (place, restriction) = (site.warehouse_ref, masks("mask-alphanum"));
    let set = async |on: (TableId, PrincipalRoleId), limit: u64| {
        store.restriction_set(place, on, &restriction, limit, &change()).await
    };
    assert_refused!(set((site.table, site.role.id), 0).await, StoreError::LimitReached { limit: 0 });
    assert_eq!(site.restricted(&store).await, []);
    let missing = (TableId(fresh_uuid()), PrincipalRoleId(fresh_uuid()));
    assert_refused!(set((missing.0, site.role.id), 1).await, StoreError::NotFound(Resource::Table));
    assert_refused!(set((site.table, missing.1), 1).await, StoreError::NotFound(Resource::PrincipalRole));
    let other = store_warehouse(&store).await;
    let foreign = store.restriction_set(other, (site.table, site.role.id), &restriction, 1, &change()).await;
    assert_refused!(foreign, StoreError::NotFound(Resource::Table));
    let trusted = store.trusted_engine_set(other.organisation, site.key.principal, true, &change()).await;
    assert_refused!(trusted, StoreError::NotFound(Resource::Principal));
    set((site.table, site.role.id), 1).await.unwrap();
    set((site.table, site.role.id), 1).await.unwrap();
}
