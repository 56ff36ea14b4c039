//! The list of what is built in, by cargo-cyclonedx.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Architecture, Packaging};
use crate::{step, tools};

const CARGO_CYCLONEDX: &str = "0.5.9";

/// The folders of the workspace's members: the tool writes a file into each.
const MEMBERS: [&str; 7] =
    ["", "crates/core", "crates/manifests", "crates/rewrite", "crates/console", "bench", "xtask"];

/// Returns the path of the list.
pub(super) fn file(packaging: &Packaging<'_>) -> PathBuf {
    packaging.output.join(format!("tidewater-{}.cdx.json", packaging.version))
}

/// Writes the list of the crates in a static program. Those with C sources contain them: SQLite, AWS-LC, mimalloc, zstd.
pub(super) fn make(packaging: &Packaging<'_>) -> Result<()> {
    let workspace = packaging.workspace;
    let tool = tools::cargo_tool(workspace, "cargo-cyclonedx", CARGO_CYCLONEDX)?;
    let name = "tidewater-sbom";
    let arguments =
        ["cyclonedx", "--format=json", "--spec-version=1.5", "--no-build-deps", "--override-filename", name];
    let mut cyclonedx = step::command(&workspace.root, &tool, &arguments);
    cyclonedx.arg("--target").arg(Architecture::X86_64.target());
    let made = step::run(cyclonedx.env("SOURCE_DATE_EPOCH", &packaging.source_date));
    for member in MEMBERS {
        let written = workspace.root.join(member).join(format!("{name}.json"));
        if member.is_empty() && made.is_ok() {
            let text = fs::read_to_string(&written).with_context(|| format!("cannot read {}", written.display()))?;
            // The workspace's own crates are named by their folder.
            let text = text.replace(&workspace.root.display().to_string(), "/tidewater");
            fs::write(file(packaging), text)?;
        }
        if written.exists() {
            fs::remove_file(&written).with_context(|| format!("cannot remove {}", written.display()))?;
        }
    }
    made
}
