//! The command line: one file per command. Each parses, asks the management API, and prints; no rule is here.

mod access;
mod backup;
mod check;
mod client;
mod dropped;
mod events;
mod key;
mod live;
mod logs;
mod namespace;
mod not_found;
mod operator;
mod org;
mod output;
mod quickstart;
mod reload;
mod reports;
mod scope;
mod serve;
mod server;
mod shell;
mod signing_key;
mod snippets;
mod table;
mod table_name;
mod time;
mod version;
mod view;
mod warehouse;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use client::Database::{self, MayBeNew, MustExist};
use client::{Client, RemoteArguments};
use tidewater::config::{Config, ConfigError, Flags, data_dir_unless_set};

/// The variable that names the data folder.
const DATA_DIR: &str = "TIDEWATER_DATA_DIR";

/// Where docs/deployment.md has the configuration of a service, and another usual place.
const USUAL_CONFIGS: [&str; 2] = ["/etc/tidewater.toml", "/etc/tidewater/tidewater.toml"];

/// Where docs/deployment.md has the data of a service.
const USUAL_DATA: &str = "/var/lib/tidewater";

const EXAMPLES: &str = "\
Start here:
  tidewater quickstart                    a catalog with a sample table, and how to query it

A catalog for others:
  tidewater org create acme --tier professional
  tidewater warehouse create lake --org acme --root file:///srv/lake
  tidewater key create ci --org acme --role writer
  tidewater serve --listen 0.0.0.0:8181

