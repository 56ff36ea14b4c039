//! The Helm chart.

use anyhow::Result;

use super::Packaging;
use crate::{step, tools};

const FOLDER: &str = "deploy/helm/tidewater";

/// Checks the chart and packs it, with the workspace's version.
pub(super) fn make(packaging: &Packaging<'_>) -> Result<()> {
    let root = &packaging.workspace.root;
    let helm = tools::helm(packaging.workspace)?;
    step::run(&mut step::command(root, &helm, &["lint", "--strict", FOLDER]))?;
    let mut package = step::command(root, &helm, &["package", FOLDER, "--version", &packaging.version]);
    step::run(package.args(["--app-version", &packaging.version, "--destination"]).arg(&packaging.output))
}
