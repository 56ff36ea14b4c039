//! Scheduled backups: copies the database, writes the copy to a folder or bucket, reads it back, and removes older ones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::files::{BackupFileError, beside, cannot, check_outside, new_private};
use super::measures::{BackupMeasures, Step};
use super::names::{self, BackupName, Retention};
use super::packing;
use super::place::{BackupPlace, BackupPlaceError, ListedBackup, split_at};
use super::series::Series;
use crate::background::{Task, TaskError};
use crate::base::clock::Clock;
use crate::base::due;
use crate::config::BackupsConfig;
use crate::sealing::KeySource;
use crate::storage::Budget;
use crate::store::{self, BackupError, Contents, Proceed};

/// How often the task looks whether a backup is due, at most and at least. Between them, it is a tenth of the interval.
const LOOK_INTERVAL_S: (u64, u64) = (1, 60);

/// The longest pause after a failure before the next attempt, in seconds. It is shorter for short intervals.
const LONGEST_PAUSE_S: i64 = 900;

/// The lowest priority of a thread: a backup takes processor time that nothing else needs.
const LOWEST_PRIORITY: i32 = 19;

/// How much space must stay free where a backup is prepared, in bytes.
const KEPT_FREE_BYTES: u64 = 64 << 20;

/// Why a scheduled backup was not made, or is not usable.
#[derive(Debug, thiserror::Error)]
enum FailedBackup {
    #[error(transparent)]
    File(#[from] BackupFileError),
    #[error(transparent)]
    Database(#[from] BackupError),
    #[error(transparent)]
    Place(Box<BackupPlaceError>),
    #[error("{} has {free_bytes} bytes free, and the backup needs up to {needed_bytes} there", path.display())]
    NoSpace { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
    #[error("the written backup has other content than the database had: {found:?} instead of {expected:?}")]
    OtherContent { found: Box<Contents>, expected: Box<Contents> },
    #[error(
        "the backup {path} is complete, but the master key ({place}) does not fit it: {problem}. A restored catalog does not \
             start without its key"
    )]
    MasterKey { path: String, place: String, problem: String },
    #[error("the work of the backup ended without an outcome")]
    Lost,
    #[error("the backup was stopped before its end")]
    Stopped,
}

impl From<BackupPlaceError> for FailedBackup {
    fn from(error: BackupPlaceError) -> Self {
        Self::Place(Box::new(error))
    }
}

/// A failure with the step in which it happened.
struct Failure(Step, Box<FailedBackup>);

trait InStep<T> {
    fn in_step(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<FailedBackup>> InStep<T> for Result<T, E> {
    fn in_step(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure(step, Box::new(error.into())))
    }
}

/// Backups that a server makes by itself.
pub struct ScheduledBackups {
    database: PathBuf,
    data_dir: PathBuf,
    place: BackupPlace,
    staging: PathBuf,
    interval_s: i64,
    offset_s: i64,
    retention: Retention,
    keys: KeySource,
    clock: Clock,
    measures: BackupMeasures,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the newest backup began, in seconds since 1970. `None` before the first look at the place.
    newest_s: Option<i64>,
    /// The last failure, and when the next attempt may begin, in seconds since 1970.
    failed: Option<(String, i64)>,
}

/// The files of a backup that is being made.
struct Staged {
    copy: PathBuf,
    packed: PathBuf,
    fetched: PathBuf,
    check: PathBuf,
}

impl Staged {
    fn in_folder(folder: &Path, series: &Series) -> Self {
        let file = |kind: &str| folder.join(format!(".tidewater-{series}.{kind}.partial"));
        Self { copy: file("copy"), packed: file("packed"), fetched: file("fetched"), check: file("check") }
    }

