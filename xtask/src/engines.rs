//! The tests with real engines: their environments, and the binary that they talk to.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{go, node, step};

pub(crate) const FOLDER: &str = "tests/engines";

/// Builds the binary, prepares the environments, runs the tests: those that match `expression`, if there is one, in so many
/// processes.
pub(crate) fn run(
    workspace: &Workspace,
    release: bool,
    expression: Option<&str>,
    processes: Option<usize>,
) -> Result<()> {
    let binary = build(workspace, release)?;
    let (python, modules) = prepare(workspace)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", FOLDER]);
    if let Some(expression) = expression {
        pytest.args(["-k", expression]);
    }
    let processes = processes.unwrap_or_else(|| if expression.is_some() { 0 } else { processes_for_all() });
    pytest.arg(format!("--numprocesses={processes}"));
    if let Some(modules) = modules {
        pytest.env("TIDEWATER_NODE_MODULES", modules);
    }
    step::run(pytest.env("TIDEWATER_BIN", binary))
}

/// Installs what the tests need beside the binary. Returns the path of Python, and the folder of Node's modules if there is
/// Node.
pub(crate) fn prepare(workspace: &Workspace) -> Result<(PathBuf, Option<PathBuf>)> {
    let python = environment(workspace, FOLDER)?;
    let modules = node::modules(workspace)?;
    go::programs(workspace)?;
    Ok((python, modules))
}

/// Returns how many processes run the whole suite. Its tests wait more than they work, so there are two for each processor.
fn processes_for_all() -> usize {
    2 * std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Builds the binary; gives its path.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    let mut build = vec!["build", "--locked", "--bin", "tidewater"];
    build.extend(if release { &["--package", "tidewater", "--release"][..] } else { &step::AS_FOR_TESTS });
    step::run(&mut step::cargo(&workspace.root, &build))?;
    Ok(workspace.target.join(if release { "release" } else { "debug" }).join("tidewater"))
}

/// The Python of a virtual environment that holds exactly what the tests in `tests` ask for. It is made again when they
/// ask for something else. Gives the path of its interpreter.
pub(crate) fn environment(workspace: &Workspace, tests: &str) -> Result<PathBuf> {
    let name = Path::new(tests).file_name().map_or_else(String::new, |name| name.display().to_string());
    let folder_name = if tests == FOLDER { "venv".into() } else { format!("venv-{name}") };
    let _one_at_a_time = workspace.lock(&folder_name)?;
    let folder = workspace.target.join(folder_name);
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
