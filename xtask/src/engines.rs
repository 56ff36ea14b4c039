//! Runs the tests with real engines: prepares their environments and the binary under test.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::store::TestStore;
use crate::workspace::Workspace;
use crate::{go, node, step};

pub(crate) const FOLDER: &str = "tests/engines";

/// The installer of Python packages.
const UV: &str = "uv==0.13.9";

/// Which tests run, and in how many processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// The tests that match, as pytest's -k does; all without it.
    pub(crate) expression: Option<&'a str>,
    /// The number of processes.
    pub(crate) processes: Option<usize>,
}

/// Builds the binary, prepares the environments and runs the selected tests on a database.
pub(crate) fn run(workspace: &Workspace, release: bool, selection: Selection<'_>, store: &TestStore) -> Result<()> {
    let Selection { expression, processes } = selection;
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
    step::run(store.name_in(pytest.env("TIDEWATER_BIN", binary)))
}

/// Installs the packages that the tests need. Returns the path of Python, and the folder of Node's modules if Node is
/// installed.
pub(crate) fn prepare(workspace: &Workspace) -> Result<(PathBuf, Option<PathBuf>)> {
    let python = environment(workspace, FOLDER)?;
    let modules = node::modules(workspace)?;
    go::programs(workspace)?;
    Ok((python, modules))
}

/// Returns the number of processes for the whole suite: two per processor, since the tests mostly wait.
fn processes_for_all() -> usize {
    2 * std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Builds the binary and returns its path.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    let mut build = vec!["build", "--locked", "--bin", "tidewater"];
    build.extend(if release { &["--package", "tidewater", "--release"][..] } else { &step::AS_FOR_TESTS });
    step::run(&mut step::cargo(&workspace.root, &build))?;
    Ok(workspace.target.join(if release { "release" } else { "debug" }).join("tidewater"))
}

/// Prepares a virtual environment with exactly the packages that `tests` requires; replaces it after a change. Returns the
/// path of its Python.
pub(crate) fn environment(workspace: &Workspace, tests: &str) -> Result<PathBuf> {
    let name = Path::new(tests).file_name().map_or_else(String::new, |name| name.display().to_string());
    let folder_name = if tests == FOLDER { "venv".into() } else { format!("venv-{name}") };
    let _one_at_a_time = workspace.lock(&folder_name)?;
    let folder = workspace.target.join(folder_name);
    let python = folder.join("bin/python");
    let asked = workspace.root.join(tests).join("requirements.txt");
    let wanted = fs::read_to_string(&asked).with_context(|| format!("cannot read {}", asked.display()))?;
    // Written last, so that an incomplete environment is created again.
    let made_for = folder.join("made-for.txt");
    if python.exists() && fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let mut create = step::command(&workspace.root, "python3", &["-m", "venv", "--clear"]);
    step::run(create.arg(&folder))
        .context("a Python 3 with venv is needed (Debian: apt-get install python3 python3-venv)")?;
    install(workspace, &python, &asked)?;
    fs::write(&made_for, wanted).with_context(|| format!("cannot write {}", made_for.display()))?;
    Ok(python)
}

/// Installs the packages of a file into an environment: by uv, which needs a tenth of pip's processor time; by pip if that fails,
/// since only pip reads the machine's settings of pip, such as another index.
fn install(workspace: &Workspace, python: &Path, packages: &Path) -> Result<()> {
    // Neither compiles modules in advance, since most are never imported.
    let pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"];
    let pip = || step::command(&workspace.root, python, &pip);
    let by_uv = step::run(pip().arg(UV)).and_then(|()| {
        let install = ["-m", "uv", "pip", "install", "--quiet", "--no-cache", "--python"];
        step::run(step::command(&workspace.root, python, &install).arg(python).arg("--requirement").arg(packages))
    });
    by_uv.or_else(|failed| {
        step::say(&format!("installing with pip, since uv failed: {failed:#}"));
        step::run(pip().arg("--requirement").arg(packages))
    })
}
