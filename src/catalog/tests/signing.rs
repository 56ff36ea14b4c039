//! Passes, which clients send to have requests signed.

use super::*;
use crate::app::storage_access;
use crate::config::Config;

/// Starts the same catalog again.
async fn started(fixture: &Fixture) -> (Arc<Catalog>, Arc<OpenWarehouse>) {
    let config = Config { data_dir: fixture.folder.path().to_owned(), ..Config::default() };
    let settings =
        CatalogSettings { drop_retention: WEEK, removal_delay: Duration::ZERO, limits: RequestLimits::default() };
    let store = Arc::clone(&fixture.store) as Arc<dyn Store>;
    let catalog = Catalog::new(store, Documents::new(1 << 20), storage_access(&config), Clock::System, settings);
    let warehouse = catalog.warehouse(fixture.warehouse.warehouse_ref.organisation, None).await.unwrap();
    (Arc::new(catalog), warehouse)
}

#[tokio::test]
async fn passes_need_no_key_file_and_a_lost_master_key_is_not_replaced() {
    let fixture = Fixture::new().await;
    let (catalog, warehouse) = started(&fixture).await;
    let document = catalog.table_load_as_admin(&warehouse, &table()).await.unwrap().document;
    let locations = ValidLocations::from_table(&document.metadata, &warehouse.root).unwrap();
    catalog.signing_pass_as_admin(&warehouse, &table(), &locations, false).await.unwrap();
    let key = fixture.folder.path().join("master.key");
    std::fs::remove_file(&key).unwrap();
    catalog.signing_pass_as_admin(&warehouse, &table(), &locations, false).await.unwrap();
    let (catalog, warehouse) = started(&fixture).await;
    let refused = catalog.signing_pass_as_admin(&warehouse, &table(), &locations, false).await;
    assert!(matches!(refused, Err(CatalogError::WarehouseUnusable(_))), "{refused:?}");
    assert!(!key.exists(), "no second key is created");
}
