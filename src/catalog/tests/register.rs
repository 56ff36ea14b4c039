//! Registrations of tables and views whose files are removed meanwhile.

use tidewater_core::commit::RegisterTable;

use super::*;
use crate::base::clock::fresh_ordered_uuid;
use crate::metadata::MetadataError;
use crate::store::faulty::Mode;
use crate::store::{Answer, Receipt, RequestDigest, TableRecord};

fn register(name: &str, metadata_location: &str, overwrite: bool) -> RegisterTable {
    let body = json!({ "name": name, "metadata-location": metadata_location, "overwrite": overwrite });
    RegisterTable::parse(body.to_string().as_bytes()).unwrap()
}

fn ident(name: &str) -> TableIdent {
    TableIdent::new(namespace(), name).unwrap()
}

fn file(location: &str) -> std::path::PathBuf {
    location.strip_prefix("file://").unwrap().into()
}

impl Fixture {
    /// Unregisters `t`. Returns its metadata location.
    async fn unregistered(&self) -> String {
        self.catalog
            .table_unregister_as_admin(&self.warehouse, table(), &Change::by_catalog(0))
            .await
            .unwrap()
            .location
            .clone()
    }

    async fn register(&self, request: RegisterTable) -> Result<LoadedTable, CatalogError> {
        self.catalog.table_register_as_admin(&self.warehouse, &namespace(), request, &Change::by_catalog(0)).await
    }

    async fn register_with(&self, request: RegisterTable, receipt: &Receipt) -> Result<LoadedTable, CatalogError> {
        self.catalog.table_register_as_admin(&self.warehouse, &namespace(), request, &keyed(receipt)).await
    }

    async fn kept_for(&self, receipt: &Receipt) -> Option<Answer> {
        let kept = self
            .store
            .receipt_get(self.warehouse.warehouse_ref.organisation, receipt.principal, receipt.key, 1)
            .await
            .unwrap();
        kept.map(|kept| kept.answer)
    }

    async fn live(&self) -> TableRecord {
        self.catalog
            .table_create_as_admin(&self.warehouse, &namespace(), create_request("live"), &Change::by_catalog(0))
            .await
            .unwrap();
        self.catalog.table_record(&self.warehouse, &ident("live")).await.unwrap()
    }
}

fn receipt() -> Receipt {
    Receipt {
        principal: tidewater_core::ids::PrincipalId(uuid::Uuid::from_u128(7)),
        key: fresh_ordered_uuid(),
        request: RequestDigest([1; 32]),
        expires_ms: i64::MAX,
    }
}

