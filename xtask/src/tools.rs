//! Tools of the packages and lints that are built once, into `target/`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;
use crate::{go, step};

/// The newest release that Go 1.25 builds.
const HELM: &str = "helm.sh/helm/v3/cmd/helm@v3.20.2";

/// Returns the path of a cargo command, after it was built if this version is missing.
///
/// # Errors
/// Fails if the build fails.
pub(crate) fn cargo_tool(workspace: &Workspace, name: &str, version: &str) -> Result<PathBuf> {
    let _one_at_a_time = workspace.lock(name)?;
    let tools = workspace.target.join("tools");
    let program = tools.join("bin").join(name);
    let installed = tools.join(format!("{name}-{version}"));
    if program.exists() && installed.exists() {
        return Ok(program);
    }
    step::say(&format!("building {name}, once: this takes some minutes"));
    let install = ["install", name, "--locked", "--debug", "--version", version, "--root"];
    // One folder for the builds of all tools, because they share many dependencies.
    let builds = tools.join("build");
    // Nobody debugs them, and they build faster without.
    let mut install = step::cargo(&workspace.root, &install);
    step::run(install.arg(&tools).arg("--target-dir").arg(&builds).env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    // Written last, so that an incomplete build is repeated.
    fs::write(&installed, "")?;
    Ok(program)
}

/// Returns the path of Helm, after it was built if it is missing.
///
/// # Errors
/// Fails if Go is missing, or the build fails.
pub(crate) fn helm(workspace: &Workspace) -> Result<PathBuf> {
    let _one_at_a_time = workspace.lock("helm")?;
    let home = workspace.target.join("go");
    let folder = home.join("helm");
    let made_for = folder.join("made-for.txt");
    let program = folder.join("helm");
    if program.exists() && fs::read_to_string(&made_for).is_ok_and(|made| made == HELM) {
        return Ok(program);
    }
    ensure!(go::answers(), "Go is missing: Helm is built with it. Install Go 1.25 or newer");
    fs::create_dir_all(&folder)?;
    step::say("building Helm, once: this takes some minutes");
    let mut install = step::command(&folder, "go", &["install", "-trimpath", HELM]);
    step::run(install.env("GOPATH", &home).env("GOBIN", &folder).env("GOCACHE", home.join("cache")))?;
    fs::write(&made_for, HELM)?;
    Ok(program)
}
