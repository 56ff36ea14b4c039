//! Dropped tables with real files, and a clock that the tests move.

mod fixture;
mod old_documents;
mod organisations;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;
use crate::catalog::CatalogError;
use crate::store::{Change, DroppedState};
use fixture::{Fixture, files, manifest, manifest_list, touch, unreferenced};

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn purge_removes_exactly_the_tables_files_after_the_restore_time() {
    let fixture = Fixture::new(HOUR).await;
    let (table, neighbour) = (fixture.table("t", json!({}), &[]).await, fixture.table("n", json!({}), &[]).await);
    let (all, others) = (files(&table.location), files(&neighbour.location));
    assert_eq!(all.len(), 12, "{all:?}");
    fixture.drop(&table, true).await;
    fixture.advance(HOUR_MS - 1);
    fixture.maintenance.sweep().await;
    assert_eq!(files(&table.location), all);
    fixture.catalog.dropped_restore_as_admin(&fixture.warehouse, table.id, None, &Change::by_catalog(0)).await.unwrap();
    fixture.advance(HOUR_MS);
    fixture.maintenance.sweep().await;
    assert_eq!(files(&table.location), all, "it was restored");

    fixture.drop(&table, true).await;
    fixture.advance(HOUR_MS);
    let late =
        fixture.catalog.dropped_restore_as_admin(&fixture.warehouse, table.id, None, &Change::by_catalog(0)).await;
    assert!(matches!(late, Err(CatalogError::NotRestorable(..))), "{late:?}");
    fixture.maintenance.sweep().await;
    assert_eq!(files(&table.location), unreferenced());
    assert!(!table.location.join("data").exists(), "an empty folder is left");
    assert_eq!(files(&neighbour.location), others);
    assert_eq!(fixture.all_dropped().await, 0);
}

#[tokio::test]
async fn files_are_removed_at_once_without_retention_and_never_without_purge() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let (purged, dropped) = (fixture.table("p", json!({}), &[]).await, fixture.table("d", json!({}), &[]).await);
    let all = files(&dropped.location);
    fixture.drop(&purged, true).await;
    fixture.drop(&dropped, false).await;
    assert_eq!(fixture.all_dropped().await, 1);
    fixture.maintenance.sweep().await;
    assert_eq!((files(&purged.location), files(&dropped.location)), (unreferenced(), all.clone()));

    let kept = Fixture::new(HOUR).await;
    let dropped = kept.table("d", json!({}), &[]).await;
    kept.drop(&dropped, false).await;
    kept.advance(HOUR_MS - 1);
    kept.maintenance.sweep().await;
    assert_eq!(kept.all_dropped().await, 1);
    kept.advance(1);
    kept.maintenance.sweep().await;
    assert_eq!(kept.all_dropped().await, 0);
    assert_eq!(files(&dropped.location).len(), all.len());
}

#[tokio::test]
async fn purge_of_a_table_with_gc_disabled_removes_nothing() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({ "gc.enabled": "false" }), &[]).await;
    let all = files(&table.location);
    fixture.drop(&table, true).await;
    fixture.maintenance.sweep().await;
    assert_eq!(files(&table.location), all);
    assert_eq!(fixture.all_dropped().await, 0);
}

#[tokio::test]
async fn purge_keeps_named_files_outside_of_the_tables_own_locations() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let neighbour = fixture.table("n", json!({}), &[]).await;
    let others = files(&neighbour.location);
    let secret = touch(&fixture.folder.path().join("etc/passwd"));
    let prefix = touch(&fixture.root().join("x"));
    let theirs = neighbour.location.join("data/2.parquet").to_str().unwrap().to_owned();
    let named = [
        secret.clone(),
        prefix.clone(),
        format!("file://{theirs}"),
        format!("file:{}", neighbour.location.join("metadata/l1.avro").display()),
        "s3://bucket/other/x.parquet".to_owned(),
        String::new(),
    ];
    let table = fixture.table("t", json!({}), &named).await;
    // Now that the table's folder is known: names that lead out of it, with dots and through links.
    let inside = |name: &str| format!("{}/{name}", table.location.display());
    std::os::unix::fs::symlink(&neighbour.location, inside("data/link")).unwrap();
    let more = [
        inside("../../etc/passwd"),
        inside("data/%2e%2e/%2e%2e/x"),
        inside("data//2.parquet"),
        inside("data/link/data/2.parquet"),
        inside("data/link/metadata/l1.avro"),
        inside("data/2.parquet"),
    ];
    manifest(&table.location.join("metadata/m2.avro"), &more);
    // The purge must not read a manifest or a list of another table either.
    let lists = [inside("metadata/m1.avro"), inside("metadata/m2.avro"), inside("data/link/metadata/m1.avro")];
    manifest_list(&table.location.join("metadata/l2.avro"), &lists);
    fixture.drop(&table, true).await;
    fixture.maintenance.sweep().await;
    assert_eq!(files(&neighbour.location), others);
    assert!(Path::new(&secret).exists() && Path::new(&prefix).exists());
    let left = files(&table.location);
    assert!(!left.contains("data/2.parquet") && left.contains("data/link"), "{left:?}");
    assert_eq!(fixture.all_dropped().await, 0);
}

