//! Backups of a database under writes, and restores of whole and damaged backups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tidewater_core::ids::OrganisationId;

use super::*;
use crate::base::clock::fresh_uuid;
use crate::data_folder::FolderError;
use crate::store::{Change, OpenError, Organisation, Store};

fn go_on(_: CopyProgress) -> Proceed {
    Proceed::Yes
}

fn organisation(name: String) -> Organisation {
    Organisation::new(OrganisationId(fresh_uuid()), name, "premium", 0)
}

/// Creates a folder with a data folder, whose database has `count` organisations. Returns the folder, the store, and the path for
/// a backup.
async fn catalog(count: usize) -> (TempDir, Arc<dyn Store>, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let store = store::open(&data.join("tidewater.db")).unwrap();
    for number in 0..count {
        store.organisation_create(&organisation(format!("org-{number}")), &Change::by_catalog(0)).await.unwrap();
    }
    let file = folder.path().join("backup.db");
    (folder, store, file)
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("data/tidewater.db")
}

fn restore_to(folder: &TempDir, file: &Path, name: &str) -> Result<PathBuf, BackupFileError> {
    let data = folder.path().join(name);
    let database = data.join("tidewater.db");
    restore(file, &data, &database).map(|_| database)
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backup_under_writes_ends_and_has_every_write_acknowledged_before_it() {
    let (folder, store, file) = catalog(1).await;
    // More pages than one step copies, so that writers come in between.
    fill(&database(&folder), 8 << 20);
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, stop, written) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::SeqCst) {
                    store
                        .organisation_create(&organisation(format!("w{writer}-{count}")), &Change::by_catalog(0))
                        .await
                        .unwrap();
                    count += 1;
                    written.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while written.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    let before = store.organisation_list().await.unwrap();
    let (from, to) = (database(&folder), file.clone());
    let (done, steps) = tokio::task::spawn_blocking(move || {
        let other = rusqlite::Connection::open(&from).unwrap();
        other.busy_timeout(Duration::from_secs(60)).unwrap();
        let mut steps = 0;
        let done = create(&from, &to, false, &mut |_| {
            // Another connection commits between any two steps, so that a copy which starts again for that never ends.
            other.execute("INSERT INTO filler VALUES ('x')", []).unwrap();
            steps += 1;
            assert!(steps < 100, "the copy starts again and again");
            Proceed::Yes
        });
        (done.unwrap(), steps)
    })
    .await
    .unwrap();
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(steps >= 2, "{steps}");
    assert_eq!(done.size_bytes, fs::metadata(&file).unwrap().len());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let restored = store::open(&restore_to(&folder, &file, "restored").unwrap()).unwrap();
    let found = restored.organisation_list().await.unwrap();
    let missing: Vec<_> = before.iter().filter(|one| !found.contains(one)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // The backup shows one moment: of each writer, the first writes without a gap.
    for writer in 0..4 {
        let mut numbers: Vec<u64> =
            found.iter().filter_map(|one| one.name.strip_prefix(&format!("w{writer}-"))?.parse().ok()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
    }
}

/// Adds a table of `bytes` bytes to a database.
fn fill(database: &Path, bytes: usize) {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute_batch("CREATE TABLE filler (text TEXT)").unwrap();
    connection.execute("INSERT INTO filler VALUES (?1)", ["x".repeat(bytes)]).unwrap();
}

#[tokio::test]
async fn stopped_backup_leaves_no_file() {
    let (folder, _store, file) = catalog(1).await;
    fill(&database(&folder), 8 << 20);
    let stopped = create(&database(&folder), &file, false, &mut |_| Proceed::No);
    assert!(matches!(stopped, Err(BackupFileError::Database(BackupError::Stopped))), "{stopped:?}");
    assert_eq!(names(folder.path()), ["data"]);
}

#[tokio::test]
async fn existing_file_is_replaced_only_with_overwrite() {
    let (folder, _store, file) = catalog(2).await;
    fs::write(&file, "mine").unwrap();
    let refused = create(&database(&folder), &file, false, &mut go_on).unwrap_err();
    assert!(refused.to_string().contains("--overwrite"), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    create(&database(&folder), &file, true, &mut go_on).unwrap();
    restore_to(&folder, &file, "restored").unwrap();
    assert_eq!(names(folder.path()), ["backup.db", "data", "restored"]);
}

#[tokio::test]
async fn backup_into_the_data_folder_is_refused_by_any_path() {
    let (folder, _store, _) = catalog(1).await;
    let (database, data) = (database(&folder), folder.path().join("data"));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(data.join("below")).unwrap();
    std::os::unix::fs::symlink(&data, elsewhere.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(&database, elsewhere.path().join("file")).unwrap();
    let before = fs::read(&database).unwrap();
    for file in [
        database.clone(),
        data.join("master.key"),
        data.join("below/backup.db"),
        data.join("below/../backup.db"),
        elsewhere.path().join("folder/backup.db"),
        elsewhere.path().join("file"),
    ] {
        let refused = create(&database, &file, true, &mut go_on);
        assert!(matches!(refused, Err(BackupFileError::InDataFolder(_))), "{}: {refused:?}", file.display());
    }
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn backup_of_a_folder_without_catalog_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = create(&folder.path().join("tidewater.db"), &folder.path().join("b"), false, &mut go_on).unwrap_err();
    assert!(refused.to_string().contains("there is no catalog in"), "{refused}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn restore_into_a_folder_with_a_catalog_is_refused() {
    let (folder, store, file) = catalog(1).await;
    create(&database(&folder), &file, false, &mut go_on).unwrap();
    drop(store);
    let refused = restore_to(&folder, &file, "data").unwrap_err();
    assert!(refused.to_string().contains("is not empty (it holds tidewater.db"), "{refused}");
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), "").unwrap();
    assert!(matches!(restore_to(&folder, &file, "other"), Err(BackupFileError::NotEmpty { .. })));
    assert_eq!(names(&other), ["notes.txt"]);
}

#[tokio::test]
async fn restore_into_a_folder_with_a_key_and_a_killed_restore_succeeds() {
    let (folder, _store, file) = catalog(3).await;
    create(&database(&folder), &file, false, &mut go_on).unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("master.key"), "k").unwrap();
    fs::write(other.join(RESTORING), "half of a backup").unwrap();
    let store = store::open(&restore_to(&folder, &file, "other").unwrap()).unwrap();
    assert_eq!(store.organisation_list().await.unwrap().len(), 3);
    assert!(!other.join(RESTORING).exists());
}

#[tokio::test]
async fn restore_while_a_server_has_the_folder_is_refused() {
    let (folder, _store, file) = catalog(1).await;
    create(&database(&folder), &file, false, &mut go_on).unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let _lock = ServerLock::take(&other).unwrap();
    assert!(matches!(restore_to(&folder, &file, "other"), Err(BackupFileError::Folder(FolderError::InUse { .. }))));
}

#[tokio::test]
async fn damaged_backup_is_refused_and_leaves_no_database() {
    let (folder, _store, file) = catalog(50).await;
    create(&database(&folder), &file, false, &mut go_on).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    // The page after the first: the root of a table or an index.
    flipped[4096..8192].fill(0xA5);
    for (name, bytes) in [("cut", &whole[..whole.len() / 2]), ("flipped", &flipped)] {
        fs::write(&file, bytes).unwrap();
        let refused = restore_to(&folder, &file, name).unwrap_err();
        assert!(matches!(refused, BackupFileError::Database(BackupError::Damaged { .. })), "{name}: {refused}");
        assert!(refused.to_string().contains("backup.db is damaged"), "{refused}");
        assert_eq!(names(&folder.path().join(name)), ["server.lock"], "{name}");
    }
    for (name, bytes) in [("text", &b"no database, whatever its name says"[..]), ("empty", b"")] {
        fs::write(&file, bytes).unwrap();
        let refused = restore_to(&folder, &file, name).unwrap_err();
        assert!(matches!(refused, BackupFileError::Database(BackupError::NotACatalog { .. })), "{name}: {refused}");
    }
}

#[tokio::test]
async fn backup_from_a_newer_version_is_refused() {
    let (folder, _store, file) = catalog(1).await;
    create(&database(&folder), &file, false, &mut go_on).unwrap();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
             VALUES (9999, 'later', '2027-01-01T00:00:00Z', '0')",
        )
        .unwrap();
    connection.close().unwrap();
    let refused = restore_to(&folder, &file, "restored").unwrap_err();
    let newer = matches!(
        &refused,
        BackupFileError::Database(BackupError::Open(OpenError::Newer { path, found: 9999, .. })) if *path == file
    );
    assert!(newer, "{refused}");
}

#[tokio::test]
async fn database_of_a_development_version_is_neither_backed_up_nor_restored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(include_str!("../store/sqlite/tests/development.sql")).unwrap();
    connection.close().unwrap();
    let before = fs::read(&file).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = create(&file, &elsewhere.path().join("copy.db"), false, &mut go_on);
    let restored = restore_to(&folder, &file, "restored").map(drop);
    for refused in [copied.map(drop), restored] {
        let refused = refused.unwrap_err();
        let is_development = matches!(
            &refused,
            BackupFileError::Database(BackupError::Open(OpenError::Development { path, found: 11 })) if *path == file
        );
        assert!(is_development, "{refused}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(names(&folder.path().join("restored")), ["server.lock"]);
}

#[tokio::test]
async fn plain_copy_with_a_log_beside_it_is_refused() {
    let (folder, _store, file) = catalog(1).await;
    fs::copy(database(&folder), &file).unwrap();
    fs::write(folder.path().join("backup.db-wal"), "newest changes").unwrap();
    let refused = restore_to(&folder, &file, "restored").unwrap_err();
    assert!(matches!(refused, BackupFileError::HasLog(_)), "{refused}");
}

#[tokio::test]
async fn backup_tells_of_the_master_key_where_nothing_is_sealed() {
    let (folder, store, file) = catalog(1).await;
    let back_up = || create(&database(&folder), &file, true, &mut go_on).unwrap().not_inside;
    assert!(!back_up().has_master_key);
    store.master_key_set([7; 16], false).await.unwrap();
    let told = back_up();
    assert!(told.has_master_key && told.sealed == 0, "{told:?}");
    let data = folder.path().join("restored");
    let restored = restore(&file, &data, &data.join("tidewater.db")).unwrap();
    assert!(restored.not_inside.has_master_key);
    assert!(data_folder::check_database_is_there(&data, &data.join("other.db")).is_err(), "a catalog was there");
}
