//! Creates the objects of the cases.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;
use uuid::Uuid;

use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::{
    ApiKey, Change, EventDetails, KeyDigest, NewTable, Organisation, Origin, Past, Properties, Receipt, Result,
    SigningKey, Store, Swap, TableKind, Warehouse, WarehouseOptions, WarehouseRef, WarehouseStorage,
};

/// The store under test.
pub(super) type Subject = Arc<dyn Store>;

/// The present time of most cases.
pub(super) const NOW_MS: i64 = 1_790_000_000_000;

/// Returns a change at [`NOW_MS`].
pub(super) fn change() -> Change {
    change_at(NOW_MS)
}

/// Returns a change at a time.
pub(super) fn change_at(at_ms: i64) -> Change {
    Change::by_catalog(at_ms)
}

/// Returns a change at [`NOW_MS`] with a receipt.
pub(super) fn keyed(receipt: &Receipt) -> Change {
    Change { receipt: Some(Arc::new(receipt.clone())), ..change() }
}

/// Returns an organisation that is not yet stored.
pub(super) fn organisation(name: &str) -> Organisation {
    Organisation::new(OrganisationId(fresh_uuid()), name.to_owned(), "professional".to_owned(), NOW_MS)
}

/// Returns a digest that contains a number.
pub(super) fn digest(number: u128) -> KeyDigest {
    let mut bytes = [7; 32];
    bytes[..16].copy_from_slice(&number.to_be_bytes());
    KeyDigest(bytes)
}

/// Returns a key that is not yet stored.
pub(super) fn key(organisation: OrganisationId, name: &str) -> ApiKey {
    let id = fresh_uuid();
    ApiKey {
        id: KeyId(id),
        organisation,
        principal: PrincipalId(id),
        name: name.to_owned(),
        role: Role::Writer,
        no_delete: false,
        acts_for_users: false,
        digest: digest(id.as_u128()),
        created_ms: NOW_MS,
        expires_ms: None,
        last_used_ms: None,
        revoked_ms: None,
    }
}

/// Returns a signing key that is not yet stored.
pub(super) fn signing_key(id: &str, created_ms: i64) -> SigningKey {
    SigningKey { id: id.to_owned(), secret: Secret::new([created_ms.to_le_bytes()[0]; 32]), created_ms }
}

/// Returns a warehouse that is not yet stored.
pub(super) fn warehouse(organisation: OrganisationId, name: &str) -> Warehouse {
    Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation,
        name: name.to_owned(),
        root: format!("file:///srv/{organisation}/{name}"),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: false,
        created_ms: NOW_MS,
    }
}

/// Stores a new organisation with a new warehouse.
pub(super) async fn store_warehouse(store: &Subject) -> WarehouseRef {
    let organisation = organisation(&format!("org-{}", fresh_uuid()));
    store.organisation_create(&organisation, &change()).await.unwrap();
    store_warehouse_of(store, organisation.id, "lake").await
}

/// Stores a new warehouse of an organisation.
pub(super) async fn store_warehouse_of(store: &Subject, organisation: OrganisationId, name: &str) -> WarehouseRef {
    let warehouse = warehouse(organisation, name);
    store.warehouse_create(&warehouse, &change()).await.unwrap();
    WarehouseRef { organisation, warehouse: warehouse.id }
}

/// Returns the namespace with these levels.
pub(super) fn namespace(levels: &[&str]) -> NamespaceIdent {
    NamespaceIdent::new(levels).unwrap()
}

/// Returns the identifier of a table in a namespace.
pub(super) fn ident(namespace: &NamespaceIdent, name: &str) -> TableIdent {
    TableIdent::new(namespace.clone(), name).unwrap()
}

/// Returns properties from pairs.
pub(super) fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Stores a namespace of one level without properties.
pub(super) async fn stored_namespace(store: &Subject, warehouse_ref: WarehouseRef, name: &str) -> NamespaceIdent {
    let namespace = namespace(&[name]);
    store.namespace_create(warehouse_ref, &namespace, &BTreeMap::new(), &change()).await.unwrap();
    namespace
}

/// Returns the location of a document with a number, for any table.
pub(super) fn document(number: usize) -> String {
    format!("s3://bucket/lake/t/metadata/{number:05}-{}.metadata.json", Uuid::from_u128(number as u128))
}

/// Returns the location of a table's files.
pub(super) fn location(id: TableId) -> String {
    format!("s3://bucket/lake/{id}")
}

/// Returns the locations of a table with a single location.
pub(super) fn at(own: &str) -> Locations {
    spread(own, &[])
}

/// Returns the locations of a table whose properties name others.
pub(super) fn spread(own: &str, others: &[&str]) -> Locations {
    let parse = |text: &str| Location::parse(text).unwrap();
    Locations::new(parse(own), others.iter().map(|other| parse(other)))
}

/// Stores a table or view at [`document`] 0.
pub(super) async fn create(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
    kind: TableKind,
    max_tables: Option<u64>,
) -> Result<TableId> {
    let id = TableId(fresh_uuid());
    let locations = at(&location(id));
    let new = NewTable {
        id,
        ident,
        kind,
        metadata_location: &document(0),
        locations: &locations,
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, max_tables, &change()).await.map(|()| id)
}

/// Stores a table at [`document`] 0.
pub(super) async fn stored_table(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent) -> TableId {
    create(store, warehouse_ref, ident, TableKind::Table, None).await.unwrap()
}

/// Moves a table from one document to another.
pub(super) async fn swap(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    id: TableId,
    from: usize,
    to: usize,
) -> Result<()> {
    let (expected, new) = (document(from), document(to));
    let swap = Swap {
        id,
        ident: None,
        expected: &expected,
        new: &new,
        locations: &at(&location(id)),
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &EventDetails::new(),
    };
    store.table_swap(warehouse_ref, &swap, &change()).await
}

/// Returns the location of a table's current document.
pub(super) async fn pointer(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent) -> String {
    store.table_get(warehouse_ref, ident).await.unwrap().unwrap().metadata_location
}

/// Returns the id of the table or view with the name, or an unused id.
pub(super) async fn id_at(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent) -> TableId {
    store.table_get(warehouse_ref, ident).await.unwrap().map_or(TableId(Uuid::nil()), |record| record.id)
}

/// Fails unless a result is the error of that pattern.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {{
        let result = $result;
        assert!(matches!(result, Err($pattern)), "expected {}, got {result:?}", stringify!($pattern));
    }};
}
pub(super) use assert_refused;