#[tokio::test]
async fn unreadable_manifest_blocks_the_purge_before_the_first_removal() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    let broken = table.location.join("metadata/m2.avro");
    let good = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &good[..good.len() - 10]).unwrap();
    let all = files(&table.location);
    fixture.drop(&table, true).await;
    fixture.maintenance.sweep().await;
    let job = fixture.dropped(&table).await.unwrap();
    assert_eq!((job.state, job.due_ms), (DroppedState::Blocked, None));
    assert!(job.message.unwrap().contains("m2.avro"));
    assert_eq!(files(&table.location), all);
    fixture.advance(100 * HOUR_MS);
    fixture.maintenance.sweep().await;
    assert_eq!(files(&table.location), all);

    std::fs::write(&broken, "{}").unwrap();
    fixture.catalog.dropped_remove_as_admin(&fixture.warehouse, table.id, None, &Change::by_catalog(0)).await.unwrap();
    fixture.maintenance.sweep().await;
    assert_eq!(fixture.dropped(&table).await.unwrap().state, DroppedState::Blocked);
    std::fs::write(&broken, good).unwrap();
    fixture.catalog.dropped_remove_as_admin(&fixture.warehouse, table.id, None, &Change::by_catalog(0)).await.unwrap();
    fixture.maintenance.sweep().await;
    assert_eq!((files(&table.location), fixture.all_dropped().await), (unreferenced(), 0));
}

/// Reading the whole manifest would take 64 GiB.
#[tokio::test]
async fn manifest_over_the_limit_is_not_read_and_blocks_the_purge() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    let huge = std::fs::File::create(table.location.join("metadata/m2.avro")).unwrap();
    huge.set_len(64 << 30).unwrap();
    let all = files(&table.location);
    fixture.drop(&table, true).await;
    fixture.maintenance.sweep().await;
    let job = fixture.dropped(&table).await.unwrap();
    assert_eq!(job.state, DroppedState::Blocked);
    let message = job.message.unwrap();
    assert!(message.contains("m2.avro") && message.contains("'limits.document_bytes'"), "{message}");
    assert_eq!(files(&table.location), all);
}

#[tokio::test]
async fn missing_document_blocks_the_purge_and_removes_nothing() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    fixture.drop(&table, true).await;
    let job = fixture.dropped(&table).await.unwrap();
    std::fs::remove_file(job.metadata_location.strip_prefix("file://").unwrap()).unwrap();
    let left = files(&table.location);
    fixture.maintenance.sweep().await;
    let job = fixture.dropped(&table).await.unwrap();
    assert_eq!((job.state, files(&table.location)), (DroppedState::Blocked, left));
    // An administrator can keep the files.
    fixture
        .catalog
        .dropped_remove_as_admin(&fixture.warehouse, table.id, Some(false), &Change::by_catalog(0))
        .await
        .unwrap();
    assert_eq!(fixture.all_dropped().await, 0);
}

#[tokio::test]
async fn claimed_purge_that_is_stopped_removes_nothing_and_forgets_the_table() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    let all = files(&table.location);
    fixture.drop(&table, true).await;
    let [job] = fixture.maintenance.claim(9).await.unwrap().try_into().unwrap();
    let is_gone = fixture
        .catalog
        .dropped_remove_as_admin(&fixture.warehouse, table.id, Some(false), &Change::by_catalog(0))
        .await
        .unwrap();
    assert!(!is_gone, "a server has claimed the purge");
    fixture.maintenance.run_purge(job, &CancellationToken::new()).await;
    assert_eq!((files(&table.location), fixture.all_dropped().await), (all, 0));
}

