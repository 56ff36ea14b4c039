//! The command line, one file per command. A command parses its arguments, calls the management API and prints the answer.
//! It contains no rules.

mod access;
mod audit;
mod backup;
mod check;
mod client;
mod copy;
mod dropped;
mod engine_settings;
mod events;
mod failure;
mod key;
mod label;
mod live;
mod login;
mod logs;
mod maintenance;
mod namespace;
mod not_found;
mod number;
mod operator;
mod org;
mod output;
mod quickstart;
mod reload;
mod reports;
mod restriction;
mod scheduled;
mod scope;
mod serve;
mod serve_check;
mod server;
mod shell;
mod sign_in;
mod signing_key;
mod size;
mod snippets;
mod subscription;
mod supervisor;
mod table;
mod table_name;
mod time;
mod user;
mod version;
mod view;
mod warehouse;
mod who_am_i;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use client::Database::{self, MayBeNew, MustExist};
use client::{Client, RemoteArguments};
use sign_in::SavedSessions;
use tidewater::base::secret::Secret;
use tidewater::config::{Config, ConfigError, Flags, StoreFlags, data_dir_unless_set};

/// The environment variable for the data folder.
const DATA_DIR: &str = "TIDEWATER_DATA_DIR";

/// The environment variable for the database.
const STORE: &str = "TIDEWATER_STORE__URL";

/// Paths of a service's configuration file: the one in docs/deployment.md, and another common one.
const USUAL_CONFIGS: [&str; 2] = ["/etc/tidewater.toml", "/etc/tidewater/tidewater.toml"];

/// The data folder of a service in docs/deployment.md.
const USUAL_DATA: &str = "/var/lib/tidewater";

const EXAMPLES: &str = "\
Start here:
  tidewater quickstart                    a catalog with a sample table, and how to query it

A catalog for others:
  tidewater org create acme --tier professional
  tidewater warehouse create lake --org acme --root file:///srv/lake
  tidewater key create ci --org acme --role writer
  tidewater serve --listen 0.0.0.0:8181

Commands call the server that runs on the data folder, or a remote server (--uri). If no server runs, they open the data
folder themselves. With --store postgres://..., they work on that database, beside its servers.
Exit codes: 0 success, 1 failure, 2 invalid command line or configuration. With --json, the last line on standard error is
the failure as JSON.";

/// How long the process waits at its end for threads with blocking work.
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

/// Options of every command: the settings file, the database and the remote server.
#[derive(Debug, Args)]
struct Settings {
    /// Read settings from this file (TOML)
    #[arg(long, global = true, env = "TIDEWATER_CONFIG", value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,

    /// Keep the database in this folder
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Everywhere", help = data_dir_help())]
    data_dir: Option<PathBuf>,

    /// Use this database: postgres://USER@HOST/DATABASE, or sqlite:FOLDER [default: SQLite in the data folder]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere", value_parser = store_url)]
    store: Option<Secret<String>>,

