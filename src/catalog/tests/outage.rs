//! Requests during an outage of the store.

use super::*;
use crate::store::faulty::Mode;

fn is_unread<T: std::fmt::Debug>(result: &Result<T, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::Unread(StoreError::Unavailable(_))))
}

#[tokio::test]
async fn change_whose_reads_got_no_answer_was_not_made() {
    let fixture = Fixture::new().await;
    let (catalog, warehouse, change) = (&fixture.catalog, &fixture.warehouse, &Change::by_catalog(0));
    fixture.create_view("v").await.unwrap();
    let before = fixture.metadata_files();
    fixture.store.set(Mode::Down);
    let commit = fixture.commit("a").await;
    assert!(is_unread(&commit), "{commit:?}");
    let transaction = catalog.transaction_commit_as_admin(warehouse, vec![named_commit("a")], change).await;
    assert!(is_unread(&transaction), "{transaction:?}");
    let view = TableIdent::new(namespace(), "v").unwrap();
    let view_commit = catalog.view_commit_as_admin(warehouse, view, views::set("a"), change).await;
    assert!(is_unread(&view_commit), "{view_commit:?}");
    let creation = catalog.table_create_as_admin(warehouse, &namespace(), create_request("new"), change).await;
    assert!(is_unread(&creation), "{creation:?}");
    let other = TableIdent::new(namespace(), "other").unwrap();
    let rename = catalog.table_rename_as_admin(warehouse, &table(), &other, change).await;
    assert!(is_unread(&rename), "{rename:?}");
    let drop = catalog.table_drop_as_admin(warehouse, &table(), false, change).await;
    assert!(is_unread(&drop), "{drop:?}");
    fixture.store.set(Mode::Up);
    assert_eq!(fixture.metadata_files(), before);
    fixture.commit("a").await.unwrap();
}

#[tokio::test]
async fn commit_whose_second_read_got_no_answer_was_not_made() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Overtaken);
    let store = Arc::clone(&fixture.store);
    fixture.store.after_next_change(async move { store.set(Mode::Down) });
    let refused = fixture.commit("a").await;
    assert!(is_unread(&refused), "{refused:?}");
    fixture.store.set(Mode::Up);
    assert!(!fixture.has("a").await);
    assert_eq!(fixture.metadata_files(), before);
}
