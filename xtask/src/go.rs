//! The Go program for the engine tests: a second S3 server, built once from source.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;
use crate::workspace::Workspace;

/// The version that the tests were written for.
const VERSITY: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

const LEFT_OUT: &str = "Go is missing: SKIPPING the tests with a second S3 server (the Versity gateway); to run them \
                        install Go 1.25 or newer";

/// Builds the program into `target/go/bin`, if Go is installed.
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
    if fs::read_to_string(&made_for).is_ok_and(|made| made == VERSITY) {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    step::say("building a second S3 server, once: it takes some minutes");
    let go = |arguments: &[&str]| {
        let mut command = step::command(&folder, "go", arguments);
        command.env("GOPATH", &home).env("GOBIN", &folder).env("GOCACHE", home.join("cache"));
        step::run(&mut command)
    };
    go(&["install", VERSITY])?;
    // The sources are large, and no longer needed.
    go(&["clean", "-modcache", "-cache"])?;
    fs::write(&made_for, VERSITY).with_context(|| format!("cannot write {}", made_for.display()))
}

/// Returns whether Go is installed.
pub(crate) fn answers() -> bool {
    let asked = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