#[tokio::test]
async fn undone_registration_keeps_no_receipt() {
    let fixture = Fixture::new().await;
    let before = fixture.live().await;
    for (name, overwrite) in [("again", false), ("live", true)] {
        let location = fixture.unregistered().await;
        let (receipt, removed) = (receipt(), file(&location));
        fixture.store.meanwhile(move || std::fs::remove_file(removed).unwrap());
        let refused = fixture.register_with(register(name, &location, overwrite), &receipt).await;
        assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
        assert_eq!(fixture.kept_for(&receipt).await, None, "{name}");
        assert_eq!(fixture.catalog.table_record(&fixture.warehouse, &ident("live")).await.unwrap(), before);
        fixture
            .catalog
            .table_create_as_admin(&fixture.warehouse, &namespace(), create_request("t"), &Change::by_catalog(0))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn registration_that_cannot_be_undone_reports_the_registered_table() {
    let fixture = Fixture::new().await;
    fixture.live().await;
    for (name, overwrite) in [("again", false), ("live", true)] {
        let location = fixture.unregistered().await;
        let (receipt, removed, store) = (receipt(), file(&location), Arc::clone(&fixture.store));
        fixture.store.meanwhile(move || {
            std::fs::remove_file(removed).unwrap();
            // Right after the change.
            store.set(Mode::Down);
        });
        let refused = fixture.register_with(register(name, &location, overwrite), &receipt).await;
        fixture.store.set(Mode::Up);
        assert!(
            matches!(&refused, Err(CatalogError::RegisteredWithoutFile { location: one, .. }) if *one == location),
            "{refused:?}"
        );
        let record = fixture.catalog.table_record(&fixture.warehouse, &ident(name)).await.unwrap();
        assert_eq!(record.metadata_location, location);
        assert_eq!(fixture.kept_for(&receipt).await, Some(Answer::document(location, record.id)));
        fixture
            .catalog
            .table_create_as_admin(&fixture.warehouse, &namespace(), create_request("t"), &Change::by_catalog(0))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn register_with_overwrite_replaces_a_table_created_meanwhile() {
    let fixture = Fixture::new().await;
    let location = fixture.unregistered().await;
    let live = fixture.live().await;
    // The name is free at the lookup, and taken when the table is added.
    fixture.store.fail_next(Fault::Overtaken);
    let registered = fixture.register(register("new", &location, true)).await.unwrap();
    assert_eq!(registered.document.location, location);
    let record = fixture.catalog.table_record(&fixture.warehouse, &ident("new")).await.unwrap();
    assert_eq!(record.metadata_location, location);
    assert_eq!(fixture.catalog.table_record(&fixture.warehouse, &ident("live")).await.unwrap(), live);
}

#[tokio::test]
async fn register_of_files_purged_meanwhile_is_refused_and_undone() {
    let fixture = Fixture::new().await;
    let location = fixture.unregistered().await;
    let removed = file(&location);
    // Removed after its metadata was read, as by the end of a purge.
    fixture.store.meanwhile(move || std::fs::remove_file(removed).unwrap());
    let refused = fixture.register(register("again", &location, false)).await;
    assert!(
        matches!(&refused, Err(CatalogError::Metadata(MetadataError::Missing(one))) if *one == location),
        "{refused:?}"
    );
    let left = fixture.catalog.table_record(&fixture.warehouse, &ident("again")).await;
    assert!(matches!(left, Err(CatalogError::NoSuchTable(_))), "{left:?}");
}

#[tokio::test]
async fn register_over_a_table_of_files_removed_meanwhile_leaves_the_table_unchanged() {
    let fixture = Fixture::new().await;
    let location = fixture.unregistered().await;
    fixture
        .catalog
        .table_create_as_admin(&fixture.warehouse, &namespace(), create_request("live"), &Change::by_catalog(0))
        .await
        .unwrap();
    let before = fixture.catalog.table_record(&fixture.warehouse, &ident("live")).await.unwrap();
    let removed = file(&location);
    fixture.store.meanwhile(move || std::fs::remove_file(removed).unwrap());
    let refused = fixture.register(register("live", &location, true)).await;
    assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
    assert_eq!(fixture.catalog.table_record(&fixture.warehouse, &ident("live")).await.unwrap(), before);
}

#[tokio::test]
async fn register_of_removed_files_with_cached_metadata_is_refused() {
    let fixture = Fixture::new().await;
    let location = fixture.unregistered().await;
    std::fs::remove_file(file(&location)).unwrap();
    let refused = fixture.register(register("again", &location, false)).await;
    assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
}

impl Fixture {
    /// Creates and drops a view. Returns its metadata location.
    async fn dropped_view(&self) -> String {
        let location = self.create_view("dropped").await.unwrap().location.clone();
        self.catalog.view_drop_as_admin(&self.warehouse, &ident("dropped"), &Change::by_catalog(0)).await.unwrap();
        location
    }

    async fn register_view(&self, location: &str, change: &Change) -> Result<LoadedView, CatalogError> {
        let body = json!({ "name": "again", "metadata-location": location });
        let request = tidewater_core::view::RegisterView::parse(body.to_string().as_bytes()).unwrap();
        self.catalog.view_register_as_admin(&self.warehouse, &namespace(), request, change).await
    }
}

#[tokio::test]
async fn register_of_a_removed_view_with_cached_metadata_is_refused() {
    let fixture = Fixture::new().await;
    let location = fixture.dropped_view().await;
    std::fs::remove_file(file(&location)).unwrap();
    let refused = fixture.register_view(&location, &Change::by_catalog(0)).await;
    assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
    let left = fixture.catalog.view_record(&fixture.warehouse, &ident("again")).await;
    assert!(matches!(left, Err(CatalogError::NoSuchView(_))), "{left:?}");
}

#[tokio::test]
async fn register_of_a_view_file_removed_meanwhile_is_undone() {
    let fixture = Fixture::new().await;
    let location = fixture.dropped_view().await;
    let (receipt, removed) = (receipt(), file(&location));
    fixture.store.meanwhile(move || std::fs::remove_file(removed).unwrap());
    let refused = fixture.register_view(&location, &keyed(&receipt)).await;
    assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
    let left = fixture.catalog.view_record(&fixture.warehouse, &ident("again")).await;
    assert!(matches!(left, Err(CatalogError::NoSuchView(_))), "{left:?}");
    assert_eq!(fixture.kept_for(&receipt).await, None);
}

#[tokio::test]
async fn restore_of_a_table_or_view_without_its_metadata_names_the_missing_file() {
    let fixture = Fixture::new().await;
    let location = fixture.catalog.table_record(&fixture.warehouse, &table()).await.unwrap().metadata_location;
    let id =
        fixture.catalog.table_drop_as_admin(&fixture.warehouse, &table(), false, &Change::by_catalog(0)).await.unwrap();
    let aside = file(&location).with_extension("aside");
    std::fs::rename(file(&location), &aside).unwrap();
    let restore =
        async || fixture.catalog.dropped_restore_as_admin(&fixture.warehouse, id, None, &Change::by_catalog(0)).await;
    let refused = restore().await;
    assert!(matches!(&refused, Err(CatalogError::NotRestorable(_, why)) if why.contains(&location)), "{refused:?}");
    assert!(fixture.catalog.table_record(&fixture.warehouse, &table()).await.is_err());
    // Nothing was changed: with its file the table can be restored.
    std::fs::rename(&aside, file(&location)).unwrap();
    restore().await.unwrap();
    fixture.commit("a").await.unwrap();
}