    /// Removes the files, also those that a killed server left.
    fn clear(&self) {
        for path in [&self.copy, &self.packed, &self.fetched, &self.check] {
            // Most do not exist. A file that stays is overwritten or reported by the next step.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.clear();
    }
}

impl ScheduledBackups {
    /// Creates the backups of the settings, for the database `database`. Returns `None` if the settings have none. Writes nothing.
    ///
    /// # Errors
    /// Fails if the folder is in the data folder, or the settings of the bucket cannot be used.
    pub fn open(
        config: &BackupsConfig,
        database: &Path,
        keys: KeySource,
        budget: Budget,
        clock: Clock,
    ) -> Result<Option<Self>, BackupPlaceError> {
        if !config.is_on() {
            return Ok(None);
        }
        let storage_file = Some(config.storage_file.as_path()).filter(|file| !file.as_os_str().is_empty());
        let place = BackupPlace::open(&config.to, storage_file, budget)?;
        let data_dir = database.parent().unwrap_or(database).to_owned();
        if let Some(folder) = place.folder() {
            check_outside(database, &folder.join("any"))?;
        }
        let staging = match (config.staging_dir.as_os_str().is_empty(), place.folder()) {
            (false, _) => config.staging_dir.clone(),
            (true, Some(folder)) => folder.to_owned(),
            (true, None) => data_dir.clone(),
        };
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Ok(Some(Self {
            database: database.to_owned(),
            data_dir,
            place,
            staging,
            interval_s: seconds(config.interval_s).max(1),
            offset_s: seconds(config.offset_s),
            retention: Retention {
                newest: config.keep as usize,
                days: config.keep_daily as usize,
                weeks: config.keep_weekly as usize,
            },
            keys,
            clock,
            measures: BackupMeasures::new(config.interval()),
            state: Mutex::default(),
        }))
    }

    /// Returns the measurements.
    #[must_use]
    pub const fn measures(&self) -> &BackupMeasures {
        &self.measures
    }

    /// Returns the task that makes a backup in each interval.
    pub fn task(self: &Arc<Self>) -> Task {
        let (lowest, highest) = LOOK_INTERVAL_S;
        let look = Duration::from_secs((self.interval_s.unsigned_abs() / 10).clamp(lowest, highest));
        Task::every("backups", look, self, |backups, stop| async move { backups.run(&stop).await })
            .while_failing("There is no new backup until then: see `docs/operations.md`, section Scheduled backups")
    }

    /// Makes a backup if one is due. Returns how many it made. After a failure, repeats the error until the next attempt.
    ///
    /// # Errors
    /// Why the backup was not made, or cannot be used.
    pub async fn run(&self, stop: &CancellationToken) -> Result<u64, TaskError> {
        let now_s = self.clock.now_ms().div_euclid(1_000);
        {
            let state = self.state.lock();
            if let Some((error, until_s)) = &state.failed
                && !due::wait(until_s * 1_000, now_s * 1_000, self.pause()).is_zero()
            {
                return Err(error.clone().into());
            }
            if state.newest_s.is_some_and(|newest_s| !self.is_due(newest_s, now_s)) {
                return Ok(0);
            }
        }
        let started = Instant::now();
        let made = tokio::select! {
            made = self.back_up_if_due(now_s, stop) => made,
            () = stop.cancelled() => return Ok(0),
        };
        match made {
            Ok(made) => {
                self.state.lock().failed = None;
                if made > 0 {
                    self.measures.took(started.elapsed());
                }
                Ok(made)
            }
            Err(Failure(_, error)) if matches!(*error, FailedBackup::Stopped) => Ok(0),
            Err(Failure(step, error)) => {
                self.measures.failed(step);
                let until_s = due::latest_ms(now_s * 1_000, self.pause()) / 1_000;
                self.state.lock().failed = Some((error.to_string(), until_s));
                Err(error.to_string().into())
            }
        }
    }

    /// Checks that backups can be written and listed, and that there is space for one. Returns what was found, for people.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<String, TaskError> {
        self.place.check().await?;
        self.check_space()?;
        let now_s = self.clock.now_ms().div_euclid(1_000);
        let (all, future) = split_at(self.place.list().await?, self.latest_s(now_s));
        let found = match all.last() {
            None => "can be written; there is no scheduled backup yet".to_owned(),
            Some(newest) => format!("can be written; {} backups, the newest is {}", all.len(), newest.name),
        };
        Ok(if future.is_empty() { found } else { format!("{found}; {} have a time in the future", future.len()) })
    }

    /// Returns the pause after a failure.
    fn pause(&self) -> Duration {
        Duration::from_secs((self.interval_s / 4).clamp(1, LONGEST_PAUSE_S).unsigned_abs())
    }

