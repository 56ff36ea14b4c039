//! Iceberg's own classes as an oracle for `core`: a Java process that a test of `core` queries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{compat, engines, step};

const FOLDER: &str = "tests/compat/oracle";

/// The main class of a Java compiler in a jar, for machines with a Java runtime only.
const COMPILER: &str = "org.eclipse.jdt.internal.compiler.batch.Main";

/// The number and choice of cases.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Amount {
    /// Number of mutated documents and requests for the oracle
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) cases: u64,

    /// Seed of the cases: the same seed repeats the same cases (and the same chaos and replicas)
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub(crate) seed: u64,
}

/// Prepares Java and PyIceberg, and runs the test that queries them.
pub(crate) fn run(workspace: &Workspace, amount: Amount) -> Result<()> {
    let jars = compat::artifacts(workspace, "oracle", None)?;
    let java = java();
    let classes = compile(workspace, &java, &jars, FOLDER)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let test = [
        "test",
        "--locked",
        // With one package, cargo would select other features of dependencies and build them again.
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
        env::join_paths([classes, jars.join("*")]).context("the path of the target folder contains a separator")?;
    test.env("TIDEWATER_ORACLE_JAVA", java)
        .env("TIDEWATER_ORACLE_CLASSPATH", class_path)
        .env("TIDEWATER_ORACLE_PYTHON", python)
        .env("TIDEWATER_ORACLE_READER", workspace.root.join(FOLDER).join("read.py"))
        .env("TIDEWATER_ORACLE_CASES", amount.cases.to_string())
        .env("TIDEWATER_ORACLE_SEED", amount.seed.to_string())
        .env("TIDEWATER_ORACLE_REPORT", workspace.target.join("compat/oracle-differences.md"));
    step::run(&mut test)
}

/// Compiles the Java sources in a folder of the repository against the jars. Returns the folder of the classes.
///
/// # Errors
/// Fails if there is no source, or the compiler rejects one.
pub(crate) fn compile(workspace: &Workspace, java: &Path, jars: &Path, folder: &str) -> Result<PathBuf> {
    let name = Path::new(folder).file_name().with_context(|| format!("{folder} has no name"))?;
    let classes = workspace.target.join("compat").join(format!("{}-classes", name.display()));
    let sources = workspace.root.join(folder);
    let mut compiler = step::command(&workspace.root, java, &["-cp"]);
    // The compiler's class path also serves as the class path of the sources.
    compiler.arg(jars.join("*")).args([COMPILER, "-17", "-warn:none", "-d"]).arg(&classes);
    for entry in fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "java") {
            compiler.arg(path);
        }
    }
    step::run(&mut compiler)?;
    Ok(classes)
}

/// Returns the Java of the other judges.
pub(crate) fn java() -> PathBuf {
    env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"))
}
