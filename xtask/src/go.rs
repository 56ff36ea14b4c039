//! The Go programs for the engine tests, built once from source: a second S3 server, and an OpenTelemetry collector.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;
use crate::workspace::Workspace;

/// The version that the tests were written for.
const VERSITY: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

/// The source of the collector.
const COLLECTOR: &str = "tests/servers/collector";

const LEFT_OUT: &str = "Go is missing: SKIPPING the tests with a second S3 server (the Versity gateway) and with an \
                        OpenTelemetry collector; to run them install Go 1.26 or newer";

/// Builds the programs into `target/go/bin`, if Go is installed.
///
/// # Errors
/// Fails if the build fails, or if Go is missing in CI.
pub(crate) fn programs(workspace: &Workspace) -> Result<()> {
    if !answers() {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!(LEFT_OUT);
        }
        step::say(LEFT_OUT);
        return Ok(());
    }
    let _one_at_a_time = workspace.lock("go")?;
    let home = workspace.target.join("go");
    let folder = home.join("bin");
    // Written last, so that an incomplete build is repeated.
    let made_for = folder.join("made-for.txt");
    let source = workspace.root.join(COLLECTOR);
    let read =
        |name: &str| fs::read_to_string(source.join(name)).with_context(|| format!("cannot read {COLLECTOR}/{name}"));
    let wanted = format!("{VERSITY}\n{}\n{}", read("go.sum")?, read("main.go")?);
    if fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    step::say("building a second S3 server and an OpenTelemetry collector, once: it takes some minutes");
    let go = |at: &Path, arguments: &[&str]| {
        let mut command = step::command(at, "go", arguments);
        command.env("GOPATH", &home).env("GOBIN", &folder).env("GOCACHE", home.join("cache"));
        step::run(&mut command)
    };
    go(&folder, &["install", VERSITY])?;
    go(&source, &["vet", "./..."])?;
    go(&source, &["install", "."])?;
    // The sources are large, and no longer needed.
    go(&folder, &["clean", "-modcache", "-cache"])?;
    fs::write(&made_for, wanted).with_context(|| format!("cannot write {}", made_for.display()))
}

/// Returns whether Go is installed.
pub(crate) fn answers() -> bool {
    let asked = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