Commands ask the server that runs on the data folder, or a remote one (--uri). Without a server they work by themselves.
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

    #[command(flatten)]
    remote: RemoteArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a catalog that holds a sample table, and show how to query it
    Quickstart(quickstart::Arguments),
    /// Serve the catalog
    Serve(serve::Arguments),
    /// Have the running server read its settings again
    Reload(reload::Arguments),
    /// Show the running server
    Status(server::Arguments),
    /// Show the settings in force
    Settings(server::Arguments),
    /// Operators: keys that manage all organisations
    #[command(subcommand)]
    Operator(operator::Command),
    /// Organisations: the tenants of the catalog
    #[command(subcommand)]
    Org(org::Command),
    /// API keys: how clients sign in
    #[command(subcommand)]
    Key(key::Command),
    /// Roles of keys, and of warehouses
    #[command(subcommand)]
    Role(access::RoleCommand),
    /// Privileges of catalog roles
    #[command(subcommand)]
    Grant(access::GrantCommand),
    /// Say who may do what, and why
    #[command(subcommand)]
    Access(access::AccessCommand),
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
    /// Show who changed what
    Events(events::Arguments),
    /// Copy the catalog's database to a file, also while a server runs
    Backup(backup::BackupArguments),
    /// Restore a backup into an empty data folder
    Restore(backup::RestoreArguments),
    /// Print completions for a shell
    Completions(shell::CompletionsArguments),
    /// Write man pages
    Man(shell::ManArguments),
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
        Command::Quickstart(arguments) => {
            let flags = arguments.flags();
            quickstart::run(Arc::new(move || Ok(settings.load(flags.clone())?)), &arguments).await
        }
        Command::Serve(arguments) => {
            let flags = arguments.flags();
            serve::run(Arc::new(move || settings.of_server(flags.clone()))).await
        }
        Command::Reload(arguments) => reload::run(&settings.server()?, &arguments).await,
        Command::Status(arguments) => server::status(&settings.server()?, &arguments).await,
        Command::Settings(arguments) => server::settings(&settings.client(MustExist).await?, &arguments).await,
        Command::Operator(command) => {
            let database = if matches!(command, operator::Command::Create { .. }) { MayBeNew } else { MustExist };
            operator::run(&settings.client(database).await?, &command).await
        }
        Command::Org(command) => {
            let database = if matches!(command, org::Command::Create { .. }) { MayBeNew } else { MustExist };
            org::run(&settings.client(database).await?, &command).await
        }
        Command::Key(command) => key::run(&settings.client(MustExist).await?, &command).await,
        Command::Role(command) => access::role(&settings.client(MustExist).await?, &command).await,
        Command::Grant(command) => access::grant(&settings.client(MustExist).await?, &command).await,
        Command::Access(command) => access::access(&settings.client(MustExist).await?, &command).await,
        Command::Warehouse(command) => warehouse::run(&settings.client(MustExist).await?, &command).await,
        Command::Namespace(command) => namespace::run(&settings.client(MustExist).await?, &command).await,
        Command::Table(command) => table::run(&settings.client(MustExist).await?, &command).await,
        Command::View(command) => view::run(&settings.client(MustExist).await?, &command).await,
        Command::SigningKey(command) => signing_key::run(&settings.client(MustExist).await?, &command).await,
        Command::Events(arguments) => events::run(&settings.client(MustExist).await?, &arguments).await,
        Command::Backup(arguments) => backup::backup(&settings.client(MustExist).await?, &arguments).await,
        Command::Restore(arguments) => backup::restore(&settings.of_command()?, &arguments).await,
        Command::Completions(arguments) => shell::completions(Cli::command(), &arguments),
        Command::Man(arguments) => shell::man(Cli::command(), &arguments),
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

    /// Whether somebody has said which data folder is meant.
    fn is_named(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some() || std::env::var_os(DATA_DIR).is_some()
    }

    /// The settings of a server. A configuration that is there and was not named is not passed by.
    fn of_server(&self, flags: Flags) -> anyhow::Result<Config> {
        let config = self.load(flags)?;
        if !self.is_named() {
            let configs = USUAL_CONFIGS.map(Path::new);
            check_no_other_catalog(&config.data_dir, &config.database(), &configs, Path::new(USUAL_DATA))?;
        }
        Ok(config)
    }

    /// The settings of a command that works on a catalog's data folder. Where nobody has said which folder that is, it is told.
    fn of_command(&self) -> anyhow::Result<Config> {
        let config = self.of_server(Flags::default())?;
        if !self.is_named() {
            output::note(&format!(
                "data folder: {} (choose another with --data-dir or --config)",
                config.data_dir.display()
            ));
        }
        Ok(config)
    }

    /// The catalog that a command works on.
    async fn client(&self, database: Database) -> anyhow::Result<Client> {
        match self.is_remote()? {
            true => Client::remote(&self.remote),
            false => Client::local(self.of_command()?, database).await,
        }
    }

    /// The server that a command works on.
    fn server(&self) -> anyhow::Result<Client> {
        match self.is_remote()? {
            true => Client::remote(&self.remote),
            false => Client::server(self.of_command()?),
        }
    }

    /// Whether a command works on a remote server. A data folder that the command line names has precedence over an address
    /// that only the environment names.
    ///
    /// # Errors
    /// When the command line names both.
    fn is_remote(&self) -> anyhow::Result<bool> {
        let Some(uri) = &self.remote.uri else { return Ok(false) };
        if self.data_dir.is_none() {
            return Ok(true);
        }
        let is_from_environment = environment().any(|(name, value)| name == "TIDEWATER_URI" && value == *uri);
        ensure!(is_from_environment, "--uri and --data-dir name two catalogs: give one of them");
        Ok(false)
    }
}