#[tokio::test]
async fn purge_ends_wherever_an_earlier_attempt_was_cut_off() {
    let order = [
        &["data/2.parquet"][..],
        &["data/a b%20c/1.parquet", "data/3.puffin", "metadata/s.puffin"],
        &["metadata/m1.avro"],
        &["metadata/m2.avro", "metadata/l1.avro"],
        &["metadata/l2.avro", "metadata/p.parquet"],
    ];
    for cut in 0..=order.len() {
        let fixture = Fixture::new(Duration::ZERO).await;
        let table = fixture.table("t", json!({}), &[]).await;
        fixture.drop(&table, true).await;
        // Somebody begins, removes some of it, and is never heard of again.
        assert_eq!(fixture.maintenance.claim(9).await.unwrap().len(), 1);
        for name in order[..cut].concat() {
            std::fs::remove_file(table.location.join(name)).unwrap();
        }
        fixture.advance(LEASE_MS - 1);
        fixture.maintenance.sweep().await;
        assert_eq!(fixture.all_dropped().await, 1, "the lease is still valid");
        fixture.advance(1);
        fixture.maintenance.sweep().await;
        assert_eq!((files(&table.location), fixture.all_dropped().await), (unreferenced(), 0), "{cut}");
    }
}

#[tokio::test]
async fn purge_ends_if_only_its_last_step_was_not_recorded() {
    for document_is_gone in [false, true] {
        let fixture = Fixture::new(Duration::ZERO).await;
        let table = fixture.table("t", json!({}), &[]).await;
        fixture.drop(&table, true).await;
        let [job] = fixture.maintenance.claim(9).await.unwrap().try_into().unwrap();
        let finishing = Progress::Continue { until_ms: fixture.now_ms.load(Ordering::SeqCst), finishing: true };
        assert!(fixture.maintenance.note(&job, &finishing).await.unwrap());
        if document_is_gone {
            std::fs::remove_file(job.metadata_location.strip_prefix("file://").unwrap()).unwrap();
        }
        fixture.maintenance.sweep().await;
        assert!(!Path::new(job.metadata_location.strip_prefix("file://").unwrap()).exists());
        assert_eq!(fixture.all_dropped().await, 0);
    }
}

#[tokio::test]
async fn purge_that_lost_its_lease_records_nothing_and_keeps_the_document() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    fixture.drop(&table, true).await;
    let [late] = fixture.maintenance.claim(9).await.unwrap().try_into().unwrap();
    fixture.advance(LEASE_MS);
    let [present] = fixture.maintenance.claim(9).await.unwrap().try_into().unwrap();
    fixture.maintenance.run_purge(late.clone(), &CancellationToken::new()).await;
    assert_eq!(fixture.dropped(&table).await, Some(present.clone()));
    assert!(Path::new(present.metadata_location.strip_prefix("file://").unwrap()).exists());
    fixture.maintenance.run_purge(present, &CancellationToken::new()).await;
    assert_eq!((files(&table.location), fixture.all_dropped().await), (unreferenced(), 0));
}

#[tokio::test]
async fn failed_removal_is_retried_with_growing_delays() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    // A folder with content in place of a file cannot be removed.
    let stubborn = table.location.join("data/2.parquet");
    std::fs::remove_file(&stubborn).unwrap();
    touch(&stubborn.join("inside"));
    fixture.drop(&table, true).await;
    for after_ms in [30_000, 60_000, 120_000] {
        fixture.maintenance.sweep().await;
        let job = fixture.dropped(&table).await.unwrap();
        assert_eq!(job.due_ms, Some(fixture.now_ms.load(Ordering::SeqCst) + after_ms));
        assert!(job.message.unwrap().contains("1 files could not be removed"));
        assert!(table.location.join("metadata/m1.avro").exists(), "a manifest stays until its files are removed");
        assert!(!table.location.join("data/3.puffin").exists(), "the other files are removed");
        fixture.advance(after_ms);
    }
    std::fs::remove_dir_all(&stubborn).unwrap();
    fixture.maintenance.sweep().await;
    assert_eq!((files(&table.location), fixture.all_dropped().await), (unreferenced(), 0));
}

#[tokio::test]
async fn files_at_a_second_location_are_removed_only_if_no_other_table_has_it() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let data = |name: &str| fixture.root().join(name).to_str().unwrap().to_owned();
    let table = async |name: &str, path: &str| {
        let file = touch(&PathBuf::from(path).join(format!("{name}.parquet")));
        let properties = json!({ "write.data.path": format!("file://{path}") });
        let table = fixture.table(name, properties, std::slice::from_ref(&file)).await;
        // The store prevents overlaps: only a damaged database has tables that share a location.
        fixture.breaker.remove_locations().await;
        (table, file)
    };
    let (alone, alone_file) = table("alone", &data("alone")).await;
    let (first, first_file) = table("first", &data("shared")).await;
    let (second, second_file) = table("second", &data("shared/below")).await;
    let neighbour = fixture.table("n", json!({}), &[]).await;
    fixture.breaker.remove_locations().await;
    let (thief, _) = table("thief", neighbour.location.to_str().unwrap()).await;
    fixture.breaker.restore_locations().await;
    for dropped in [&alone, &first, &thief] {
        fixture.drop(dropped, true).await;
    }
    fixture.maintenance.sweep().await;
    assert!(!Path::new(&alone_file).exists());
    assert!(Path::new(&first_file).exists() && Path::new(&second_file).exists());
    assert!(
        neighbour.location.join("thief.parquet").exists(),
        "files in another table's location belong to that table"
    );
    assert_eq!(fixture.all_dropped().await, 0);
    for dropped in [&alone, &first, &thief] {
        assert_eq!(files(&dropped.location), unreferenced());
    }
    fixture.drop(&second, true).await;
    fixture.maintenance.sweep().await;
    assert!(!Path::new(&second_file).exists(), "no other table has the location now");
}

