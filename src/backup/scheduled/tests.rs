//! Scheduled backups of a database: when they are made, what is kept, and what faults leave behind.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tidewater_core::ids::OrganisationId;

use super::*;
use crate::backup::restore_from;
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::sealing::fresh_key;
use crate::store::{Change, Organisation, Store};

/// Monday, 2026-11-23, 00:00 UTC.
const MONDAY_S: i64 = 1_795_392_000;
const HOUR_S: i64 = 3_600;

/// A catalog whose database is backed up every hour, and the newest two backups are kept.
struct World {
    folder: TempDir,
    store: Arc<dyn Store>,
    clock: Arc<AtomicI64>,
    backups: ScheduledBackups,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("backups")).unwrap();
        let to = folder.path().join("backups");
        Self::with_backups_in(folder, &to, KeySource::Unset).await
    }

    async fn with_backups_in(folder: TempDir, to: &Path, keys: KeySource) -> Self {
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let store = store::open(&data.join("tidewater.db")).unwrap();
        let clock = Arc::new(AtomicI64::new(0));
        let config =
            BackupsConfig { to: to.display().to_string(), interval_s: 3_600, keep: 2, ..BackupsConfig::default() };
        let database = data.join("tidewater.db");
        let backups =
            ScheduledBackups::open(&config, &database, keys, Budget::default(), Clock::Manual(Arc::clone(&clock)));
        let world = Self { store, clock, backups: backups.unwrap().unwrap(), folder };
        world.add("first").await;
        world.set_time(MONDAY_S);
        world
    }

    fn set_time(&self, now_s: i64) {
        self.clock.store(now_s * 1_000, Ordering::SeqCst);
    }

    async fn add(&self, organisation: &str) {
        let organisation = Organisation::new(OrganisationId(fresh_uuid()), organisation, "premium", 0);
        self.store.organisation_create(&organisation, &Change::by_catalog(0)).await.unwrap();
    }

    async fn run(&self) -> Result<u64, String> {
        self.backups.run(&CancellationToken::new()).await.map_err(|error| error.to_string())
    }

    /// Returns when the backups of this catalog began, in hours after Monday.
    async fn hours(&self) -> Vec<i64> {
        let series = Series::read_or_make(&self.backups.data_dir).unwrap();
        let (own, _) = self.backups.own(&series, i64::MAX).await.unwrap();
        own.iter().map(|backup| (backup.name.taken_s - MONDAY_S) / HOUR_S).collect()
    }

    /// Restores the newest backup, and returns its organisations.
    async fn restored(&self, name: &str) -> Vec<String> {
        let folder = self.folder.path().join(name);
        let database = folder.join("tidewater.db");
        restore_from(&self.backups.place, None, &folder, &database, &self.backups.clock).await.unwrap();
        let store = store::open(&database).unwrap();
        store.organisation_list().await.unwrap().into_iter().map(|organisation| organisation.name).collect()
    }

    fn metrics(&self) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        self.backups.measures().register(&mut registry);
        encode(&mut text, &registry).unwrap();
        text
    }
}

fn file_names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn one_backup_is_made_in_each_interval_and_the_newest_are_kept() {
    let world = World::new().await;
    assert_eq!(world.run().await, Ok(1));
    assert_eq!(world.run().await, Ok(0));
    world.set_time(MONDAY_S + HOUR_S - 1);
    assert_eq!(world.run().await, Ok(0), "the interval is not over");
    for hour in [1, 2, 5] {
        world.set_time(MONDAY_S + hour * HOUR_S + 40);
        assert_eq!(world.run().await, Ok(1));
    }
    assert_eq!(world.hours().await, [2, 5]);
    world.add("second").await;
    world.set_time(MONDAY_S + 6 * HOUR_S);
    world.run().await.unwrap();
    assert_eq!(world.restored("restored").await, ["first", "second"]);
    let text = world.metrics();
    let newest = format!("tidewater_backup_last_success_timestamp_seconds {}.0\n", MONDAY_S + 6 * HOUR_S);
    assert!(text.contains(&newest) && text.contains("tidewater_backups 2\n"), "{text}");
}

#[tokio::test]
async fn restarted_server_waits_for_the_next_interval() {
    let world = World::new().await;
    world.run().await.unwrap();
    *world.backups.state.lock() = State::default();
    world.set_time(MONDAY_S + 60);
    assert_eq!(world.run().await, Ok(0));
    assert_eq!(world.hours().await, [0]);
    world.set_time(MONDAY_S + HOUR_S);
    assert_eq!(world.run().await, Ok(1));
}