/// Fails where there is no catalog in the folder that nobody named, and a configuration file or a service's data folder is
/// there, which others use.
fn check_no_other_catalog(folder: &Path, database: &Path, configs: &[&Path], data: &Path) -> anyhow::Result<()> {
    if database.exists() || folder == data {
        return Ok(());
    }
    let folder = folder.display();
    if let Some(config) = configs.iter().find(|config| config.exists()) {
        let config = config.display();
        bail!(
            "there is no catalog in {folder}, and {config} configures one: name that with `--config {config}`, or a folder \
             with --data-dir"
        );
    }
    ensure!(
        !data.exists(),
        "there is no catalog in {folder}, and {data} is a service's data folder: name that with `--data-dir {data}`, or another",
        data = data.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
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

    /// Every command that does something, with its words.
    fn leaves() -> Vec<(String, clap::Command)> {
        fn collect(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
            if command.get_subcommands().next().is_none() {
                found.push((words.to_owned(), command.clone()));
            }
            for sub in command.get_subcommands() {
                collect(sub, &format!("{words} {}", sub.get_name()), found);
            }
        }
        let mut found = Vec::new();
        collect(&Cli::command(), "tidewater", &mut found);
        found
    }

    fn has(command: &clap::Command, option: &str) -> bool {
        command.get_arguments().any(|argument| argument.get_long() == Some(option))
    }

    #[test]
    fn every_command_but_those_for_shells_and_the_server_prints_json() {
        let without: Vec<_> =
            leaves().into_iter().filter(|(_, command)| !has(command, "json")).map(|(words, _)| words).collect();
        assert_eq!(without, ["tidewater serve", "tidewater completions", "tidewater man"]);
    }

    #[test]
    fn every_command_that_creates_takes_if_not_exists() {
        let creating: Vec<_> = leaves().into_iter().filter(|(words, _)| words.ends_with(" create")).collect();
        assert!(creating.len() >= 3 && creating.iter().all(|(_, command)| has(command, "if-not-exists")));
    }

    #[test]
    fn every_noun_can_be_listed_and_shown() {
        for noun in Cli::command().get_subcommands().filter(|command| command.has_subcommands()) {
            for verb in ["list", "show"] {
                assert!(noun.find_subcommand(verb).is_some(), "{} {verb}", noun.get_name());
            }
        }
    }

    #[test]
    fn each_idea_has_one_verb() {
        const VERBS: [&str; 21] = [
            "check",
            "create",
            "delete",
            "dropped",
            "list",
            "metrics",
            "rename",
            "reseal",
            "restore",
            "resume",
            "revoke",
            "rotate",
            "set-default",
            "set-options",
            "set-storage",
            "set-tier",
            "show",
            "suspend",
            "update",
            "usage",
            "version",
        ];
        for (words, _) in leaves() {
            let words: Vec<&str> = words.split(' ').collect();
            assert!(words.len() == 2 || VERBS.contains(&words[2]), "{words:?}");
        }
    }

    #[test]
    fn completions_and_man_pages_know_every_command() {
        let mut text = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "tidewater", &mut text);
        let text = String::from_utf8(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let arguments = Cli::try_parse_from(["tidewater", "man", folder.path().to_str().unwrap()]).unwrap();
        let Command::Man(arguments) = arguments.command else { panic!("it is another command") };
        shell::man(Cli::command(), &arguments).unwrap();
        for (words, _) in leaves() {
            assert!(words.split(' ').all(|word| text.contains(word)), "{words}");
            let page = std::fs::read_to_string(folder.path().join(format!("{}.1", words.replace(' ', "-")))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{words}");
        }
    }

    #[test]
    fn catalog_that_another_file_configures_is_not_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let [database, config, data] = ["tidewater.db", "tidewater.toml", "data"].map(|name| folder.path().join(name));
        let check = || check_no_other_catalog(folder.path(), &database, &[&folder.path().join("none"), &config], &data);
        check().unwrap();
        std::fs::create_dir(&data).unwrap();
        check_no_other_catalog(&data, &data.join("tidewater.db"), &[], &data).unwrap();
        let refused = check().unwrap_err().to_string();
        assert!(refused.contains(&format!("--data-dir {}", data.display())), "{refused}");
        std::fs::write(&config, "").unwrap();
        let refused = check().unwrap_err().to_string();
        assert!(refused.contains(&format!("--config {}", config.display())), "{refused}");
        std::fs::write(&database, "").unwrap();
        check().unwrap();
    }

    #[test]
    fn the_examples_of_the_help_are_commands() {
        for line in EXAMPLES.lines().filter(|line| line.starts_with("  tidewater ")) {
            let words = line.split("    ").next().unwrap_or(line).split_whitespace();
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
