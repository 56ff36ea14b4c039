//! The database of the servers under test. PostgreSQL is started for the run, and stopped after it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step;
use crate::workspace::Workspace;

/// The script that starts and stops PostgreSQL.
const SCRIPT: &str = "tests/servers/postgres.sh";

/// The variable with the URL of the PostgreSQL server for tests. If it is set, no other one is started.
const SERVER: &str = "TIDEWATER_TEST_POSTGRES";

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
}

/// The database of a run.
pub(crate) struct TestStore {
    store: Store,
    url: Option<String>,
    /// Stops PostgreSQL when it is dropped.
    _started: Option<Started>,
}

struct Started {
    root: PathBuf,
    folder: PathBuf,
}

impl TestStore {
    /// Starts PostgreSQL if `store` needs it and the environment names no server.
    ///
    /// # Errors
    /// Fails if PostgreSQL is not installed, or does not start.
    pub(crate) fn start(workspace: &Workspace, store: Store) -> Result<Self> {
        if store == Store::Sqlite {
            return Ok(Self { store, url: None, _started: None });
        }
        if let Ok(url) = std::env::var(SERVER) {
            return Ok(Self { store, url: Some(url), _started: None });
        }
        let folder = workspace.target.join(format!("postgres-{}", std::process::id()));
        let started = Started { root: workspace.root.clone(), folder };
        let output = started.script("start").output().with_context(|| format!("cannot start {SCRIPT}"))?;
        ensure!(output.status.success(), "{SCRIPT}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let url = String::from_utf8(output.stdout).context("the URL of PostgreSQL")?.trim().to_owned();
        step::say(&format!("PostgreSQL for tests: {url}"));
        Ok(Self { store, url: Some(url), _started: Some(started) })
    }

    /// Adds the variables about the database to a command.
    pub(crate) fn name_in<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(url) = &self.url {
            command.env(SERVER, url);
        }
        match self.store {
            Store::Sqlite => command.env_remove(STORE),
            Store::Postgres => command.env(STORE, "postgres"),
        }
    }
}

impl Started {
    fn script(&self, action: &str) -> Command {
        let mut script = step::command(&self.root, "bash", &[SCRIPT, action]);
        script.arg(&self.folder);
        script
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The tests' own outcome counts. A server that stays is in memory only.
        let _ = self.script("stop").output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
