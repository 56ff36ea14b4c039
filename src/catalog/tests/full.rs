//! Changes that a full database refuses. They certainly did not happen, so their documents are removed.

use super::*;

fn is_full<T>(result: &Result<T, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::Store(StoreError::Full(_))))
}

#[tokio::test]
async fn commit_refused_by_a_full_database_leaves_no_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Full);
    let refused = fixture.commit("a").await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(fixture.metadata_files(), before);
    assert!(!fixture.has("a").await);
    fixture.commit("a").await.unwrap();
}

#[tokio::test]
async fn transaction_refused_by_a_full_database_leaves_no_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Full);
    let refused = fixture
        .catalog
        .transaction_commit_as_admin(&fixture.warehouse, vec![named_commit("a")], &Change::by_catalog(0))
        .await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(fixture.metadata_files(), before);
}

#[tokio::test]
async fn view_refused_by_a_full_database_leaves_no_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Full);
    let refused = fixture.create_view("v").await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(fixture.metadata_files(), before);
    fixture.create_view("v").await.unwrap();
}

/// SQLite itself refuses these creations.
#[tokio::test]
async fn creations_beyond_the_size_of_the_database_leave_no_document() {
    let fixture = Fixture::new().await;
    fixture.breaker.leave_room(1).await;
    let before = fixture.metadata_files();
    let (mut created, mut refused) = (0, 0);
    for number in 0..200 {
        match fixture.create(&format!("{number}-{}", "n".repeat(200)), None, None).await {
            Ok(_) => created += 1,
            full => {
                assert!(is_full(&full), "{full:?}");
                refused += 1;
                if refused == 3 {
                    break;
                }
            }
        }
    }
    assert_eq!(refused, 3, "the database was never full");
    assert_eq!(fixture.metadata_files(), before + created);
    fixture.breaker.leave_room(1_000).await;
    fixture.create("room again", None, None).await.unwrap();
}
