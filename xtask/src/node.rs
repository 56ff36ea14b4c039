//! The JavaScript packages for the engine tests: a client, two servers, and Node to run them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step;
use crate::workspace::Workspace;

const ASKED: &str = "tests/engines/node/package.json";

const LEFT_OUT: &str = "Node or npm is missing: SKIPPING the tests with iceberg-js, with Azure and with an OpenID provider; to \
                        run them install Node 22 (20 does too) with npm (Debian: apt-get install nodejs npm)";

/// Installs the packages below `target/` and returns their folder, or `None` without Node.
///
/// # Errors
/// Fails if the installation fails, or if Node is missing in CI.
pub(crate) fn modules(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if !(answers("node") && answers("npm")) {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!(LEFT_OUT);
        }
        step::say(LEFT_OUT);
        return Ok(None);
    }
    let _one_at_a_time = workspace.lock("node")?;
    let folder = workspace.target.join("node");
    let asked = workspace.root.join(ASKED);
    let wanted = fs::read_to_string(&asked).with_context(|| format!("cannot read {}", asked.display()))?;
    // Written last, so that an incomplete installation is repeated.
    let made_for = folder.join("made-for.json");
    if !fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(folder.join("package.json"), &wanted)?;
        let install = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"];
        step::run(&mut step::command(&folder, "npm", &install))?;
        fs::write(&made_for, wanted).with_context(|| format!("cannot write {}", made_for.display()))?;
    }
    Ok(Some(folder.join("node_modules")))
}

fn answers(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
