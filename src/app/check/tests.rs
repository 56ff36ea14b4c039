//! The check of a catalog that is sound, new, in use, or broken.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tidewater_core::ids::{OrganisationId, WarehouseId};

use super::*;
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::sealing::fresh_key;
use crate::store::{self, Change, Organisation, Store, Warehouse, WarehouseOptions, WarehouseStorage};

/// Returns a folder with a catalog that has a warehouse on the local disk, its store, and its settings.
async fn catalog() -> (TempDir, Arc<dyn Store>, Config) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::create_dir(folder.path().join("lake")).unwrap();
    let store = store::open(&data.join("tidewater.db")).unwrap();
    let organisation = Organisation::new(OrganisationId(fresh_uuid()), "acme", "premium", 0);
    store.organisation_create(&organisation, &Change::by_catalog(0)).await.unwrap();
    let warehouse = Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation: organisation.id,
        name: "lake".to_owned(),
        root: format!("file://{}/lake", folder.path().display()),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: true,
        created_ms: 0,
    };
    store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
    let config = settings(&data);
    (folder, store, config)
}

fn settings(data: &Path) -> Config {
    Config { data_dir: data.to_owned(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

/// Returns the results with this outcome, as `check: detail`.
fn with_outcome(results: &[CheckResult], outcome: CheckOutcome) -> Vec<String> {
    let wanted = results.iter().filter(|result| result.outcome == outcome);
    wanted.map(|result| format!("{}: {}", result.check, result.detail)).collect()
}

#[tokio::test]
async fn sound_catalog_in_use_has_no_failure_and_stays_as_it_is() {
    let (folder, store, config) = catalog().await;
    let results = check(config).await;
    let none: Vec<String> = Vec::new();
    assert_eq!(with_outcome(&results, CheckOutcome::Failed), none);
    let ok = with_outcome(&results, CheckOutcome::Ok).join("\n");
    for found in
        ["data folder: can be written", "up to date; 1 organisations", "warehouse: its storage works: write an object"]
    {
        assert!(ok.contains(found), "{ok}");
    }
    assert_eq!(fs::read_dir(folder.path().join("lake")).unwrap().count(), 0, "test objects are removed");
    assert!(!folder.path().join("data/server.lock").exists());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn missing_data_folder_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let results = check(settings(&data)).await;
    let warnings = with_outcome(&results, CheckOutcome::Warning).join("\n");
    assert!(warnings.contains("data folder: does not exist: the first start creates it"), "{warnings}");
    assert!(!folder.path().join("new").exists());
}

#[tokio::test]
async fn each_fault_is_reported_with_its_remedy() {
    let (folder, store, mut config) = catalog().await;
    let known =
        |key: &Secret<String>| crate::sealing::KeySource::Text(key.clone()).read().unwrap().fingerprints().unwrap()[0];
    store.master_key_set(known(&fresh_key().unwrap()), false).await.unwrap();
    config.storage.master_key = fresh_key().unwrap();
    config.store.password_file = folder.path().join("none");
    config.backups.to = folder.path().join("unmounted").display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = taken.local_addr().unwrap().to_string().parse().unwrap();
    fs::remove_dir(folder.path().join("lake")).unwrap();
    fs::write(folder.path().join("lake"), "a file").unwrap();
    let failed = with_outcome(&check(config).await, CheckOutcome::Failed);
    let all = failed.join("\n");
    for fault in [
        "master key: is the key of another catalog",
        "file: cannot be read: No such file",
        "backups: the folder for backups",
        "listen: is taken by",
        "warehouse: The storage test failed",
    ] {
        assert!(all.contains(fault), "{fault}\n{all}");
    }
    assert_eq!(failed.len(), 5, "{all}");
}

#[tokio::test]
async fn missing_master_key_of_a_catalog_that_knows_one_fails() {
    let (_folder, store, config) = catalog().await;
    store.master_key_set([7; 16], false).await.unwrap();
    let failed = with_outcome(&check(config).await, CheckOutcome::Failed);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("master key: is missing: restore"), "{failed:?}");
}

#[tokio::test]
async fn file_that_is_no_database_fails() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tidewater.db"), "this is text, and long enough to be read as a header of SQLite's")
        .unwrap();
    let failed = with_outcome(&check(settings(folder.path())).await, CheckOutcome::Failed).join("\n");
    assert!(failed.contains("database: cannot open"), "{failed}");
}

#[tokio::test]
async fn audit_targets_and_tls_files_that_cannot_be_used_fail_and_stay_unchanged() {
    let (folder, _store, mut config) = catalog().await;
    let text = folder.path().join("text");
    fs::write(&text, "no certificate, no audit record").unwrap();
    config.audit.file.path.clone_from(&text);
    config.audit.syslog.address = format!("unix:{}", folder.path().join("none").display()).parse().unwrap();
    (config.tls.certificate_file, config.tls.key_file) = (text.clone(), text.clone());
    let failed = with_outcome(&check(config.clone()).await, CheckOutcome::Failed);
    let all = failed.join("\n");
    for fault in ["audit: has lines that are not audit records", "audit: unix:", "TLS: `tls.certificate_file`"] {
        assert!(all.contains(fault), "{fault}\n{all}");
    }
    assert_eq!(failed.len(), 3, "{all}");
    assert_eq!(fs::read_to_string(&text).unwrap(), "no certificate, no audit record");
    let receiver = std::os::unix::net::UnixDatagram::bind(folder.path().join("log")).unwrap();
    receiver.set_nonblocking(true).unwrap();
    config.audit.syslog.address = format!("unix:{}", folder.path().join("log").display()).parse().unwrap();
    config.audit.file.path = folder.path().join("new.jsonl");
    config.tls = crate::config::TlsConfig::default();
    let results = check(config).await;
    assert_eq!(with_outcome(&results, CheckOutcome::Failed), Vec::<String>::new());
    assert!(!folder.path().join("new.jsonl").exists());
    assert!(receiver.recv(&mut [0; 64]).is_err(), "no message is sent");
}
