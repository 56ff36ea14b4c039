//! What the engine tests need in Go: a second S3 server, built once from its source.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;
use crate::workspace::Workspace;

/// Of one version, which the tests were made with.
const VERSITY: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

const LEFT_OUT: &str = "Go is missing, so the tests with a second S3 server (the Versity gateway) are LEFT OUT; to run them \
                        install Go 1.25 or newer";

/// Builds the programs below `target/go/bin`, where there is Go.
///
/// # Errors
/// When they cannot be built, and in CI when there is no Go.
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
    // Written last, so that what was left half made is made again.
    let made_for = folder.join("made-for.txt");
    if fs::read_to_string(&made_for).is_ok_and(|made| made == VERSITY) {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    step::say("building a second S3 server, once: it takes some minutes");
    let go = |arguments: &[&str]| {
        let mut command = step::command(&folder, "go", arguments);
        command.env("GOPATH", &home).env("GOBIN", &folder).env("GOCACHE", home.join("cache"));
        step::run(&mut command)
    };
    go(&["install", VERSITY])?;
    // Its sources are large, and not needed any more.
    go(&["clean", "-modcache", "-cache"])?;
    fs::write(&made_for, VERSITY).with_context(|| format!("{} cannot be written", made_for.display()))
}

fn answers() -> bool {
    let asked = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
