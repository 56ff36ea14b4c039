//! `tidewater backups`: lists the backups that a server made by itself.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::output::{self, Format};
use super::size::size;
use super::time;
use tidewater::app::storage_access;
use tidewater::backup::{BackupName, BackupPlace, ListedBackup};
use tidewater::config::Config;

const EXAMPLES: &str = "\
Examples:
  tidewater backups --config /etc/tidewater.toml
  tidewater backups s3://backups/tidewater --storage s3.toml

It reads the folder or bucket itself, so it needs no server and no catalog.";

/// Arguments of `backups`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The folder or bucket [default: the setting backups.to]
    place: Option<String>,
    #[command(flatten)]
    storage: PlaceStorage,
    #[command(flatten)]
    format: Format,
}

/// The option for the settings of a bucket with backups.
#[derive(Debug, Args)]
pub(crate) struct PlaceStorage {
    /// A TOML file with the settings and credentials of the bucket [default: the setting backups.storage_file]
    #[arg(long, value_name = "FILE")]
    storage: Option<PathBuf>,
}

impl PlaceStorage {
    /// Opens a folder or bucket with backups.
    pub(super) fn open(&self, to: &str, config: &Config) -> Result<BackupPlace> {
        let configured = Some(&config.backups.storage_file).filter(|file| !file.as_os_str().is_empty());
        let file = self.storage.as_ref().or(configured).map(PathBuf::as_path);
        Ok(BackupPlace::open(to, file, storage_access(config).budget)?)
    }
}

/// Where a backup is: a file, or a backup in a folder or bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// A file on this machine.
    File(&'a Path),
    /// A folder or bucket, and the name of a backup in it; without a name, the newest.
    Place(&'a str, Option<BackupName>),
}

impl<'a> Source<'a> {
    /// Parses a path or URL.
    pub(super) fn parse(text: &'a str) -> Self {
        if !text.contains("://") {
            let path = Path::new(text);
            return if path.is_dir() { Self::Place(text, None) } else { Self::File(path) };
        }
        match text.rsplit_once('/') {
            Some((place, name)) if BackupName::parse(name).is_some() => Self::Place(place, BackupName::parse(name)),
            _ => Self::Place(text, None),
        }
    }
}

/// Lists the scheduled backups, oldest first.
pub(crate) async fn list(config: &Config, arguments: &Arguments) -> Result<()> {
    let to = arguments.place.as_deref().unwrap_or(&config.backups.to);
    ensure!(!to.is_empty(), "there are no scheduled backups: set `backups.to`, or name their folder or bucket");
    let place = arguments.storage.open(to, config)?;
    let all = place.list().await?;
    if arguments.format.json {
        let json = |backup: &ListedBackup| {
            json!({
                "name": backup.name.to_string(),
                "file": place.path_of(&backup.name),
                "taken": taken(backup),
                "series": backup.name.series,
                "size-bytes": backup.size_bytes,
            })
        };
        return output::json(&all.iter().map(json).collect::<Vec<_>>());
    }
    let row = |backup: &ListedBackup| {
        vec![taken(backup), size(backup.size_bytes), backup.name.series.clone(), place.path_of(&backup.name)]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["taken", "size", "series", "file"], &rows, &format!("there is no scheduled backup in {place}"))
}

fn taken(backup: &ListedBackup) -> String {
    time::shown(backup.name.taken_s.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_a_file_a_folder_or_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        assert_eq!(Source::parse(folder), Source::Place(folder, None));
        assert_eq!(Source::parse("/backup/t.db"), Source::File(Path::new("/backup/t.db")));
        assert_eq!(Source::parse("s3://b/backups/"), Source::Place("s3://b/backups/", None));
        let name = "tidewater-20261124T020000Z-0a1b2c3d.db.zst";
        let url = format!("s3://b/backups/{name}");
        assert_eq!(Source::parse(&url), Source::Place("s3://b/backups", BackupName::parse(name)));
    }
}
