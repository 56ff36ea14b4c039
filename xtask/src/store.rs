//! The database of the servers under test. PostgreSQL is started for the run, and stopped after it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step;
use crate::workspace::Workspace;

/// The script that starts and stops PostgreSQL.
const SCRIPT: &str = "tests/servers/postgres.sh";

/// The script that starts and stops PgBouncer.
const POOLER: &str = "tests/servers/pgbouncer.sh";

/// The variable with the URL of the PostgreSQL server for tests. If it is set, no other one is started.
const SERVER: &str = "TIDEWATER_TEST_POSTGRES";

/// The variable with the URL through PgBouncer, if the servers under test use it.
const POOLED: &str = "TIDEWATER_TEST_PGBOUNCER";

/// The variable that makes the servers under test use PostgreSQL.
const STORE: &str = "TIDEWATER_TEST_STORE";

/// Which database the servers under test have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// SQLite in each server's data folder
    #[default]
    Sqlite,
    /// A PostgreSQL server for the run, with a database for each server
    Postgres,
    /// The same, through PgBouncer in transaction mode; only for the tests with real engines
    Pgbouncer,
}

/// The database of a run.
pub(crate) struct TestStore {
    store: Store,
    url: Option<String>,
    /// The URL through PgBouncer.
    pooled: Option<String>,
    /// Stops PostgreSQL and PgBouncer when it is dropped.
    _started: Option<Started>,
}

struct Started {
    root: PathBuf,
    folder: PathBuf,
}

impl TestStore {
    /// Starts PostgreSQL and PgBouncer if `store` needs them and the environment names no PostgreSQL server.
    ///
    /// # Errors
    /// Fails if one is not installed, or does not start.
    pub(crate) fn start(workspace: &Workspace, store: Store) -> Result<Self> {
        if store == Store::Sqlite {
            return Ok(Self { store, url: None, pooled: None, _started: None });
        }
        let folder = workspace.target.join(format!("postgres-{}", std::process::id()));
        let started = Started { root: workspace.root.clone(), folder };
        let url = std::env::var(SERVER).or_else(|_| started.start(SCRIPT, &[]))?;
        step::say(&format!("PostgreSQL for tests: {url}"));
        let pooled = (store == Store::Pgbouncer).then(|| started.start(POOLER, &[&url])).transpose()?;
        Ok(Self { store, url: Some(url), pooled, _started: Some(started) })
    }

    /// Adds the variables about the database to a command.
    pub(crate) fn name_in<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(url) = &self.url {
            command.env(SERVER, url);
        }
        match &self.pooled {
            Some(url) => command.env(POOLED, url),
            None => command.env_remove(POOLED),
        };
        match self.store {
            Store::Sqlite => command.env_remove(STORE),
            Store::Postgres | Store::Pgbouncer => command.env(STORE, "postgres"),
        }
    }
}

impl Started {
    fn command(&self, script: &str, action: &str) -> Command {
        let mut command = step::command(&self.root, "bash", &[script, action]);
        command.arg(&self.folder);
        command
    }

    /// Starts a server. Returns the URL that the script prints.
    fn start(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(script, "start").args(arguments).output();
        let output = output.with_context(|| format!("cannot start {script}"))?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8(output.stdout).with_context(|| format!("the URL that {script} prints"))?.trim().to_owned())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The tests' own outcome counts. A server that stays is in memory only.
        for script in [POOLER, SCRIPT] {
            let _ = self.command(script, "stop").output();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
