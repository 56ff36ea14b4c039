//! Logs after an unclean stop: intact, truncated, damaged, removed.

use std::fs;
use std::path::PathBuf;

use super::{TempDir, opened, organisation, stranger};
use crate::store::sqlite::{LogFound, SqliteStore};
use crate::store::{Change, OrganisationStore};

const FRAME_BYTES: u64 = 24 + 4096;
const HEADER_BYTES: u64 = 32;

/// Copies a database in use, as it is after a kill: the log is not checkpointed.
async fn killed(changes: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    for number in 0..changes {
        store.organisation_create(&organisation(&format!("o{number}")), &Change::by_catalog(0)).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("catalog.db{suffix}");
        fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let database = copy.path().join("catalog.db");
    (copy, database)
}

fn log_of(folder: &TempDir) -> PathBuf {
    folder.path().join("catalog.db-wal")
}

fn inspected(database: &std::path::Path) -> LogFound {
    SqliteStore::inspect_log(database).unwrap()
}

async fn organisations(folder: &TempDir) -> usize {
    opened(folder).organisation_list().await.unwrap().len()
}

#[tokio::test]
async fn intact_log_has_no_damage() {
    let (folder, database) = killed(20).await;
    let found = inspected(&database);
    assert!(found.commits >= 20 && !found.is_damaged(), "{found:?}");
    assert_eq!(found.size_bytes, HEADER_BYTES + found.frames * FRAME_BYTES);
    assert_eq!(organisations(&folder).await, 20);
    let closed = inspected(&database);
    assert_eq!((closed.frames, closed.is_damaged()), (0, false), "a clean stop leaves nothing to read");
}

#[tokio::test]
async fn truncated_log_is_reported_as_damaged() {
    let (folder, database) = killed(20).await;
    let before = inspected(&database);
    let log = fs::OpenOptions::new().write(true).open(log_of(&folder)).unwrap();
    log.set_len(before.size_bytes - 3 * FRAME_BYTES - 100).unwrap();
    let found = inspected(&database);
    assert!(found.is_damaged() && found.missing_frames >= 4 && found.commits < before.commits, "{found:?}");
    assert!(organisations(&folder).await < 20);
}

#[tokio::test]
async fn removed_log_is_reported_as_damaged() {
    let (folder, database) = killed(20).await;
    let before = inspected(&database);
    fs::remove_file(log_of(&folder)).unwrap();
    let found = inspected(&database);
    assert!(found.is_damaged(), "{found:?}");
    assert_eq!((found.missing_frames, found.size_bytes), (before.frames, 0));
    // Without the index, a removed log cannot be noticed.
    fs::remove_file(folder.path().join("catalog.db-shm")).unwrap();
    assert!(!inspected(&database).is_damaged());
}

#[tokio::test]
async fn damaged_frame_before_later_commits_is_reported() {
    let (folder, database) = killed(20).await;
    let before = inspected(&database);
    // A power cut leaves no index.
    fs::remove_file(folder.path().join("catalog.db-shm")).unwrap();
    let mut bytes = fs::read(log_of(&folder)).unwrap();
    let at = usize::try_from(HEADER_BYTES + (before.frames - 8) * FRAME_BYTES + 1_000).unwrap();
    bytes[at] ^= 0xFF;
    fs::write(log_of(&folder), bytes).unwrap();
    let found = inspected(&database);
    assert!(found.is_damaged() && found.later_commits >= 1, "{found:?}");
    assert!(found.left_out_bytes >= 8 * FRAME_BYTES && found.frames <= before.frames - 8, "{found:?}");
    assert!(organisations(&folder).await < 20);
}

#[tokio::test]
async fn damaged_header_is_reported_with_no_usable_frame() {
    let (folder, database) = killed(20).await;
    let mut bytes = fs::read(log_of(&folder)).unwrap();
    bytes[20] ^= 0xFF;
    fs::write(log_of(&folder), &bytes).unwrap();
    let found = inspected(&database);
    assert!(found.is_damaged() && found.frames == 0, "{found:?}");
    assert_eq!(found.left_out_bytes, bytes.len() as u64);
}

#[tokio::test]
async fn old_frames_after_a_log_restart_are_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    for number in 0..20 {
        store.organisation_create(&organisation(&format!("o{number}")), &Change::by_catalog(0)).await.unwrap();
    }
    // Checkpointed, then written again from its start, over the old frames.
    let other = stranger(folder.path());
    store.organisation_create(&organisation("last of the run"), &Change::by_catalog(0)).await.unwrap();
    other.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    store.organisation_create(&organisation("next run"), &Change::by_catalog(0)).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("catalog.db{suffix}");
        fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let found = inspected(&copy.path().join("catalog.db"));
    assert!(!found.is_damaged() && found.left_out_bytes == 0, "{found:?}");
}

#[tokio::test]
async fn unfinished_commit_is_no_damage() {
    let (folder, database) = killed(20).await;
    let mut bytes = fs::read(log_of(&folder)).unwrap();
    // A half-written frame of this run.
    let frame = usize::try_from(FRAME_BYTES).unwrap();
    let last = bytes[bytes.len() - frame..].to_vec();
    bytes.extend(last);
    fs::write(log_of(&folder), bytes).unwrap();
    let found = inspected(&database);
    assert!(!found.is_damaged() && found.left_out_bytes == FRAME_BYTES, "{found:?}");
    assert_eq!(organisations(&folder).await, 20);
}
