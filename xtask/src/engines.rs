//! The tests with real engines: their Python environment, and the binary that they talk to.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::step;
use crate::workspace::Workspace;

pub(crate) const FOLDER: &str = "tests/engines";

/// Builds the binary, prepares the environment, runs the tests (those that match `expression`, if there is one).
pub(crate) fn run(workspace: &Workspace, release: bool, expression: Option<&str>) -> Result<()> {
    let binary = build(workspace, release)?;
    let python = environment(workspace, FOLDER)?;
    azurite(workspace)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", FOLDER]);
    if let Some(expression) = expression {
        pytest.args(["-k", expression]);
    }
    step::run(pytest.env("TIDEWATER_BIN", binary))
}

/// Builds the binary; gives its path.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    let mut build = vec!["build", "--locked", "--package", "tidewater", "--bin", "tidewater"];
    if release {
        build.push("--release");
    }
    step::run(&mut step::cargo(&workspace.root, &build))?;
    Ok(workspace.target.join(if release { "release" } else { "debug" }).join("tidewater"))
}

/// The Python of a virtual environment that holds exactly what the tests in `tests` ask for. It is made again when they
/// ask for something else. Gives the path of its interpreter.
pub(crate) fn environment(workspace: &Workspace, tests: &str) -> Result<PathBuf> {
    let folder = workspace.target.join(if tests == FOLDER { "venv" } else { "venv-compat" });
    let python = folder.join("bin/python");
    let asked = workspace.root.join(tests).join("requirements.txt");
    let wanted = fs::read_to_string(&asked).with_context(|| format!("{} cannot be read", asked.display()))?;
    // Written last, so that an environment that was left half made is made again.
    let made_for = folder.join("made-for.txt");
    if python.exists() && fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let mut create = step::command(&workspace.root, "python3", &["-m", "venv", "--clear"]);
    step::run(create.arg(&folder))
        .context("a Python 3 with venv is needed (Debian: apt-get install python3 python3-venv)")?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    step::run(step::command(&workspace.root, &python, &install).arg(&asked))?;
    fs::write(&made_for, wanted).with_context(|| format!("{} cannot be written", made_for.display()))?;
    Ok(python)
}

/// Puts the emulator of Azure's storage into `target/azurite/`, where there is Node. Without it the tests that need it say
/// so, and fail where `CI` is set.
fn azurite(workspace: &Workspace) -> Result<()> {
    let asked = workspace.root.join(FOLDER).join("package.json");
    let wanted = fs::read_to_string(&asked).with_context(|| format!("{} cannot be read", asked.display()))?;
    let folder = workspace.target.join("azurite");
    // Written last, so that what was fetched by half is fetched again.
    let made_for = folder.join("made-for.json");
    if fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    if step::command(&workspace.root, "npm", &["--version"]).output().is_err() {
        step::say("THERE IS NO NODE: the tests with Azure are left out (Debian: apt-get install nodejs npm)");
        return Ok(());
    }
    step::say("fetching Azurite from the npm registry, once");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let package = folder.join("package.json");
    fs::write(&package, &wanted).with_context(|| format!("{} cannot be written", package.display()))?;
    step::run(&mut step::command(&folder, "npm", &["install", "--no-audit", "--no-fund", "--silent"]))?;
    fs::write(&made_for, wanted).with_context(|| format!("{} cannot be written", made_for.display()))
}
