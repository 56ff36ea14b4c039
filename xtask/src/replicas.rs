//! Runs the tests with many replicas over one PostgreSQL: `tests/replicas`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{engines, step};

const FOLDER: &str = "tests/replicas";

/// The Go module with the checker of histories and the proxy.
const TOOLS: &str = "tests/replicas/tools";

const LEFT_OUT: &str = "Go is missing: SKIPPING the tests with many replicas; to run them install Go 1.25 or newer";

/// How long the tests run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// A selection within about 90 seconds, for the test command.
    Short,
    /// All tests. Each history with faults is this long.
    Long {
        /// The time of each history.
        history: Duration,
        /// The seed of the clients and the faults.
        seed: u64,
    },
}

/// Builds the binary and the tools, and runs the tests. Without Go, only says so, but fails in CI.
pub(crate) fn run(workspace: &Workspace, length: Length) -> Result<()> {
    let has_go = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_go.is_ok_and(|status| status.success()) {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!(LEFT_OUT);
        }
        step::say(LEFT_OUT);
        return Ok(());
    }
    let binary = engines::build(workspace, false)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let tools = tools(workspace)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", FOLDER]);
    match length {
        Length::Short => pytest.args(["-m", "not long", "--numprocesses=2"]),
        Length::Long { history, seed } => pytest
            .arg("-s")
            .env("TIDEWATER_REPLICAS_SECONDS", history.as_secs().to_string())
            .env("TIDEWATER_REPLICAS_SEED", seed.to_string())
            .env("TIDEWATER_REPLICAS_ROUNDS", "3"),
    };
    step::run(pytest.env("TIDEWATER_BIN", binary).env("TIDEWATER_REPLICAS_TOOLS", tools))
}

/// Tests and builds the tools. Returns their folder.
fn tools(workspace: &Workspace) -> Result<PathBuf> {
    let _one_at_a_time = workspace.lock("replicas")?;
    let home = workspace.target.join("go");
    let folder = home.join("replicas");
    let go = |arguments: &[&str]| {
        let mut command = step::command(&workspace.root.join(TOOLS), "go", arguments);
        step::run(command.env("GOPATH", &home).env("GOBIN", &folder).env("GOCACHE", home.join("cache")))
    };
    go(&["vet", "./..."])?;
    go(&["test", "./..."])?;
    go(&["install", "./..."])?;
    Ok(folder)
}
