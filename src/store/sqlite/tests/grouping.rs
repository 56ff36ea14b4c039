//! Commits that many requests share.

use std::sync::Arc;

use futures_util::future::poll_immediate;

use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::{answers, held, names, opened, organisation, stranger};
use crate::store::sqlite::writer::MOST_WAITING;
use crate::store::sqlite::{SqliteStore, organisations};
use crate::store::{Change, OrganisationStore, Resource, Result, Store, StoreError};

/// Adds an organisation. The call itself queues the request.
fn add(store: &SqliteStore, name: &str) -> impl Future<Output = Result<()>> + Send + use<> {
    let new = organisation(name);
    store.writer.write(move |connection| organisations::organisation_create(connection, &new, &Change::by_catalog(0)))
}

#[tokio::test]
async fn waiting_requests_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let waiting = (0..200).map(|number| add(&store, &format!("o{number:03}"))).collect::<Vec<_>>();
    drop(release);
    gate.await.unwrap().unwrap();
    assert!(answers(waiting).await.iter().all(Result::is_ok));

    let counts = store.write_counts();
    assert_eq!(counts.requests, 201);
    assert_eq!(counts.commits, 2, "the held request, and all others together");
    assert_eq!(names(&store).await.len(), 200);
}

#[tokio::test]
async fn batch_size_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let waiting = (0..600).map(|_| store.writer.write(|_| Ok(()))).collect::<Vec<_>>();
    drop(release);
    gate.await.unwrap().unwrap();
    assert!(answers(waiting).await.iter().all(Result::is_ok));
    let counts = store.write_counts();
    assert_eq!(counts.requests, 601);
    assert_eq!(counts.commits, 1 + 3, "the held request, and 600 in batches of at most 256");
}

#[tokio::test]
async fn failed_request_undoes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let before = add(&store, "before");
    let fails_late = store.writer.write(|connection| {
        organisations::organisation_create(connection, &organisation("half-done"), &Change::by_catalog(0))?;
        organisations::organisation_create(connection, &organisation("before"), &Change::by_catalog(0))
    });
    let after = add(&store, "after");
    drop(release);
    gate.await.unwrap().unwrap();
    before.await.unwrap();
    let failed = fails_late.await;
    assert!(matches!(failed, Err(StoreError::AlreadyExists(Resource::Organisation))), "{failed:?}");
    after.await.unwrap();
    assert_eq!(names(&store).await, ["after", "before"]);
}

#[tokio::test]
async fn panicking_request_undoes_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let before = add(&store, "before");
    let panics = store.writer.write(|connection| -> Result<()> {
        organisations::organisation_create(connection, &organisation("half-done"), &Change::by_catalog(0))?;
        panic!("a fault in a request, on purpose")
    });
    let after = add(&store, "after");
    drop(release);
    gate.await.unwrap().unwrap();
    before.await.unwrap();
    let panicked = panics.await;
    assert!(matches!(panicked, Err(StoreError::NotMade(_))), "{panicked:?}");
    after.await.unwrap();
    add(&store, "later").await.unwrap();
    assert_eq!(names(&store).await, ["after", "before", "later"]);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn request_that_rolls_back_the_transaction_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let before = add(&store, "before");
    // SQLite rolls back by itself on some errors, such as a full disk.
    let ends_it = store.writer.write(|connection| {
        organisations::organisation_create(connection, &organisation("half-done"), &Change::by_catalog(0))?;
        connection.execute_batch("ROLLBACK")?;
        Err::<(), _>(StoreError::PointerMoved)
    });
    let hides_it = store.writer.write(|connection| Ok(connection.execute_batch("ROLLBACK")?));
    let after = add(&store, "after");
    drop(release);
    gate.await.unwrap().unwrap();
    before.await.unwrap();
    let ended = ends_it.await;
    assert!(matches!(ended, Err(StoreError::PointerMoved)), "the request gets its own error: {ended:?}");
    let hidden = hides_it.await;
    assert!(matches!(hidden, Err(StoreError::NotMade(_))), "an undone request is not reported as done: {hidden:?}");
    after.await.unwrap();
    assert_eq!(names(&store).await, ["after", "before"]);
}