    #[command(flatten)]
    remote: RemoteArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a catalog that holds a sample table, and show how to query it
    Quickstart(quickstart::Arguments),
    /// Serve the catalog
    Serve(serve::Arguments),
    /// Make the running server read its settings again
    Reload(reload::Arguments),
    /// Show the running server
    Status(server::Arguments),
    /// Show the settings in force
    Settings(server::Arguments),
    /// Show the slowest requests of the last hour to the running server
    SlowRequests(server::Arguments),
    /// Sign in to a server with the company's identity provider
    Login(login::LoginArguments),
    /// Forget a sign-in
    Logout(login::LogoutArguments),
    /// Show as whom commands work on a server, with its roles
    WhoAmI(who_am_i::Arguments),
    /// Operators: keys that manage all organisations
    #[command(subcommand)]
    Operator(operator::Command),
    /// Organisations: the tenants of the catalog
    #[command(subcommand)]
    Org(org::Command),
    /// API keys: how clients sign in
    #[command(subcommand)]
    Key(key::Command),
    /// Users of identity providers: people and services who signed in
    #[command(subcommand)]
    User(user::Command),
    /// Principal roles and catalog roles
    #[command(subcommand)]
    Role(access::RoleCommand),
    /// Grants: privileges of catalog roles
    #[command(subcommand)]
    Grant(access::GrantCommand),
    /// Explain access: check what a key may do, and why
    #[command(subcommand)]
    Access(access::AccessCommand),
    /// Read restrictions: hide rows and mask columns from principal roles
    #[command(subcommand)]
    Restriction(restriction::Command),
    /// Labels of namespaces, tables, views and columns
    #[command(subcommand)]
    Label(label::Command),
    /// Warehouses: storage locations for tables
    #[command(subcommand)]
    Warehouse(warehouse::Command),
    /// List and show namespaces
    #[command(subcommand)]
    Namespace(namespace::Command),
    /// List, show and check tables, and restore dropped ones
    #[command(subcommand)]
    Table(table::Command),
    /// Maintenance of tables: policies, runs and health
    #[command(subcommand)]
    Maintenance(maintenance::Command),
    /// List, show and check views, and restore dropped ones
    #[command(subcommand)]
    View(view::Command),
    /// Signing keys: how the server signs tokens
    #[command(subcommand)]
    SigningKey(signing_key::Command),
    /// Subscriptions: receivers of events over HTTP
    #[command(subcommand)]
    Subscription(subscription::Command),
    /// Show who changed what
    Events(events::Arguments),
    /// Show audit records: changes, refusals, sign-ins and vended credentials
    Audit(audit::Arguments),
    /// Copy the catalog's database to a file, even while a server runs
    Backup(backup::BackupArguments),
    /// List the backups that the server makes by itself
    Backups(scheduled::Arguments),
    /// Restore a backup into an empty data folder
    Restore(backup::RestoreArguments),
    /// Copy a catalog between a data folder and PostgreSQL
    Copy(copy::Arguments),
    /// Print completions for a shell
    Completions(shell::CompletionsArguments),
    /// Write man pages
    Man(shell::ManArguments),
    /// Show the version
    Version(version::Arguments),
}