#[tokio::test]
async fn backup_with_a_time_in_the_future_neither_stops_the_others_nor_takes_their_places() {
    let world = World::new().await;
    let ahead_s = MONDAY_S + 400 * 24 * HOUR_S;
    world.set_time(ahead_s);
    assert_eq!(world.run().await, Ok(1));
    // The clock is set right while the server runs.
    for hour in 0..3 {
        world.set_time(MONDAY_S + hour * HOUR_S);
        assert_eq!(world.run().await, Ok(1), "hour {hour}");
        assert_eq!(world.run().await, Ok(0), "hour {hour}");
    }
    let newest = format!("tidewater_backup_last_success_timestamp_seconds {}.0\n", MONDAY_S + 2 * HOUR_S);
    let text = world.metrics();
    assert!(text.contains(&newest) && text.contains("tidewater_backups 2\n"), "{text}");
    assert_eq!(world.hours().await, [1, 2, 400 * 24]);
    // And a restarted server with files that are no backups.
    let series = Series::read_or_make(&world.backups.data_dir).unwrap();
    let folder = world.backups.place.folder().unwrap();
    for year in [2998, 2999] {
        fs::write(folder.join(format!("tidewater-{year}0102T000000Z-{series}.db.zst")), "garbage").unwrap();
    }
    *world.backups.state.lock() = State::default();
    world.add("second").await;
    world.set_time(MONDAY_S + 3 * HOUR_S);
    assert_eq!(world.run().await, Ok(1));
    assert_eq!(world.hours().await[..2], [2, 3]);
    assert_eq!(file_names(folder).len(), 5, "files with a time in the future are not removed");
    assert!(world.backups.check().await.unwrap().ends_with("3 have a time in the future"));
    assert_eq!(world.restored("restored").await, ["first", "second"]);
}

#[tokio::test]
async fn failure_of_a_clock_that_was_ahead_does_not_put_off_the_next_backup() {
    let world = World::new().await;
    let folder = world.backups.place.folder().unwrap().to_owned();
    fs::remove_dir(&folder).unwrap();
    world.set_time(MONDAY_S + 400 * 24 * HOUR_S);
    world.run().await.unwrap_err();
    fs::create_dir(&folder).unwrap();
    world.set_time(MONDAY_S);
    assert_eq!(world.run().await, Ok(1));
}

#[tokio::test]
async fn restore_without_a_name_refuses_a_folder_that_has_only_backups_of_the_future() {
    let world = World::new().await;
    world.run().await.unwrap();
    let refused = world.backups.place.newest((MONDAY_S - HOUR_S) * 1_000).await.unwrap_err().to_string();
    assert!(refused.contains("time in the future"), "{refused}");
}

#[tokio::test]
async fn two_catalogs_in_one_folder_keep_their_own_backups() {
    let one = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let other = World::with_backups_in(folder, one.backups.place.folder().unwrap(), KeySource::Unset).await;
    for hour in 0..4 {
        for world in [&one, &other] {
            world.set_time(MONDAY_S + hour * HOUR_S);
            assert_eq!(world.run().await, Ok(1));
        }
    }
    assert_eq!((one.hours().await, other.hours().await), (vec![2, 3], vec![2, 3]));
    let refused = one.backups.place.newest(MONDAY_S * 2_000).await.unwrap_err().to_string();
    assert!(refused.contains("several data folders") && refused.matches(".db.zst").count() == 2, "{refused}");
}

#[tokio::test]
async fn half_written_backup_is_not_listed_and_is_removed() {
    let world = World::new().await;
    let series = Series::read_or_make(&world.backups.data_dir).unwrap();
    let staged = Staged::in_folder(&world.backups.staging, &series);
    for left in [&staged.copy, &staged.packed, &staged.check] {
        fs::write(left, "half").unwrap();
    }
    std::mem::forget(staged);
    assert!(world.backups.place.list().await.unwrap().is_empty());
    assert_eq!(world.run().await, Ok(1));
    let names = file_names(world.backups.place.folder().unwrap());
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(BackupName::parse(&names[0]).is_some(), "{names:?}");
}

#[tokio::test]
async fn missing_folder_fails_and_is_tried_again_after_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("unmounted");
    let world = World::with_backups_in(folder, &to, KeySource::Unset).await;
    let error = world.run().await.unwrap_err();
    assert!(error.contains("does not exist") && error.contains("mount its disk"), "{error}");
    fs::create_dir(&to).unwrap();
    world.set_time(MONDAY_S + 60);
    assert_eq!(world.run().await.unwrap_err(), error, "the pause is not over");
    assert!(world.metrics().contains("tidewater_backup_failures_total{step=\"storage\"} 1\n"));
    world.set_time(MONDAY_S + LONGEST_PAUSE_S);
    assert_eq!(world.run().await, Ok(1));
}

