//! The command line: one file per command. Each parses, asks the store or the catalog, and prints; no rule is here.

mod backup;
mod check;
mod dropped;
mod key;
mod logs;
mod namespace;
mod org;
mod output;
mod quickstart;
mod reports;
mod serve;
mod session;
mod signing_key;
mod snippets;
mod table;
mod table_name;
mod time;
mod version;
mod view;
mod warehouse;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use session::Session;
use tidewater::config::{Config, ConfigError, Flags, data_dir_unless_set};

const EXAMPLES: &str = "\
Start here:
  tidewater quickstart                    a catalog with a sample table, and how to query it

A catalog for others:
  tidewater org create acme --tier professional
  tidewater warehouse create lake --org acme --root file:///srv/lake
  tidewater key create ci --org acme --role writer
  tidewater serve --listen 0.0.0.0:8181

Commands that look or administer work beside a running server: they open the same database.
Exit codes: 0 done, 1 it did not work, 2 the command line or the configuration is wrong.";

/// How long work on threads of its own may go on once all else has ended.
const LAST_WORK_TIME: Duration = Duration::from_secs(2);

/// An Apache Iceberg REST catalog in one binary.
#[derive(Debug, Parser)]
#[command(name = "tidewater", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    settings: Settings,

    #[command(subcommand)]
    command: Command,
}

/// Where the settings and the data are; every command takes these.
#[derive(Debug, Args)]
struct Settings {
    /// Read settings from this file (TOML)
    #[arg(long, global = true, env = "TIDEWATER_CONFIG", value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,

    /// Keep the database in this folder
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Everywhere", help = data_dir_help())]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a catalog that holds a sample table, and show how to query it
    Quickstart(quickstart::Arguments),
    /// Serve the catalog
    Serve(serve::Arguments),
    /// Organisations: the tenants of the catalog
    #[command(subcommand)]
    Org(org::Command),
    /// API keys: how clients sign in
    #[command(subcommand)]
    Key(key::Command),
    /// Warehouses: the places that tables are put in
    #[command(subcommand)]
    Warehouse(warehouse::Command),
    /// Look at namespaces
    #[command(subcommand)]
    Namespace(namespace::Command),
    /// Look at tables, and restore dropped ones
    #[command(subcommand)]
    Table(table::Command),
    /// Look at views, and restore dropped ones
    #[command(subcommand)]
    View(view::Command),
    /// The keys that sign tokens
    #[command(subcommand)]
    SigningKey(signing_key::Command),
    /// Copy the catalog's database to a file, also while a server runs
    Backup(backup::BackupArguments),
    /// Restore a backup into an empty data folder
    Restore(backup::RestoreArguments),
    /// Show the version
    Version(version::Arguments),
}

/// Runs the command line of this process, and says how it ended.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.context("cannot start the threads that the server runs on").and_then(|runtime| {
        let done = runtime.block_on(run(cli));
        // Work that cannot be stopped, such as a read of a disk that hangs, must not hold up the end.
        runtime.shutdown_timeout(LAST_WORK_TIME);
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {}", output::with_causes(&error)));
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = cli.settings;
    match cli.command {
        Command::Quickstart(arguments) => quickstart::run(settings.load(arguments.flags())?, &arguments).await,
        Command::Serve(arguments) => serve::run(settings.load(arguments.flags())?).await,
        Command::Org(command) => org::run(&settings.session()?, &command).await,
        Command::Key(command) => key::run(&settings.session()?, &command).await,
        Command::Warehouse(command) => warehouse::run(&settings.session()?, &command).await,
        Command::Namespace(command) => namespace::run(&settings.session()?, &command).await,
        Command::Table(command) => table::run(&settings.session()?, &command).await,
        Command::View(command) => view::run(&settings.session()?, &command).await,
        Command::SigningKey(command) => signing_key::run(&settings.session()?, &command).await,
        Command::Backup(arguments) => backup::backup(&settings.load(Flags::default())?, &arguments).await,
        Command::Restore(arguments) => backup::restore(&settings.load(Flags::default())?, &arguments).await,
        Command::Version(arguments) => version::run(&arguments),
    }
}

/// This process's variables. One that is not Unicode is none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// With the folder that it is here, since that depends on who asks.
fn data_dir_help() -> String {
    format!("Keep the database in this folder [default: {}]", data_dir_unless_set(environment()).display())
}

impl Settings {
    fn load(&self, flags: Flags) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), environment(), &Flags { data_dir: self.data_dir.clone(), ..flags })
    }

    fn session(&self) -> Result<Session, ConfigError> {
        self.load(Flags::default()).map(Session::new)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_tells_where_the_data_is_here() {
        let help = Cli::command().render_long_help().to_string();
        let here = data_dir_unless_set(environment());
        assert!(help.contains(&format!("[default: {}]", here.display())), "{help}");
    }

    #[test]
    fn every_command_explains_itself() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
                let undocumented = sub.get_arguments().find(|argument| argument.get_help().is_none());
                assert!(undocumented.is_none(), "{}: {undocumented:?} has no help", sub.get_name());
                check(sub);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn the_examples_of_the_help_are_commands() {
        for line in EXAMPLES.lines().filter(|line| line.starts_with("  tidewater ")) {
            let words = line.split("    ").next().unwrap_or(line).split_whitespace();
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
