//! Removal of metadata files that left a table's log, on a real disk.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidewater_core::commit::{RegisterTable, TableCommit};
use tidewater_core::purge::PurgeTime;

use super::fixture::{Fixture, Table, files, ident, namespace};
use super::{HOUR, HOUR_MS};
use crate::catalog::CatalogError;
use crate::metadata::MetadataError;
use crate::store::{Change, WarehouseOptions};

/// How long files stay after they left the log.
const DELAY_MS: i64 = 60_000;

fn keeping(max: usize) -> Value {
    json!({ "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": max.to_string() })
}

/// Commits updates. Returns the path of the new document.
async fn commit(fixture: &Fixture, name: &str, updates: Value) -> PathBuf {
    let body = json!({ "requirements": [], "updates": updates });
    let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
    let loaded = fixture
        .catalog
        .table_commit_as_admin(&fixture.warehouse, ident(name), commit, &Change::by_catalog(0))
        .await
        .unwrap();
    PathBuf::from(loaded.document.location.strip_prefix("file://").unwrap())
}

async fn commits(fixture: &Fixture, name: &str, count: usize) -> Vec<PathBuf> {
    let mut written = Vec::new();
    for number in 0..count {
        let updates = json!([{ "action": "set-properties", "updates": { "n": number.to_string() } }]);
        written.push(commit(fixture, name, updates).await);
    }
    written
}

async fn register(fixture: &Fixture, name: &str, document: &Path, overwrite: bool) -> Result<(), CatalogError> {
    let body = json!({ "name": name, "metadata-location": format!("file://{}", document.display()),
        "overwrite": overwrite });
    let request = RegisterTable::parse(body.to_string().as_bytes()).unwrap();
    fixture
        .catalog
        .table_register_as_admin(&fixture.warehouse, &namespace(), request, &Change::by_catalog(0))
        .await
        .map(drop)
}

fn documents(table: &Table) -> Vec<String> {
    files(&table.location).into_iter().filter(|file| file.ends_with(".metadata.json")).collect()
}

async fn sweep_late(fixture: &Fixture) {
    fixture.advance(DELAY_MS);
    fixture.maintenance.sweep().await;
}

#[tokio::test]
async fn documents_that_left_the_log_are_removed_after_the_delay_and_no_other_file() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", keeping(2), &[]).await;
    let before = files(&table.location);
    let written = commits(&fixture, "t", 4).await;
    fixture.advance(DELAY_MS - 1);
    fixture.maintenance.sweep().await;
    assert_eq!(documents(&table).len(), 6, "the delay is not over");
    fixture.advance(1);
    fixture.maintenance.sweep().await;
    let left: Vec<bool> = written.iter().map(|document| document.exists()).collect();
    assert_eq!(left, [false, true, true, true]);
    assert_eq!(documents(&table).len(), 3, "the current document and two before it");
    assert_eq!(files(&table.location).len(), before.len() + 1, "all other files stay");
    fixture.catalog.table_load_as_admin(&fixture.warehouse, &ident("t")).await.unwrap();
}

#[tokio::test]
async fn without_the_property_all_documents_stay() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", json!({ "write.metadata.previous-versions-max": "1" }), &[]).await;
    commits(&fixture, "t", 3).await;
    sweep_late(&fixture).await;
    assert_eq!(documents(&table).len(), 5);
}

#[tokio::test]
async fn registered_document_and_those_before_it_stay() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", keeping(1), &[]).await;
    let written = commits(&fixture, "t", 2).await;
    fixture.catalog.table_unregister_as_admin(&fixture.warehouse, ident("t"), &Change::by_catalog(0)).await.unwrap();
    register(&fixture, "again", &written[1], false).await.unwrap();
    let after = commits(&fixture, "again", 3).await;
    sweep_late(&fixture).await;
    assert!(written.iter().all(|document| document.exists()), "another catalog may still use the table");
    assert_eq!(after.iter().map(|document| document.exists()).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(documents(&table).len(), 6);
}

#[tokio::test]
async fn document_from_which_another_table_was_registered_stays() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", keeping(1), &[]).await;
    let written = commits(&fixture, "t", 1).await;
    // The table moves away. Another is registered from its old document and moves too. Then the first table comes back.
    let home = format!("file://{}", table.location.display());
    let set_location = |warehouse_ref: &str| json!([{ "action": "set-location", "location": warehouse_ref }]);
    commit(&fixture, "t", set_location(&format!("{home}-2"))).await;
    register(&fixture, "u", &written[0], false).await.unwrap();
    commit(
        &fixture,
        "u",
        json!([{ "action": "set-location", "location": format!("{home}-3") },
        { "action": "set-properties", "updates": { "write.metadata.previous-versions-max": "100" } }]),
    )
    .await;
    commit(&fixture, "t", set_location(&home)).await;
    commits(&fixture, "t", 3).await;
    sweep_late(&fixture).await;
    assert!(written[0].exists(), "the log of the other table names it");
}

#[tokio::test]
async fn document_that_is_registered_before_it_is_removed_stays() {
    let fixture = Fixture::new(HOUR).await;
    fixture.table("t", keeping(1), &[]).await;
    let written = commits(&fixture, "t", 4).await;
    // The table's pointer goes back to a document that is due for removal.
    register(&fixture, "t", &written[0], true).await.unwrap();
    sweep_late(&fixture).await;
    assert!(written.iter().all(|document| document.exists()));
    fixture.catalog.table_load_as_admin(&fixture.warehouse, &ident("t")).await.unwrap();
}

