//! The judges that come from elsewhere: Iceberg's compatibility kit, Spark, Trino. What they need comes from Maven Central
//! and is kept in `target/compat/`; Spark itself and Trino's client come with a Python environment each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::engines;
use crate::step;
use crate::workspace::Workspace;

const FOLDER: &str = "tests/compat";

/// Puts all that a pom names into one folder.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies";

/// One of the judges.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Judge {
    /// Iceberg's REST Compatibility Kit
    Rck,
    /// Apache Spark, in a process of the tests
    Spark,
    /// A Trino server
    Trino,
}

/// Which of them, in this order.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Whose judgement
    #[arg(value_enum, required = true)]
    judges: Vec<Judge>,
}

/// Builds the binary and asks each judge; ends at the first that is not content.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let binary = engines::build(workspace, false)?;
    for judge in &options.judges {
        match judge {
            Judge::Rck => kit(workspace, &binary)?,
            Judge::Spark => engine(workspace, &binary, "spark", &["spark"])?,
            Judge::Trino => engine(workspace, &binary, "trino", &["trino/server", "trino/plugin"])?,
        }
    }
    Ok(())
}

fn kit(workspace: &Workspace, binary: &Path) -> Result<()> {
    let jars = artifacts(workspace, "rck")?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let mut kit = step::command(&workspace.root, python, &["tests/compat/rck.py"]);
    step::run(kit.arg(jars).arg(workspace.target.join("compat/rck-run")).env("TIDEWATER_BIN", binary))
}

/// Runs the tests of an engine, with an environment of its own and what its poms name.
fn engine(workspace: &Workspace, binary: &Path, name: &str, poms: &[&str]) -> Result<()> {
    for pom in poms {
        artifacts(workspace, pom)?;
    }
    let tests = format!("{FOLDER}/{name}");
    let python = engines::environment(workspace, &tests)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", &tests]);
    step::run(pytest.env("TIDEWATER_BIN", binary).env("CARGO_TARGET_DIR", &workspace.target))
}

/// The folder with what `tests/compat/NAME/pom.xml` names, fetched again when it names something else.
fn artifacts(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let pom = workspace.root.join(FOLDER).join(name).join("pom.xml");
    let wanted = fs::read_to_string(&pom).with_context(|| format!("{} cannot be read", pom.display()))?;
    let folder = workspace.target.join("compat").join(name);
    // Written last, so that what was fetched by half is fetched again.
    let made_for = folder.join("made-for.xml");
    if fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(folder);
    }
    step::say(&format!("fetching what {name} needs from Maven Central, once"));
    remove(&folder)?;
    let repository = workspace.target.join("compat/maven");
    let mut maven = step::command(&workspace.root, "mvn", &["--batch-mode", "--quiet", "--file"]);
    maven.arg(&pom).arg(COPY);
    maven.arg(format!("-Dmaven.repo.local={}", repository.display()));
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    // Not what a pom says that something else provides.
    maven.arg("-DincludeScope=runtime");
    step::run(&mut maven)
        .context("Maven and a Java 17 or newer are needed (Debian: apt-get install maven openjdk-17-jre-headless)")?;
    // All of it is in the folder now, and some of it is large.
    remove(&repository)?;
    fs::write(&made_for, wanted).with_context(|| format!("{} cannot be written", made_for.display()))?;
    Ok(folder)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}
