//! The settings of scheduled backups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::store_url::StoreUrl;
use crate::base::url_text;

/// The shortest interval between scheduled backups, in seconds.
const LEAST_INTERVAL_S: u64 = 10;

/// Settings of scheduled backups of the embedded database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupsConfig {
    /// The folder or the bucket for backups: a path, `s3://...`, `gs://...` or `abfss://...`. Empty: no scheduled backups.
    pub to: String,
    /// A file with the settings and credentials of the bucket, in the form of a warehouse's storage. Empty for a folder.
    pub storage_file: PathBuf,
    /// A folder in which backups are prepared. Empty: the folder for backups, or the data folder for a bucket.
    pub staging_dir: PathBuf,
    /// The time from one backup to the next, in seconds. Intervals are counted from 1970, so 86400 is midnight UTC.
    pub interval_s: u64,
    /// How many seconds after the begin of an interval a backup begins: 7200 is 2 o'clock UTC with an interval of a day.
    pub offset_s: u64,
    /// How many of the newest backups are kept.
    pub keep: u32,
    /// For how many days with backups the newest of the day is kept.
    pub keep_daily: u32,
    /// For how many weeks with backups the newest of the week is kept.
    pub keep_weekly: u32,
}

impl Default for BackupsConfig {
    fn default() -> Self {
        Self {
            to: String::new(),
            storage_file: PathBuf::new(),
            staging_dir: PathBuf::new(),
            interval_s: 86_400,
            offset_s: 0,
            keep: 7,
            keep_daily: 0,
            keep_weekly: 0,
        }
    }
}

impl BackupsConfig {
    /// Returns whether there are scheduled backups.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.to.is_empty()
    }

    /// Returns [`BackupsConfig::interval_s`] as a duration.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s)
    }

    /// Returns the folder for backups. `None` for a bucket.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        let path = self.to.strip_prefix("file://").unwrap_or(&self.to);
        (!path.contains("://")).then(|| Path::new(path))
    }

    /// Returns the faults of the settings, as lines for people.
    pub(super) fn check(&self, store: &StoreUrl, data_dir: &Path) -> Vec<String> {
        if !self.is_on() {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        if store.is_shared() {
            wrong.push(format!(
                "`backups.to` is set, but the catalog is in the database {store}: back it up with PostgreSQL's own tools, as \
                 docs/production-postgresql.md describes, and leave `backups.to` out"
            ));
        }
        if self.interval_s < LEAST_INTERVAL_S {
            wrong.push(format!("`backups.interval_s` must be at least {LEAST_INTERVAL_S}"));
        }
        if self.offset_s >= self.interval_s {
            wrong.push("`backups.offset_s` must be less than `backups.interval_s`".to_owned());
        }
        if self.keep == 0 {
            wrong.push("`backups.keep` must be at least 1".to_owned());
        }
        if url_text::has_user(&self.to) {
            wrong.push(
                "`backups.to` must not have a user name, password or `@`: name a file with the credentials in `backups.storage_file`"
                    .to_owned(),
            );
        }
        match self.folder() {
            Some(folder) if folder.is_relative() => {
                wrong.push(format!("`backups.to` is '{}', but must be an absolute path or a bucket's URL", self.to));
            }
            Some(folder) if folder.starts_with(data_dir) => wrong.push(format!(
                "`backups.to` is in the data folder {}: choose a folder outside of it, best on another disk",
                data_dir.display()
            )),
            None if self.storage_file.as_os_str().is_empty() => wrong.push(format!(
                "`backups.to` is {}: name a file with the settings of its storage in `backups.storage_file` (docs/storage \
                 describes the file for each cloud)",
                self.to
            )),
            _ => {}
        }
        wrong
    }
}
