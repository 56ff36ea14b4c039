//! `tidewater backup` and `tidewater restore`.

use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

use super::client::{Client, Refused};
use super::output::{self, Format};
use super::scheduled::{PlaceStorage, Source};
use super::serve::stop_signal;
use super::size::size;
use tidewater::backup::{self, Done};
use tidewater::base::clock::Clock;
use tidewater::config::Config;
use tidewater::store::{CopyProgress, NotInside};

const MIB: u64 = 1 << 20;

/// Progress is reported at most once per this many bytes. A smaller backup takes about a second.
const REPORT_BYTES: u64 = 64 * MIB;

const BACKUP_EXAMPLES: &str = "\
Examples:
  tidewater backup /backup/tidewater-$(date +%F).db
  tidewater backup /backup/tidewater.db --overwrite

It works while a server runs, however busy it is. The backup contains all changes that were acknowledged before it began.
The file appears under its name when it is complete. It contains only the database: organisations, keys, pointers. Back up
the warehouses' files after it. Keep a copy of the master key in another place.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  tidewater restore /backup/tidewater.db --data-dir /var/lib/tidewater
  tidewater restore /backup/scheduled --data-dir /var/lib/tidewater
  tidewater restore s3://backups/tidewater --storage s3.toml --data-dir /var/lib/tidewater

A folder or bucket stands for the newest scheduled backup in it (`tidewater backups` lists them). The data folder must be
empty, except for master.key and a quickstart's warehouse folder. The command checks the backup before the backup becomes
the database.";

/// Arguments of `backup`.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArguments {
    /// The file to write
    file: PathBuf,
    /// Replace an existing file once the new backup is complete
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    format: Format,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArguments {
    /// A backup file, or the folder or bucket of scheduled backups, or the URL of one in a bucket
    #[arg(value_name = "BACKUP")]
    from: String,
    #[command(flatten)]
    storage: PlaceStorage,
    #[command(flatten)]
    format: Format,
}

/// Makes the catalog write a backup. A signal stops it; no file is left then.
pub(crate) async fn backup(client: &Client, arguments: &BackupArguments) -> Result<()> {
    let stop = stop_signal()?;
    let file = std::path::absolute(&arguments.file).context("cannot find the current folder: give an absolute path")?;
    let wanted = json!({ "file": file, "overwrite": arguments.overwrite });
    let (mut reported, mut outcome) = (Reported::default(), None);
    let writing = client.lines("/management/v1/backup", &wanted, |line| {
        match (line["bytes-done"].as_u64(), line["bytes-total"].as_u64()) {
            (Some(done_bytes), Some(total_bytes)) => {
                let next = reported.next(CopyProgress { done_bytes, total_bytes });
                next.iter().for_each(|text| output::note(text));
            }
            _ => outcome = Some(line),
        }
        Ok(())
    });
    tokio::select! {
        written = writing => written?,
        // The catalog notices the closed connection and stops.
        () = stop => bail!("the backup was stopped: no file is left"),
    }
    let outcome = outcome.context("the server stopped before the backup was complete: no file is left")?;
    if let Some(refused) = Refused::parse(&outcome) {
        return Err(refused.into());
    }
    give_to_root(&file)?;
    let done = Done {
        size_bytes: outcome["size-bytes"].as_u64().unwrap_or(0),
        not_inside: NotInside {
            roots: serde_json::from_value(outcome["warehouse-roots"].clone())?,
            sealed: serde_json::from_value(outcome["warehouses-with-sealed-credentials"].clone())?,
            has_master_key: outcome["has-master-key"].as_bool().unwrap_or(false),
        },
    };
    let Some(config) = client.config() else {
        bail!("a backup is written on the server's machine: run the command there")
    };
    if arguments.format.json {
        return report_json(&done, config, arguments.file.display().to_string());
    }
    output::line(&format!(
        "Backed up the catalog in {} to {} ({}).",
        config.data_dir.display(),
        arguments.file.display(),
        size(done.size_bytes)
    ))?;
    print_missing(&done.not_inside, config);
    Ok(())
}