#[tokio::test]
async fn document_that_is_being_removed_cannot_be_registered() {
    let fixture = Fixture::new(HOUR).await;
    fixture.table("t", keeping(1), &[]).await;
    let written = commits(&fixture, "t", 2).await;
    let now_ms = 1_790_000_000_000 + DELAY_MS;
    let claimed = fixture.store.old_document_claim(now_ms, now_ms + 1, 9, 9).await.unwrap();
    let document = PathBuf::from(claimed.last().unwrap().document.path());
    assert_ne!(document, written[1]);
    let refused = register(&fixture, "t", &document, true).await;
    assert!(matches!(refused, Err(CatalogError::Metadata(MetadataError::Missing(_)))), "{refused:?}");
    let now = fixture.catalog.table_load_as_admin(&fixture.warehouse, &ident("t")).await.unwrap();
    assert!(now.document.location.ends_with(written[1].file_name().unwrap().to_str().unwrap()));
}

#[tokio::test]
async fn old_documents_of_a_dropped_table_stay_also_after_a_restore() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", keeping(1), &[]).await;
    commits(&fixture, "t", 3).await;
    fixture.drop(&table, false).await;
    sweep_late(&fixture).await;
    assert_eq!(documents(&table).len(), 5);
    fixture.catalog.dropped_restore_as_admin(&fixture.warehouse, table.id, None, &Change::by_catalog(0)).await.unwrap();
    fixture.advance(HOUR_MS);
    fixture.maintenance.sweep().await;
    assert_eq!(documents(&table).len(), 5);
}

#[tokio::test]
async fn failed_removal_of_an_old_document_is_retried() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", keeping(1), &[]).await;
    let written = commits(&fixture, "t", 2).await;
    // A folder with content in its place cannot be removed.
    let first = documents(&table)[0].clone();
    let blocked = table.location.join(&first);
    std::fs::remove_file(&blocked).unwrap();
    std::fs::create_dir_all(blocked.join("x")).unwrap();
    sweep_late(&fixture).await;
    assert!(!table.location.join(&documents(&table)[0]).eq(&blocked));
    std::fs::remove_dir_all(&blocked).unwrap();
    std::fs::write(&blocked, "{}").unwrap();
    fixture.advance(29_999);
    fixture.maintenance.sweep().await;
    assert!(blocked.exists());
    fixture.advance(1);
    fixture.maintenance.sweep().await;
    assert!(!blocked.exists() && written[1].exists());
}

/// Writes a document that the table's log does not name: a copy of its first document with `from` replaced by `to`.
fn copy(table: &Table, name: &str, from: &str, to: &str) -> PathBuf {
    let first = std::fs::read_to_string(table.location.join(&documents(table)[0])).unwrap();
    assert!(first.contains(from));
    let path = table.location.join("metadata").join(name);
    std::fs::write(&path, first.replace(from, to)).unwrap();
    path
}

#[tokio::test]
async fn purge_removes_documents_that_left_the_log_and_none_of_another_table() {
    let fixture = Fixture::new(HOUR).await;
    let table = fixture.table("t", json!({ "write.metadata.previous-versions-max": "1" }), &[]).await;
    commits(&fixture, "t", 4).await;
    assert_eq!(documents(&table).len(), 6);
    let loaded = fixture.catalog.table_load_as_admin(&fixture.warehouse, &ident("t")).await.unwrap();
    let uuid = loaded.document.metadata.uuid().unwrap().to_owned();
    let home = loaded.document.metadata.location().to_owned();
    let other = "0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3e";
    let left = copy(&table, &format!("00009-{other}.metadata.json"), "\"t", "\"t");
    let stays = [
        copy(&table, &format!("00001-{other}.metadata.json"), &uuid, other),
        copy(&table, &format!("00002-{other}.metadata.json"), &home, &format!("{home}-2")),
        copy(&table, "copy.metadata.json", &uuid, &uuid),
        copy(&table, &format!("00003-{other}.metadata.json"), "{", ""),
    ];
    fixture.drop(&table, true).await;
    fixture.advance(HOUR_MS);
    fixture.maintenance.sweep().await;
    assert_eq!(fixture.all_dropped().await, 0);
    assert!(!left.exists() && stays.iter().all(|file| file.exists()), "{:?}", documents(&table));
    assert_eq!(documents(&table).len(), stays.len());
}

#[tokio::test]
async fn warehouse_chooses_when_a_purge_removes_files() {
    let fixture = Fixture::new(HOUR).await;
    let at_once = WarehouseOptions { purge: PurgeTime::AtOnce, ..WarehouseOptions::default() };
    let warehouse_ref = fixture.warehouse.warehouse_ref;
    fixture
        .store
        .warehouse_set_options(warehouse_ref.organisation, "main", &at_once.into(), &Change::by_catalog(0))
        .await
        .unwrap();
    let (purged, dropped) = (fixture.table("p", json!({}), &[]).await, fixture.table("d", json!({}), &[]).await);
    // The list of warehouses is cached for two seconds.
    fixture.advance(2_000);
    let warehouse = fixture.catalog.warehouse(warehouse_ref.organisation, None).await.unwrap();
    fixture.catalog.table_drop_as_admin(&warehouse, &purged.ident, true, &Change::by_catalog(0)).await.unwrap();
    fixture.catalog.table_drop_as_admin(&warehouse, &dropped.ident, false, &Change::by_catalog(0)).await.unwrap();
    let refused = fixture.catalog.dropped_restore_as_admin(&warehouse, purged.id, None, &Change::by_catalog(0)).await;
    assert!(matches!(refused, Err(CatalogError::NotRestorable(..))), "{refused:?}");
    fixture.maintenance.sweep().await;
    assert_eq!(documents(&purged).len(), 0);
    fixture.catalog.dropped_restore_as_admin(&warehouse, dropped.id, None, &Change::by_catalog(0)).await.unwrap();
}
