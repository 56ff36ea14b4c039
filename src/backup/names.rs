//! The names of scheduled backups, and which of them are kept.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDateTime};

/// The form of the time in a name. Such texts sort like the times.
const TIME: &str = "%Y%m%dT%H%M%SZ";

const PREFIX: &str = "tidewater-";
const SUFFIX: &str = ".db.zst";

/// The length of a series' name.
const SERIES_LENGTH: usize = 8;

const DAY_S: i64 = 86_400;

/// How far the time of a backup may be in the future, in seconds: clocks differ a little. Later ones are of a wrong clock, or no backups.
pub(super) const CLOCK_TOLERANCE_S: i64 = 300;

/// The name of a scheduled backup: `tidewater-20270131T020000Z-3f9a2c1d.db.zst`. Names sort by their time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupName {
    /// When the backup began, in seconds since 1970.
    pub taken_s: i64,
    /// The series: the data folder that the backup is of. Two catalogs may have their backups in one folder.
    pub series: String,
}

impl BackupName {
    /// Parses a name. Returns `None` for the name of any other file.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (time, series) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
        let taken_s = NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc().timestamp();
        let is_series = series.len() == SERIES_LENGTH && series.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = Self { taken_s, series: series.to_owned() };
        (is_series && found.to_string() == name).then_some(found)
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp(self.taken_s, 0).unwrap_or_default();
        write!(f, "{PREFIX}{}-{}{SUFFIX}", time.format(TIME), self.series)
    }
}

/// How many backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest backups.
    pub newest: usize,
    /// The days with backups of which the newest is kept.
    pub days: usize,
    /// The weeks with backups of which the newest is kept.
    pub weeks: usize,
}

impl Retention {
    /// Returns the backups of one series that are not kept.
    #[must_use]
    pub fn expired(&self, all: &[BackupName]) -> Vec<BackupName> {
        let mut newest_first = all.to_vec();
        newest_first.sort_by(|one, other| other.cmp(one));
        let mut kept: BTreeSet<&BackupName> = newest_first.iter().take(self.newest).collect();
        let day = |name: &BackupName| name.taken_s.div_euclid(DAY_S);
        // 1970-01-01 was a Thursday, and weeks begin on Mondays.
        let week = |name: &BackupName| (day(name) + 3).div_euclid(7);
        kept.extend(newest_of_each(&newest_first, self.days, day));
        kept.extend(newest_of_each(&newest_first, self.weeks, week));
        newest_first.iter().filter(|name| !kept.contains(name)).cloned().collect()
    }
}

/// Returns the newest backup of each of the last `count` periods that have one.
fn newest_of_each(newest_first: &[BackupName], count: usize, period: impl Fn(&BackupName) -> i64) -> Vec<&BackupName> {
    let mut seen = BTreeSet::new();
    newest_first.iter().filter(|name| seen.insert(period(name))).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns names of one series, taken so many hours after Monday, 2026-11-23.
    fn names(hours: &[i64]) -> Vec<BackupName> {
        let monday = 1_795_392_000;
        hours.iter().map(|hour| BackupName { taken_s: monday + hour * 3_600, series: "0a1b2c3d".to_owned() }).collect()
    }

    #[test]
    fn name_has_the_time_and_the_series() {
        let [name] = &names(&[26])[..] else { panic!("one name") };
        assert_eq!(name.to_string(), "tidewater-20261124T020000Z-0a1b2c3d.db.zst");
        assert_eq!(BackupName::parse(&name.to_string()).as_ref(), Some(name));
    }

    #[test]
    fn other_files_are_not_taken_for_backups() {
        for other in [
            "tidewater-20261124T020000Z-0a1b2c3d.db.zst.partial",
            ".tidewater-20261124T020000Z-0a1b2c3d.db.zst",
            "tidewater-20261124T020000Z-0a1b2c3d.db",
            "tidewater-20261124T020000Z.db.zst",
            "tidewater-20261324T020000Z-0a1b2c3d.db.zst",
            "tidewater-20261124T020000Z-0a1b2c3.db.zst",
            "tidewater-2026-11-24.db",
            "",
        ] {
            assert_eq!(BackupName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_sort_by_their_time() {
        let mut texts: Vec<String> = names(&[30, 2, 800, 26]).iter().map(BackupName::to_string).collect();
        texts.sort();
        assert_eq!(texts, names(&[2, 26, 30, 800]).iter().map(BackupName::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn newest_of_all_of_each_day_and_of_each_week_are_kept() {
        // Two a day for three days, and one in each of the two weeks before.
        let all = names(&[-200, -30, 2, 14, 26, 38, 50, 62]);
        let expired = |newest, days, weeks| {
            let mut expired = Retention { newest, days, weeks }.expired(&all);
            expired.sort();
            expired
        };
        assert_eq!(expired(8, 0, 0), []);
        assert_eq!(expired(2, 0, 0), names(&[-200, -30, 2, 14, 26, 38]));
        assert_eq!(expired(1, 3, 0), names(&[-200, -30, 2, 26, 50]));
        assert_eq!(expired(1, 0, 2), names(&[-200, 2, 14, 26, 38, 50]));
        assert_eq!(expired(1, 2, 9), names(&[2, 14, 26, 50]));
    }
}