    /// Returns the latest time that a backup can have, in seconds since 1970.
    fn latest_s(&self, now_s: i64) -> i64 {
        now_s.saturating_add(self.interval_s.min(names::CLOCK_TOLERANCE_S))
    }

    /// Returns whether a backup that began at `newest_s` is of an earlier interval than `now_s`, or of a clock that was set back since.
    fn is_due(&self, newest_s: i64, now_s: i64) -> bool {
        newest_s > self.latest_s(now_s)
            || (newest_s - self.offset_s).div_euclid(self.interval_s)
                < (now_s - self.offset_s).div_euclid(self.interval_s)
    }

    async fn back_up_if_due(&self, now_s: i64, stop: &CancellationToken) -> Result<u64, Failure> {
        let series = Series::read_or_make(&self.data_dir).in_step(Step::Copy)?;
        let (known, future) = self.own(&series, now_s).await.in_step(Step::Storage)?;
        self.measures.kept(known.len());
        if let Some(latest) = future.last() {
            tracing::warn!(
                count = future.len(),
                latest = self.place.path_of(&latest.name),
                "backups have a time in the future: they do not count, and are not removed. Check the clock, and move them away"
            );
        }
        if let Some(newest) = known.last() {
            self.measures.newest(newest.name.taken_s, newest.size_bytes);
            if !self.is_due(newest.name.taken_s, now_s) {
                self.state.lock().newest_s = Some(newest.name.taken_s);
                return Ok(0);
            }
        }
        let name = BackupName { taken_s: now_s, series: series.to_string() };
        self.back_up(&series, &name, stop).await?;
        self.state.lock().newest_s = Some(now_s);
        self.remove_expired(&series, now_s).await.in_step(Step::Removal)?;
        Ok(1)
    }

    /// Returns the backups of this catalog, oldest first, and those with a time in the future.
    async fn own(
        &self,
        series: &Series,
        now_s: i64,
    ) -> Result<(Vec<ListedBackup>, Vec<ListedBackup>), BackupPlaceError> {
        let mut all = self.place.list().await?;
        all.retain(|backup| backup.name.series == series.as_str());
        Ok(split_at(all, self.latest_s(now_s)))
    }

    /// Makes a backup and reads it back.
    async fn back_up(&self, series: &Series, name: &BackupName, stop: &CancellationToken) -> Result<(), Failure> {
        let started = Instant::now();
        let staged = Staged::in_folder(&self.staging, series);
        staged.clear();
        self.check_space().in_step(Step::Copy)?;
        let (database, copy, packed) = (self.database.clone(), staged.copy.clone(), staged.packed.clone());
        let copying = aside(stop, move |is_stopped| copy_and_pack(&database, &copy, &packed, is_stopped));
        let (contents, size_bytes) = copying.await.in_step(Step::Copy)?;
        let copied_ms = started.elapsed().as_millis();
        self.place.put(&staged.packed, name).await.in_step(Step::Storage)?;
        let fetched = self.place.fetch(name, &staged.fetched).await.in_step(Step::Storage)?;
        let (check, expected) = (staged.check.clone(), contents.clone());
        let checking = aside(stop, move |is_stopped| check_written(&fetched, &check, &expected, is_stopped));
        if let Err(error) = checking.await {
            if !matches!(error, FailedBackup::Stopped) {
                // It must not be taken for the newest backup. The failure of the check says more than one of the removal.
                let _ = self.place.remove(name).await;
            }
            return Err(Failure(Step::Verification, Box::new(error)));
        }
        let path = self.place.path_of(name);
        self.check_master_key(&contents, &path).in_step(Step::Verification)?;
        self.measures.newest(name.taken_s, size_bytes);
        let took_ms = started.elapsed().as_millis();
        tracing::info!(backup = path, size_bytes, copied_ms, took_ms, "made and verified a backup");
        Ok(())
    }

    /// Removes the backups of this catalog that are not kept.
    async fn remove_expired(&self, series: &Series, now_s: i64) -> Result<(), BackupPlaceError> {
        // Backups with a time in the future would take the places of real ones.
        let (known, _) = self.own(series, now_s).await?;
        let names: Vec<BackupName> = known.into_iter().map(|backup| backup.name).collect();
        let expired = self.retention.expired(&names);
        self.measures.kept(names.len() - expired.len());
        for name in &expired {
            self.place.remove(name).await?;
            tracing::info!(backup = self.place.path_of(name), "removed a backup that is older than the kept ones");
        }
        Ok(())
    }

