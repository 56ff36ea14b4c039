//! `tidewater copy`.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;

use super::output::{self, Format};
use tidewater::app::postgres_settings;
use tidewater::config::{Config, StoreConfig, StoreUrl};
use tidewater::copy::{self, CopyBegin, CopyDone, CopyPlace, CopyRowProgress, CopyStep, OpenedPlace};

const EXAMPLES: &str = "\
Examples:
  tidewater copy --from sqlite:/var/lib/tidewater --to postgres://tidewater@db/tidewater
  tidewater copy --from postgres://tidewater@db/tidewater --to sqlite:/var/lib/tidewater
  tidewater copy --from sqlite:/var/lib/tidewater --to postgres://tidewater@db/tidewater --check

Stop all servers first. The command copies everything except the master key, and then compares all rows. If it is stopped, the
same command continues where it was. Put the same master key where the new server expects it.
A URL with a password can come from the environment, where other users cannot read it.";

/// How often progress is shown on a terminal, and elsewhere.
const REDRAW: Duration = Duration::from_millis(200);
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Arguments of `copy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The catalog to copy: sqlite:FOLDER or a URL (postgres://...)
    #[arg(long, env = "TIDEWATER_COPY_FROM", hide_env_values = true, value_name = "DATABASE")]
    from: String,
    /// Where to copy it: sqlite:FOLDER or a URL (postgres://...)
    #[arg(long, env = "TIDEWATER_COPY_TO", hide_env_values = true, value_name = "DATABASE")]
    to: String,
    /// Compare both catalogs row by row, and change nothing
    #[arg(long)]
    check: bool,
    /// Remove an unfinished copy from the target, and begin with the first row
    #[arg(long, conflicts_with = "check")]
    restart: bool,
    #[command(flatten)]
    format: Format,
}

/// Copies a catalog, or compares two.
pub(crate) async fn run(config: &Config, arguments: &Arguments) -> Result<()> {
    let (from, to) = (place(config, "--from", &arguments.from)?, place(config, "--to", &arguments.to)?);
    let source = OpenedPlace::source(&from).await.context("cannot open the source (--from)")?;
    let target = match arguments.check {
        true => OpenedPlace::source(&to).await,
        false => OpenedPlace::target(&to).await,
    };
    let target = target.context("cannot open the target (--to)")?;
    let mut shown = Shown::new();
    let mut report = |progress| shown.show(progress);
    let begun = Instant::now();
    let done = match arguments.check {
        true => copy::check(source.store(), target.store(), &mut report).await,
        false => copy::copy(source.store(), target.store(), arguments.restart, &mut report).await,
    };
    shown.clear();
    let done = done?;
    target.note_catalog()?;
    let (from, to) = (source.store().name(), target.store().name());
    if arguments.format.json {
        return report_json(&done, arguments, from, to);
    }
    let (rows, tables) = (done.rows(), done.tables.len());
    if arguments.check {
        return output::line(&format!("Compared {rows} rows of {tables} tables: {to} is the same as {from}."));
    }
    match done.begin {
        CopyBegin::New => {}
        CopyBegin::Continued(before) => output::note(&format!("Continued an earlier copy after {before} rows.")),
        CopyBegin::SourceChanged => {
            output::note("The source has changed since an earlier copy, so all rows were copied again.");
        }
    }
    output::line(&format!(
        "Copied {rows} rows of {tables} tables from {from} to {to} in {}, and compared all of them.",
        duration(begun.elapsed())
    ))?;
    output::note("Not copied: the master key. Put the same key where the new server expects it (storage.master_key).");
    output::note(&format!("Do not start a server on {from} again: its changes would be missing in the copy."));
    Ok(())
}

fn report_json(done: &CopyDone, arguments: &Arguments, from: &str, to: &str) -> Result<()> {
    let tables: serde_json::Map<_, _> = done.tables.iter().map(|(name, rows)| ((*name).into(), json!(rows))).collect();
    let mut report = json!({ "from": from, "to": to, "rows": done.rows(), "tables": tables });
    if !arguments.check {
        report["continued-after-rows"] = match done.begin {
            CopyBegin::Continued(rows) => rows.into(),
            CopyBegin::New | CopyBegin::SourceChanged => 0.into(),
        };
    }
    output::json(&report)
}

/// Parses the place of a database. The settings say how PostgreSQL is reached.
fn place(config: &Config, option: &str, text: &str) -> Result<CopyPlace> {
    let url: StoreUrl = text.parse().unwrap_or_default();
    if let Some(settings) = postgres_settings(&StoreConfig { url: url.clone(), ..config.store.clone() }) {
        return Ok(CopyPlace::Postgres(settings));
    }
    let StoreUrl::Sqlite(folder) = url else {
        bail!("{option}: give sqlite:FOLDER with a data folder, or a URL as postgres://user@host/database")
    };
    let folder = std::path::absolute(folder).context("cannot find the current folder: give an absolute path")?;
    let config = Config { data_dir: folder, ..config.clone() };
    Ok(CopyPlace::Sqlite { database: config.database(), folder: config.data_dir })
}

/// Shows progress: one line that changes on a terminal, and a line now and then elsewhere.
struct Shown {
    is_terminal: bool,
    step: Option<CopyStep>,
    step_began: Instant,
    first_rows: u64,
    last: Option<Instant>,
}

impl Shown {
    fn new() -> Self {
        Self { is_terminal: stderr().is_terminal(), step: None, step_began: Instant::now(), first_rows: 0, last: None }
    }

    fn show(&mut self, progress: CopyRowProgress) {
        if self.step != Some(progress.step) {
            self.clear();
            (self.step, self.step_began, self.first_rows) = (Some(progress.step), Instant::now(), progress.rows);
            self.last = None;
        }
        let spacing = if self.is_terminal { REDRAW } else { NEXT_LINE };
        if self.last.is_some_and(|last| last.elapsed() < spacing) {
            return;
        }
        self.last = Some(Instant::now());
        let rows = progress.rows - self.first_rows;
        let line = line(progress, rows, self.step_began.elapsed());
        match self.is_terminal {
            // An error here cannot be reported anywhere else.
            true => drop(write!(stderr().lock(), "\r\x1b[K{line}")),
            false => output::note(&line),
        }
    }

    /// Removes the line that changes.
    fn clear(&self) {
        if self.is_terminal && self.last.is_some() {
            drop(write!(stderr().lock(), "\r\x1b[K"));
        }
    }
}

/// Returns a line about the progress. `rows` were done in `time`.
fn line(progress: CopyRowProgress, rows: u64, time: Duration) -> String {
    let verb = match progress.step {
        CopyStep::Reading => "Reading the source",
        CopyStep::Copying => "Copying",
        CopyStep::Checking => "Comparing",
    };
    let part = match progress.total {
        Some(total) => format!("{} of {total} rows ({} %)", progress.rows, progress.rows * 100 / total.max(1)),
        None => format!("{} rows", progress.rows),
    };
    let rate = match u64::try_from(time.as_millis()).unwrap_or(u64::MAX) {
        0..1000 => String::new(),
        millis => format!(", {} rows/s", rows.saturating_mul(1000) / millis),
    };
    format!("{verb}: {part}, table '{}'{rate}", progress.table)
}

/// Returns a duration for people.
fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn places_are_folders_or_urls() {
        let config = Config::default();
        let parse = |text: &str| place(&config, "--from", text);
        for text in ["sqlite:/srv/tide", "sqlite:///srv/tide"] {
            let CopyPlace::Sqlite { folder, database } = parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(folder, PathBuf::from("/srv/tide"));
            assert_eq!(database, PathBuf::from("/srv/tide/tidewater.db"));
        }
        assert!(matches!(parse("postgresql://db/tide").unwrap(), CopyPlace::Postgres(_)));
        for text in ["sqlite:", "/srv/tide", "mysql://db/tide"] {
            assert!(parse(text).unwrap_err().to_string().contains("--from: give sqlite:FOLDER"), "{text}");
        }
    }

    #[test]
    fn progress_has_rows_share_and_rate() {
        let progress = CopyRowProgress { step: CopyStep::Copying, table: "tabular", rows: 600, total: Some(2_400) };
        let shown = line(progress, 500, Duration::from_secs(5));
        assert_eq!(shown, "Copying: 600 of 2400 rows (25 %), table 'tabular', 100 rows/s");
        let progress = CopyRowProgress { step: CopyStep::Reading, table: "event", rows: 7, total: None };
        assert_eq!(line(progress, 7, Duration::ZERO), "Reading the source: 7 rows, table 'event'");
    }
}
