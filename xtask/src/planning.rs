//! Iceberg's library, its REST client and PyIceberg as judges of scan planning: a script that starts a server and a Java process.

use std::env;

use anyhow::{Context, Result};

use crate::store::TestStore;
use crate::workspace::Workspace;
use crate::{compat, engines, oracle, step};

const FOLDER: &str = "tests/compat/planning";

/// How much is compared.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Scans {
    /// Compare thousands of scans, instead of 240
    #[arg(long, conflicts_with = "tables")]
    pub(crate) long: bool,

    /// Number of random tables whose scans are compared, instead of 20
    #[arg(long, value_name = "N")]
    pub(crate) tables: Option<u32>,
}

/// Prepares Java and PyIceberg, and runs the script.
pub(crate) fn run(workspace: &Workspace, amount: Scans, seed: u64, store: &TestStore) -> Result<()> {
    // The same library as the oracle's.
    let jars = compat::artifacts(workspace, "oracle", None)?;
    let java = oracle::java();
    let classes = oracle::compile(workspace, &java, &jars, FOLDER)?;
    let class_path =
        env::join_paths([classes, jars.join("*")]).context("the path of the target folder contains a separator")?;
    let binary = engines::build(workspace, false)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let mut script = step::command(&workspace.root, python, &["tests/compat/planning/run.py"]);
    script.arg(java).arg(class_path).arg(workspace.target.join("compat/planning-run"));
    script.args(["--seed", &seed.to_string()]).env("TIDEWATER_BIN", binary);
    if amount.long {
        script.arg("--long");
    }
    if let Some(tables) = amount.tables {
        script.args(["--tables", &tables.to_string()]);
    }
    step::run(store.name_in(&mut script))
}