/// Makes root the owner of a backup that root asked for and another user's server wrote.
fn give_to_root(file: &Path) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        // A link that the server's user put there is not followed.
        lchown(file, Some(0), Some(0)).with_context(|| format!("cannot take over {}", file.display()))?;
    }
    Ok(())
}

/// Restores a backup.
pub(crate) async fn restore(config: &Config, arguments: &RestoreArguments) -> Result<()> {
    let (folder, database) = (config.data_dir.clone(), config.database());
    let (file, done) = match Source::parse(&arguments.from) {
        Source::File(file) => {
            let file = file.to_owned();
            let work = tokio::task::spawn_blocking(move || backup::restore(&file, &folder, &database));
            (arguments.from.clone(), work.await.context("the restore failed")??)
        }
        Source::Place(place, name) => {
            let place = arguments.storage.open(place, config)?;
            backup::restore_from(&place, name.as_ref(), &folder, &database, &Clock::System).await?
        }
    };
    if arguments.format.json {
        return report_json(&done, config, file);
    }
    output::line(&format!("Restored {file} to {} ({}).", config.data_dir.display(), size(done.size_bytes)))?;
    print_missing(&done.not_inside, config);
    Ok(())
}

fn report_json(done: &Done, config: &Config, file: String) -> Result<()> {
    output::json(&json!({
        "file": file,
        "data-dir": config.data_dir,
        "size-bytes": done.size_bytes,
        "warehouse-roots": done.not_inside.roots,
        "warehouses-with-sealed-credentials": done.not_inside.sealed,
        "master-key": needs_master_key(&done.not_inside).then(|| master_key_place(config)),
    }))
}

/// Prints what a restored catalog needs that the backup does not contain.
fn print_missing(not_inside: &NotInside, config: &Config) {
    if !not_inside.roots.is_empty() {
        output::note(&format!("Not in the backup: the files of tables, in {}.", not_inside.roots.join(", ")));
    }
    if needs_master_key(not_inside) {
        let needed_for = match not_inside.sealed {
            0 => "Without it a server does not start on the restored catalog".to_owned(),
            1 => "Without it the storage credentials of 1 warehouse cannot be opened".to_owned(),
            warehouses => format!("Without it the storage credentials of {warehouses} warehouses cannot be opened"),
        };
        output::note(&format!("Not in the backup: the master key ({}). {needed_for}.", master_key_place(config)));
    }
}

/// Returns whether a restored catalog needs its master key to start.
const fn needs_master_key(not_inside: &NotInside) -> bool {
    not_inside.has_master_key || not_inside.sealed > 0
}

/// Returns the place of the master key: its file, or the name of its setting.
fn master_key_place(config: &Config) -> String {
    match config.storage.master_key.expose().is_empty() {
        true => config.master_key_file().map_or_else(|| "not configured".to_owned(), |file| file.display().to_string()),
        false => "the setting storage.master_key".to_owned(),
    }
}

/// The last reported progress.
#[derive(Debug, Default)]
struct Reported {
    bytes: u64,
}

impl Reported {
    /// Returns the next line, after each tenth of a large backup.
    fn next(&mut self, progress: CopyProgress) -> Option<String> {
        let CopyProgress { done_bytes, total_bytes } = progress;
        if done_bytes - self.bytes < (total_bytes / 10).max(REPORT_BYTES) {
            return None;
        }
        self.bytes = done_bytes;
        let percent = done_bytes * 100 / total_bytes.max(1);
        Some(format!("Copied {} of {} ({percent} %)", size(done_bytes), size(total_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_a_large_backup_is_reported_at_each_tenth() {
        let (mut reported, total_bytes) = (Reported::default(), 10_000 * MIB);
        let lines: Vec<String> = (1..=10_000)
            .filter_map(|done| reported.next(CopyProgress { done_bytes: done * MIB, total_bytes }))
            .collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "Copied 1000.0 MiB of 10000.0 MiB (10 %)");
    }

    #[test]
    fn progress_of_a_small_backup_is_not_reported() {
        let mut reported = Reported::default();
        let total_bytes = 60 * MIB;
        assert!((1..=60).all(|done| reported.next(CopyProgress { done_bytes: done * MIB, total_bytes }).is_none()));
    }
}
