//! Faults of the disk and the file: full, read-only, damaged.

use std::sync::Arc;

use super::{answers, held, names, opened, organisation, stranger};
use crate::store::sqlite::organisations;
use crate::store::{Change, KeyStore, OrganisationStore, Store, StoreError};

#[tokio::test]
async fn writes_on_a_full_disk_fail_and_later_succeed_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    store.organisation_create(&organisation("first"), &Change::by_catalog(0)).await.unwrap();
    store.leave_room(2).await;

    let mut kept = vec!["first".to_owned()];
    let error = loop {
        let new = organisation(&format!("{:04}-{}", kept.len(), "x".repeat(1_000)));
        match store.organisation_create(&new, &Change::by_catalog(0)).await {
            Ok(()) => kept.push(new.name),
            Err(error) => break error,
        }
        assert!(kept.len() < 100, "the disk was never full");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert!(error.to_string().contains("full"), "the message names the cause: {error}");
    kept.sort();
    assert_eq!(names(&store).await, kept);
    store
        .organisation_set_tier(
            store.organisation_by_name("first").await.unwrap().unwrap().id,
            "free",
            &Change::by_catalog(0),
        )
        .await
        .unwrap();

    store.leave_room(1_000).await;
    store.organisation_create(&organisation("room again"), &Change::by_catalog(0)).await.unwrap();
    kept.push("room again".to_owned());
    kept.sort();
    assert_eq!(names(&store).await, kept);
    drop(store);
    assert_eq!(names(&opened(&folder)).await, kept);
}

#[tokio::test]
async fn request_too_large_for_the_disk_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    store.leave_room(5).await;
    let (release, gate) = held(&store);
    let waiting = (0..9)
        .map(|number| {
            let mut new = organisation(&format!("o{number}"));
            if number == 4 {
                new.tier = "x".repeat(1 << 20);
            }
            store
                .writer
                .write(move |connection| organisations::organisation_create(connection, &new, &Change::by_catalog(0)))
        })
        .collect::<Vec<_>>();
    drop(release);
    gate.await.unwrap().unwrap();
    let results = answers(waiting).await;
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), number != 4, "{number}: {result:?}");
    }
    assert!(matches!(results[4], Err(StoreError::Full(_))), "{:?}", results[4]);
    assert_eq!(names(&store).await.len(), 8);
}

#[tokio::test]
async fn read_only_file_refuses_writes_and_serves_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    store.organisation_create(&organisation("there"), &Change::by_catalog(0)).await.unwrap();
    let refused = store
        .writer
        .write(|connection| {
            connection.pragma_update(None, "query_only", true)?;
            let refused = organisations::organisation_create(connection, &organisation("new"), &Change::by_catalog(0));
            connection.pragma_update(None, "query_only", false)?;
            refused
        })
        .await;
    assert!(matches!(refused, Err(StoreError::NotMade(_))), "{refused:?}");
    assert_eq!(names(&store).await, ["there"]);
    store.organisation_create(&organisation("new"), &Change::by_catalog(0)).await.unwrap();
    assert_eq!(names(&store).await, ["new", "there"]);
}

#[tokio::test]
async fn unknown_value_in_a_row_is_reported_as_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let acme = organisation("acme");
    store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
    let insert =
        "INSERT INTO api_key SELECT id, zeroblob(16), 'key', 'emperor', zeroblob(32), 0, NULL, NULL, NULL, 0, NULL, id, 0
                  FROM organisation";
    stranger(folder.path()).execute_batch(insert).unwrap();
    let Err(StoreError::Corrupt(text)) = store.key_list(acme.id).await else { panic!("it was read") };
    assert!(text.contains("api_key.role") && text.contains("emperor"), "{text}");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn damaged_file_is_reported_as_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    for number in 0..400 {
        store
            .organisation_create(&organisation(&format!("{number}-{}", "x".repeat(500))), &Change::by_catalog(0))
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    let path = folder.path().join("catalog.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let pages_with_schema = 120 * 4096;
    bytes[pages_with_schema..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let store = opened(&folder);
    let listed = store.organisation_list().await;
    assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{listed:?}");
}