    /// Fails if the staging folder has too little space for the copy and its compressed form.
    fn check_space(&self) -> Result<(), FailedBackup> {
        let path = self.staging.clone();
        let found = rustix::fs::statvfs(&path).map_err(|error| cannot("use the folder", &path)(error.into()))?;
        let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
        let size = |suffix: &str| fs::metadata(beside(&self.database, suffix)).map_or(0, |found| found.len());
        let needed_bytes = (size("") + size("-wal")).saturating_mul(2).saturating_add(KEPT_FREE_BYTES);
        if free_bytes < needed_bytes {
            return Err(FailedBackup::NoSpace { path, free_bytes, needed_bytes });
        }
        Ok(())
    }

    /// Checks that the server's master key is the one that the backup knows.
    fn check_master_key(&self, contents: &Contents, path: &str) -> Result<(), FailedBackup> {
        let Some(known) = contents.master_key else { return Ok(()) };
        let problem = match self.keys.read().map(|ring| ring.fingerprints()) {
            Ok(Ok(all)) if all.contains(&known) => return Ok(()),
            Ok(Ok(_)) => "it is another key".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(FailedBackup::MasterKey { path: path.to_owned(), place: self.keys.place(), problem })
    }
}

/// Copies the database and compresses the copy. Returns its content, and the size of the compressed file.
fn copy_and_pack(
    database: &Path,
    copy: &Path,
    packed: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(Contents, u64), FailedBackup> {
    drop(new_private(copy, "create", true)?);
    store::backup(database, copy, &mut |_| if is_stopped() { Proceed::No } else { Proceed::Yes })?;
    let contents = store::backup_contents(copy)?;
    let file = new_private(packed, "create", true)?;
    packing::pack(copy, &file, is_stopped).map_err(cannot("compress the copy to", packed))?;
    let size_bytes = file.metadata().map_err(cannot("read", packed))?.len();
    // Frees the space before the backup is read back.
    fs::remove_file(copy).map_err(cannot("remove", copy))?;
    Ok((contents, size_bytes))
}

/// Opens a written backup as a restore does, and compares its content with the expected one.
fn check_written(
    written: &Path,
    check: &Path,
    expected: &Contents,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), FailedBackup> {
    let mut from = File::open(written).map_err(cannot("read", written))?;
    let to = new_private(check, "create", true)?;
    packing::unpack(&mut from, &to, is_stopped).map_err(cannot("read back", written))?;
    drop(to);
    store::check_backup(check)?;
    let found = store::backup_contents(check)?;
    if found != *expected {
        return Err(FailedBackup::OtherContent { found: Box::new(found), expected: Box::new(expected.clone()) });
    }
    Ok(())
}

/// Runs work on a thread of the lowest priority. Returns `Stopped` at once when the server stops: the thread ends by itself.
async fn aside<T: Send + 'static>(
    stop: &CancellationToken,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, FailedBackup> + Send + 'static,
) -> Result<T, FailedBackup> {
    if stop.is_cancelled() {
        return Err(FailedBackup::Stopped);
    }
    let (sender, receiver) = oneshot::channel();
    let stopped = stop.clone();
    let started = std::thread::Builder::new().name("backup".to_owned()).spawn(move || {
        // On Linux, the priority is that of the thread. Without the permission, the work only disturbs more.
        let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
        // The receiver is gone if the server stops.
        let _ = sender.send(work(&|| stopped.is_cancelled()));
    });
    started.map_err(cannot("start a thread for", Path::new("the backup")))?;
    tokio::select! {
        outcome = receiver => match outcome {
            Ok(Err(_)) if stop.is_cancelled() => Err(FailedBackup::Stopped),
            Ok(outcome) => outcome,
            Err(_) => Err(FailedBackup::Lost),
        },
        () = stop.cancelled() => Err(FailedBackup::Stopped),
    }
}

#[cfg(test)]
mod tests;