#[tokio::test]
async fn failed_commit_fails_all_its_requests() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    add(&store, "there").await.unwrap();
    let (release, gate) = held(&store);
    let first = add(&store, "first");
    // The commit checks a deferred constraint, so it fails.
    let breaks_the_commit = store.writer.write(|connection| {
        connection.pragma_update(None, "defer_foreign_keys", true)?;
        connection.execute_batch("UPDATE organisation SET id = zeroblob(16) WHERE name = 'there'")?;
        let orphan = "INSERT INTO usage (organisation, day, taken, granted) VALUES (randomblob(16), 1, 1, 1)";
        Ok(connection.execute_batch(orphan)?)
    });
    let taken = add(&store, "there");
    drop(release);
    gate.await.unwrap().unwrap();
    for result in [first.await, breaks_the_commit.await, taken.await] {
        assert!(matches!(result, Err(StoreError::NotMade(_))), "{result:?}");
    }
    assert_eq!(names(&store).await, ["there"]);
    add(&store, "next").await.unwrap();
    assert_eq!(names(&store).await, ["next", "there"]);
}

#[tokio::test]
async fn write_of_a_dropped_future_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let new = organisation("left");
    let change = Change::by_catalog(0);
    let mut leaving = store.organisation_create(&new, &change);
    assert!(poll_immediate(&mut leaving).await.is_none());
    drop(leaving);
    drop(release);
    gate.await.unwrap().unwrap();
    store.close().await;
    let found: String =
        stranger(folder.path()).query_row("SELECT name FROM organisation", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "left");
}

#[tokio::test]
async fn close_completes_waiting_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let waiting = (0..50).map(|number| add(&store, &format!("o{number}"))).collect::<Vec<_>>();
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    drop(release);
    gate.await.unwrap().unwrap();
    assert!(answers(waiting).await.iter().all(Result::is_ok));
    closing.await.unwrap();

    let refused = [
        store.ping().await,
        store.organisation_create(&organisation("late"), &Change::by_catalog(0)).await,
        store.organisation_by_name("o1").await.map(drop),
        store.organisation_list().await.map(drop),
    ];
    let is_closed = |error: &StoreError| matches!(error, StoreError::Unavailable(_) | StoreError::NotMade(_));
    assert!(refused.iter().all(|result| result.as_ref().is_err_and(is_closed)), "{refused:?}");
    store.close().await;
    drop(store);
    assert_eq!(names(&opened(&folder)).await.len(), 50);
}

#[tokio::test]
async fn drop_completes_waiting_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let waiting = (0..50).map(|number| add(&store, &format!("o{number}"))).collect::<Vec<_>>();
    drop(store);
    assert!(answers(waiting).await.iter().all(Result::is_ok));
    assert_eq!(names(&opened(&folder)).await.len(), 50);
}

#[tokio::test]
async fn write_beyond_an_organisations_queue_limit_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (release, gate) = held(&store);
    let [one, other] = [1, 2].map(|id| OrganisationId(Uuid::from_u128(id)));
    let write = |owner| store.writer.write_for(owner, |_| Ok(()));
    let waiting = (0..MOST_WAITING.of_one).map(|_| write(Some(one))).collect::<Vec<_>>();
    assert!(matches!(write(Some(one)).await, Err(StoreError::Busy)));
    let more = (MOST_WAITING.of_one..MOST_WAITING.of_all).map(|_| write(Some(other))).collect::<Vec<_>>();
    let third = OrganisationId(Uuid::from_u128(3));
    assert!(matches!(write(Some(third)).await, Err(StoreError::Busy)));
    let of_the_server = write(None);
    drop(release);
    gate.await.unwrap().unwrap();
    of_the_server.await.unwrap();
    assert!(answers(waiting).await.iter().chain(&answers(more).await).all(Result::is_ok));
    write(Some(one)).await.unwrap();
    assert_eq!(store.write_counts().requests, MOST_WAITING.of_all as u64 + 3, "refused requests were not done");
}