#[tokio::test]
async fn backup_that_the_master_key_does_not_fit_fails_verification_and_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    fs::create_dir(&to).unwrap();
    let keys = KeySource::Text(Secret::new(fresh_key().unwrap().expose().clone()));
    let world = World::with_backups_in(folder, &to, keys.clone()).await;
    let fingerprint = keys.read().unwrap().fingerprints().unwrap()[0];
    world.store.master_key_set(fingerprint, false).await.unwrap();
    for hour in 0..3 {
        world.set_time(MONDAY_S + hour * HOUR_S);
        assert_eq!(world.run().await, Ok(1));
    }
    world.store.master_key_set([7; 16], false).await.unwrap();
    world.set_time(MONDAY_S + 3 * HOUR_S);
    let error = world.run().await.unwrap_err();
    assert!(error.contains("the master key") && error.contains("another key"), "{error}");
    assert_eq!(world.hours().await, [1, 2, 3], "nothing is removed");
    assert!(world.metrics().contains("tidewater_backup_failures_total{step=\"verification\"} 1\n"));
}

#[tokio::test]
async fn written_backup_with_other_content_or_damage_is_refused() {
    let world = World::new().await;
    let [copy, packed, check] = ["copy", "packed", "check"].map(|name| world.folder.path().join(name));
    let (contents, _) = copy_and_pack(&world.backups.database, &copy, &packed, &|| false).unwrap();
    assert!(contents.rows.contains(&("organisation", 1)), "{contents:?}");
    check_written(&packed, &check, &contents, &|| false).unwrap();
    fs::remove_file(&check).unwrap();
    let more = Contents { rows: vec![("organisation", 2)], ..contents.clone() };
    let refused = check_written(&packed, &check, &more, &|| false).unwrap_err();
    assert!(matches!(refused, FailedBackup::OtherContent { .. }), "{refused}");
    fs::remove_file(&check).unwrap();
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, &whole[..whole.len() / 2]).unwrap();
    check_written(&packed, &check, &contents, &|| false).unwrap_err();
}

#[tokio::test]
async fn stopped_backup_leaves_nothing_and_is_no_failure() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(world.backups.run(&stop).await.unwrap(), 0);
    assert_eq!(world.run().await, Ok(1), "the next run makes it");
    assert_eq!(file_names(world.backups.place.folder().unwrap()).len(), 1);
    let [copy, packed] = ["copy", "packed"].map(|name| world.folder.path().join(name));
    let stopped = copy_and_pack(&world.backups.database, &copy, &packed, &|| true);
    assert!(matches!(stopped, Err(FailedBackup::Database(BackupError::Stopped) | FailedBackup::File(_))));
}

#[tokio::test]
async fn folder_in_the_data_folder_is_refused() {
    let world = World::new().await;
    let inside = world.folder.path().join("data/backups");
    fs::create_dir(&inside).unwrap();
    let config = BackupsConfig { to: inside.display().to_string(), ..BackupsConfig::default() };
    let database = &world.backups.database;
    let opened = ScheduledBackups::open(&config, database, KeySource::Unset, Budget::default(), Clock::System);
    assert!(opened.err().unwrap().to_string().contains("is in the data folder"));
}

#[tokio::test]
async fn bucket_that_does_not_answer_fails_before_anything_is_copied() {
    let world = World::new().await;
    let profile = world.folder.path().join("s3.toml");
    let text = "type = 's3'\nregion = 'a'\nendpoint = 'http://127.0.0.1:1'\npath-style = true\n[credentials]\nkind = 'aws-key'\n\
                access-key-id = 'key'\nsecret-access-key = 'hush'\n";
    fs::write(&profile, text).unwrap();
    let config = BackupsConfig { to: "s3://b/backups".to_owned(), storage_file: profile, ..BackupsConfig::default() };
    let budget = Budget { retry_timeout: Duration::ZERO, ..Budget::default() };
    let database = &world.backups.database;
    let backups = ScheduledBackups::open(&config, database, KeySource::Unset, budget, Clock::System).unwrap().unwrap();
    let error = backups.run(&CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains("s3://b/backups") && !error.contains("hush"), "{error}");
    let (mut registry, mut text) = (Registry::default(), String::new());
    backups.measures().register(&mut registry);
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("tidewater_backup_failures_total{step=\"storage\"} 1\n"), "{text}");
    let left = file_names(&world.folder.path().join("data"));
    assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
}