/// Runs the command line of this process. Returns its exit code.
pub(crate) fn main() -> ExitCode {
    let json = failure::wants_json(std::env::args_os().skip(1));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::exit_with(&error, json),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.context("cannot start the threads that the server runs on").and_then(|runtime| {
        let done = runtime.block_on(run(cli));
        // Blocking work, such as a read from a hanging disk, cannot be cancelled and must not delay the exit.
        runtime.shutdown_timeout(LAST_WORK_TIME);
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, json),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = cli.settings;
    match cli.command {
        Command::Quickstart(arguments) => {
            settings.check_is_local("quickstart")?;
            let flags = arguments.flags();
            quickstart::run(Arc::new(move || Ok(settings.load(flags.clone())?)), &arguments).await
        }
        Command::Serve(arguments) => {
            settings.check_is_local("serve")?;
            let flags = arguments.flags();
            let read: live::ReadSettings = Arc::new(move || settings.of_server(flags.clone()));
            match arguments.check {
                true => serve_check::run(&read, arguments.json).await,
                false => serve::run(read).await,
            }
        }
        Command::Reload(arguments) => reload::run(&settings.server().await?, &arguments).await,
        Command::Status(arguments) => server::status(&settings.server().await?, &arguments).await,
        Command::SlowRequests(arguments) => server::slow_requests(&settings.server().await?, &arguments).await,
        Command::Settings(arguments) => server::settings(&settings.client(MustExist).await?, &arguments).await,
        Command::Login(arguments) => login::login(&settings.remote, &arguments).await,
        Command::Logout(arguments) => login::logout(&settings.remote, &arguments).await,
        Command::WhoAmI(arguments) => who_am_i::run(&settings.client(MustExist).await?, &arguments).await,
        Command::Operator(command) => {
            let database = if matches!(command, operator::Command::Create { .. }) { MayBeNew } else { MustExist };
            operator::run(&settings.client(database).await?, &command).await
        }
        Command::Org(command) => {
            let database = if matches!(command, org::Command::Create { .. }) { MayBeNew } else { MustExist };
            org::run(&settings.client(database).await?, &command).await
        }
        Command::Key(command) => key::run(&settings.client(MustExist).await?, &command).await,
        Command::User(command) => user::run(&settings.client(MustExist).await?, &command).await,
        Command::Role(command) => access::role(&settings.client(MustExist).await?, &command).await,
        Command::Grant(command) => access::grant(&settings.client(MustExist).await?, &command).await,
        Command::Access(command) => access::access(&settings.client(MustExist).await?, &command).await,
        Command::Restriction(command) => restriction::run(&settings.client(MustExist).await?, &command).await,
        Command::Label(command) => label::run(&settings.client(MustExist).await?, &command).await,
        Command::Warehouse(command) => warehouse::run(&settings.client(MustExist).await?, &command).await,
        Command::Namespace(command) => namespace::run(&settings.client(MustExist).await?, &command).await,
        Command::Table(command) => table::run(&settings.client(MustExist).await?, &command).await,
        Command::Maintenance(command) => maintenance::run(&settings.client(MustExist).await?, &command).await,
        Command::View(command) => view::run(&settings.client(MustExist).await?, &command).await,
        Command::SigningKey(command) => signing_key::run(&settings.client(MustExist).await?, &command).await,
        Command::Subscription(command) => subscription::run(&settings.client(MustExist).await?, &command).await,
        Command::Events(arguments) => events::run(&settings.client(MustExist).await?, &arguments).await,
        Command::Audit(arguments) => audit::run(&settings.client(MustExist).await?, &arguments).await,
        Command::Backup(arguments) => backup::backup(&settings.client(MustExist).await?, &arguments).await,
        Command::Backups(arguments) => {
            settings.check_is_local("backups")?;
            scheduled::list(&settings.load(Flags::default())?, &arguments).await
        }
        Command::Restore(arguments) => {
            settings.check_is_local("restore")?;
            let config = settings.of_command()?;
            ensure!(
                !config.store.url.is_shared(),
                "`tidewater restore` restores an SQLite database into a data folder: restore the database {} with PostgreSQL's \
                 own tools, as docs/production-postgresql.md describes",
                config.store.url
            );
            backup::restore(&config, &arguments).await
        }
        Command::Copy(arguments) => {
            settings.check_is_local("copy")?;
            copy::run(&settings.load(Flags::default())?, &arguments).await
        }
        Command::Completions(arguments) => shell::completions(Cli::command(), &arguments),
        Command::Man(arguments) => shell::man(Cli::command(), &arguments),
        Command::Version(arguments) => version::run(&arguments),
    }
}

/// Returns the environment variables of this process. Skips variables that are not Unicode: no setting is.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Takes the URL of `--store` as a secret. The settings check it, so that no message shows its password.
fn store_url(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Returns the help of `--data-dir` with the default folder, which depends on the user.
fn data_dir_help() -> String {
    format!("Keep the database in this folder [default: {}]", data_dir_unless_set(environment()).display())
}

impl Settings {
    fn load(&self, flags: Flags) -> Result<Config, ConfigError> {
        let store = StoreFlags { url: self.store.clone() };
        Config::load(self.config.as_deref(), environment(), &Flags { data_dir: self.data_dir.clone(), store, ..flags })
    }

    /// Returns whether an option or a variable names the data folder, the database or the configuration file.
    fn is_named(&self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        self.config.is_some() || self.data_dir.is_some() || self.store.is_some() || is_set(DATA_DIR) || is_set(STORE)
    }

    /// Loads the settings of a server. Fails if the data folder was not named and a service's catalog seems to be meant.
    fn of_server(&self, flags: Flags) -> anyhow::Result<Config> {
        let config = self.load(flags)?;
        if !self.is_named() {
            let configs = USUAL_CONFIGS.map(Path::new);
            check_no_other_catalog(&config.data_dir, &config.database(), &configs, Path::new(USUAL_DATA))?;
        }
        Ok(config)
    }

    /// Loads the settings of a command that works on a data folder. Prints the folder if it was not named.
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

    /// Returns a client of the catalog that a command works on.
    async fn client(&self, database: Database) -> anyhow::Result<Client> {
        if self.is_remote()? {
            return Client::remote(&self.remote).await;
        }
        match self.signed_in()? {
            Some(remote) if database == MustExist => Client::remote(&remote).await,
            _ => Client::local(self.of_command()?, database).await,
        }
    }

    /// Returns a client of the running server that a command works on.
    async fn server(&self) -> anyhow::Result<Client> {
        if self.is_remote()? {
            return Client::remote(&self.remote).await;
        }
        match self.signed_in()? {
            Some(remote) => Client::remote(&remote).await,
            None => Client::server(self.of_command()?),
        }
    }

    /// Returns the server of the person's only sign-in, if nothing names a catalog and there is none in the default folder.
    fn signed_in(&self) -> anyhow::Result<Option<RemoteArguments>> {
        if self.is_named() || !SavedSessions::exist() || self.load(Flags::default())?.database().exists() {
            return Ok(None);
        }
        let mut addresses = SavedSessions::open()?.addresses();
        let (Some(uri), true) = (addresses.pop(), addresses.is_empty()) else { return Ok(None) };
        output::note(&format!("server: {uri} (choose another catalog with --uri or --data-dir)"));
        Ok(Some(RemoteArguments { uri: Some(uri), ca_file: self.remote.ca_file.clone() }))
    }

    /// Fails when the command line names a remote server for a command that works on this machine alone.
    fn check_is_local(&self, command: &str) -> anyhow::Result<()> {
        let is_named = self.remote.uri.as_ref().is_some_and(|uri| !is_from_environment(uri));
        ensure!(!is_named, "`tidewater {command}` works on this machine's data folder: leave --uri out");
        Ok(())
    }

    /// Returns whether a command uses a remote server. A data folder or a database that the command line names has precedence over
    /// an address that only the environment names.
    ///
    /// # Errors
    /// Fails if the command line has `--uri`, and `--data-dir` or `--store`.
    fn is_remote(&self) -> anyhow::Result<bool> {
        let Some(uri) = &self.remote.uri else { return Ok(false) };
        let local = [("--data-dir", self.data_dir.is_some()), ("--store", self.store.is_some())];
        let Some((option, _)) = local.into_iter().find(|(_, is_given)| *is_given) else { return Ok(true) };
        ensure!(is_from_environment(uri), "--uri and {option} name two catalogs: give one of them");
        Ok(false)
    }
}

fn is_from_environment(uri: &str) -> bool {
    environment().any(|(name, value)| name == "TIDEWATER_URI" && value == uri)
}

/// Fails if the default data folder has no catalog, but this machine has a service's configuration file or data folder: the
/// user probably means the catalog of the service.
fn check_no_other_catalog(folder: &Path, database: &Path, configs: &[&Path], data: &Path) -> anyhow::Result<()> {
    if database.exists() || folder == data {
        return Ok(());
    }
    let folder = folder.display();
    if let Some(config) = configs.iter().find(|config| config.exists()) {
        let config = config.display();
        bail!(
            "there is no catalog in {folder}, but {config} configures one: pass `--config {config}`, or choose a folder \
             with --data-dir"
        );
    }
    ensure!(
        !data.exists(),
        "there is no catalog in {folder}, but {data} is a service's data folder: pass `--data-dir {data}`, or another folder",
        data = data.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