#[tokio::test]
async fn background_task_purges_due_tables_and_releases_its_lease_on_stop() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    fixture.drop(&table, true).await;
    let maintenance = &fixture.maintenance;
    let stopped = CancellationToken::new();
    stopped.cancel();
    // A purge that must stop before it begins releases its lease at once.
    let [job] = maintenance.claim(9).await.unwrap().try_into().unwrap();
    maintenance.run_purge(job, &stopped).await;
    let job = fixture.dropped(&table).await;
    assert!(job.is_none_or(|job| job.due_ms == Some(fixture.now_ms.load(Ordering::SeqCst)) && job.message.is_none()));

    let runner = fixture.start();
    while fixture.all_dropped().await > 0 {
        tokio::task::yield_now().await;
    }
    runner.stop(Duration::from_secs(60)).await.unwrap();
    assert_eq!(files(&table.location), unreferenced());
}

#[tokio::test]
async fn wait_for_a_purge_ends_with_the_purge_or_at_its_limit() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let (table, broken) = (fixture.table("t", json!({}), &[]).await, fixture.table("b", json!({}), &[]).await);
    std::fs::write(broken.location.join("metadata/m2.avro"), "x").unwrap();
    let (warehouse_ref, minute) = (fixture.warehouse.warehouse_ref, Duration::from_secs(60));
    let maintenance = &fixture.maintenance;
    fixture.drop(&table, true).await;
    maintenance.wake_and_wait(warehouse_ref, table.id, Duration::from_millis(1)).await;
    assert_eq!(fixture.all_dropped().await, 1, "no background work runs");
    let runner = fixture.start();
    let wait = async {
        for one in [&table, &broken] {
            if one.id == broken.id {
                fixture.drop(one, true).await;
            }
            maintenance.wake_and_wait(warehouse_ref, one.id, minute).await;
        }
    };
    tokio::time::timeout(minute, wait).await.expect("both waits end before the limit");
    runner.stop(minute).await.unwrap();
    assert_eq!(files(&table.location), unreferenced());
    assert_eq!(fixture.dropped(&broken).await.unwrap().state, DroppedState::Blocked);
}

#[tokio::test]
async fn running_purge_that_is_stopped_removes_no_more_files() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    fixture.drop(&table, true).await;
    let maintenance = &fixture.maintenance;
    let [job] = maintenance.claim(9).await.unwrap().try_into().unwrap();
    let (never, id, warehouse_ref) = (CancellationToken::new(), job.id, job.warehouse_ref);
    let mut purge = Box::pin(maintenance.run_purge(job, &never));
    // It runs from its first poll on.
    assert!(futures_util::poll!(&mut purge).is_pending());
    let change = Change::by_catalog(fixture.now_ms.load(Ordering::SeqCst));
    assert!(!fixture.store.dropped_remove(warehouse_ref, id, Some(false), &change).await.unwrap());
    tokio::join!(maintenance.stop_purge(id), purge);
    assert_eq!(fixture.all_dropped().await, 0);
    let left = files(&table.location);
    assert_ne!(left, unreferenced());
    maintenance.sweep().await;
    assert_eq!(files(&table.location), left);
    maintenance.stop_purge(id).await;
}

#[tokio::test]
async fn purge_that_was_cut_off_keeps_nobody_waiting() {
    let fixture = Fixture::new(Duration::ZERO).await;
    let table = fixture.table("t", json!({}), &[]).await;
    fixture.drop(&table, true).await;
    let maintenance = &fixture.maintenance;
    let [job] = maintenance.claim(9).await.unwrap().try_into().unwrap();
    let (never, id) = (CancellationToken::new(), job.id);
    let mut purge = Box::pin(maintenance.run_purge(job, &never));
    assert!(futures_util::poll!(&mut purge).is_pending());
    // As the runner does after a panic.
    drop(purge);
    tokio::time::timeout(Duration::from_secs(60), maintenance.stop_purge(id)).await.expect("it has ended");
}
