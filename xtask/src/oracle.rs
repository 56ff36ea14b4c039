//! Iceberg's own classes as an oracle for `core`: a Java process that a test of `core` asks.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{compat, engines, step};

const FOLDER: &str = "tests/compat/oracle";

/// The compiler that comes as a jar: there may be a Java to run programs, but none to develop with.
const COMPILER: &str = "org.eclipse.jdt.internal.compiler.batch.Main";

/// How much is asked.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Amount {
    /// How many mutated documents and requests the oracle is asked about
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) cases: u64,

    /// Which ones: the same seed asks about the same (and has the chaos test do the same)
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
}

/// Prepares Java and PyIceberg, and runs the test that asks them.
pub(crate) fn run(workspace: &Workspace, amount: Amount) -> Result<()> {
    let jars = compat::artifacts(workspace, "oracle", None)?;
    let java = java();
    let classes = compile(workspace, &java, &jars)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let test = [
        "test",
        "--locked",
        // One package would take other features of its dependencies, and build them again.
        "--workspace",
        "--test",
        "it",
        "--",
        "--ignored",
        "--nocapture",
        "oracle::",
    ];
    let mut test = step::cargo(&workspace.root, &test);
    let class_path =
        env::join_paths([classes, jars.join("*")]).context("a path of the target folder holds a separator")?;
    test.env("TIDEWATER_ORACLE_JAVA", java)
        .env("TIDEWATER_ORACLE_CLASSPATH", class_path)
        .env("TIDEWATER_ORACLE_PYTHON", python)
        .env("TIDEWATER_ORACLE_READER", workspace.root.join(FOLDER).join("read.py"))
        .env("TIDEWATER_ORACLE_CASES", amount.cases.to_string())
        .env("TIDEWATER_ORACLE_SEED", amount.seed.to_string())
        .env("TIDEWATER_ORACLE_REPORT", workspace.target.join("compat/oracle-differences.md"));
    step::run(&mut test)
}

fn compile(workspace: &Workspace, java: &Path, jars: &Path) -> Result<PathBuf> {
    let classes = workspace.target.join("compat/oracle-classes");
    let mut compiler = step::command(&workspace.root, java, &["-cp"]);
    // What it compiles against is its own class path.
    compiler.arg(jars.join("*")).args([COMPILER, "-17", "-warn:none", "-d"]).arg(&classes);
    step::run(compiler.arg(workspace.root.join(FOLDER).join("Oracle.java")))?;
    Ok(classes)
}

/// The Java of the other judges.
fn java() -> PathBuf {
    env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"))
}
